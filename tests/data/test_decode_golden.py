"""DecodeImage beside Pillow, which reads the same files by other code, and beside pixels made by hand."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from ppcls.data.preprocess.ops.decode import DecodeImage

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
every_backend = pytest.mark.parametrize("backend", ["cv2", "pil"])


def _picture() -> Image.Image:
    """Smooth, with a dark corner: no turn, flip or swap of channels goes unseen."""
    rows, columns = np.mgrid[:40, :60]
    pixels = np.stack([rows * 6, columns * 4, (rows + columns) * 2], axis=2).astype(np.uint8)
    pixels[:10, :20] = (10, 40, 90)
    return Image.fromarray(pixels)


def _file(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _decode(data: bytes, **arguments: object) -> np.ndarray:
    return DecodeImage(**arguments)(data, RNG)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(orientation: int, kind: str) -> None:
    if kind != "JPEG" and not hasattr(cv2, "imdecodeanimation"):
        pytest.skip("not tried with OpenCV before 4.11")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _file(_picture(), kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert expected.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    np.testing.assert_allclose(_decode(data).astype(int), expected, atol=2)


@every_backend
def test_cmyk_gives_the_colours_of_pillow(backend: str) -> None:
    rows, columns = np.mgrid[:64, :64]
    inks = np.stack([columns * 4, rows * 4, 0 * rows + 100, 0 * rows + 30], axis=2).astype(np.uint8)
    data = _file(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_allclose(_decode(data, backend=backend).astype(int), expected, atol=4)


@every_backend
def test_16_bits_with_alpha_keep_the_upper_8_and_no_alpha(backend: str) -> None:
    values = (np.arange(40 * 60 * 4) * 9 + 128).astype(np.uint16).reshape(40, 60, 4)  # blue, green, red, alpha
    data = cv2.imencode(".png", values)[1].tobytes()
    np.testing.assert_array_equal(_decode(data, backend=backend), values[:, :, 2::-1] >> 8)


@every_backend
def test_grey_with_alpha_and_black_and_white_become_three_equal_channels(backend: str) -> None:
    grey, alpha = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.full([3, 4], 7, np.uint8)
    data = _file(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), "PNG")
    np.testing.assert_array_equal(_decode(data, backend=backend), np.stack([grey] * 3, axis=2))
    data = _file(Image.fromarray(grey > 100), "PNG")
    expected = np.where(grey > 100, 255, 0)
    np.testing.assert_array_equal(_decode(data, backend=backend), np.stack([expected] * 3, axis=2))


def test_a_damaged_animation_gives_its_first_picture_and_no_crash(tmp_path: Path) -> None:
    picture = _picture().convert("RGBA")
    data = _file(picture, "PNG", save_all=True, append_images=[picture.rotate(90)])
    data = data.replace(b"fcTL", b"bcTL", 1)  # one flipped bit: the first picture is no frame
    start = data.index(b"fdAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    rows = b"\x09" + zlib.decompress(data[start + 8 : start + 4 + length])[1:]  # there are 5 filters, no tenth
    content = data[start : start + 8] + zlib.compress(rows)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    (tmp_path / "a.png").write_bytes(data[: start - 4] + chunk + data[start + 8 + length :])
    code = (
        "import numpy, pathlib; from ppcls.data.preprocess.ops.decode import DecodeImage;"
        f"data = pathlib.Path({str(tmp_path / 'a.png')!r}).read_bytes();"
        f"numpy.save({str(tmp_path / 'a.npy')!r}, DecodeImage()(data, numpy.random.default_rng(0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.asarray(_picture()))

"""DecodeImage: every kind of picture file, and everything that is none."""

import io
import re
import resource
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ppcls.data.preprocess.ops.decode import DecodeImage
from ppcls.data.preprocess.picture import check_picture, looks_like
from ppcls.utils.errors import DataError

RNG = np.random.default_rng(0)


def _pixels(height: int = 40, width: int = 60) -> np.ndarray:
    """RGB with a gradient each way and a dark corner, so that no turn or channel swap goes unseen."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], axis=2)
    pixels[: height // 4, : width // 3] = (10, 40, 90)
    return pixels.astype(np.uint8)


def _file(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _decode(data: bytes, **arguments: object) -> np.ndarray:
    return DecodeImage(**arguments)(data, RNG)


def _oriented(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _file(_pixels(), kind, exif=exif)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _png_header(width: int, height: int, bits: int, colour: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_lossless_files_give_back_their_pixels(kind: str, backend: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    image = _decode(_file(_pixels(), kind, **options), backend=backend)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, _pixels())


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_to_rgb_false_leaves_blue_first(backend: str) -> None:
    image = _decode(_file(_pixels()), backend=backend, to_rgb=False, to_np=False)
    np.testing.assert_array_equal(image, _pixels()[:, :, ::-1])


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_near_the_pixels_it_was_made_of(progressive: bool, backend: str) -> None:
    smooth = cv2.GaussianBlur(_pixels(), (15, 15), 0)
    image = _decode(_file(smooth, "JPEG", quality=95, progressive=progressive), backend=backend)
    assert np.abs(image.astype(int) - smooth).mean() < 2


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_grey_becomes_three_equal_channels(backend: str) -> None:
    grey = _pixels()[:, :, 0]
    np.testing.assert_array_equal(_decode(_file(grey), backend=backend), np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_alpha_is_dropped_not_blended(backend: str) -> None:
    alpha = np.full((40, 60, 1), 7, np.uint8)
    image = _decode(_file(np.concatenate([_pixels(), alpha], axis=2)), backend=backend)
    np.testing.assert_array_equal(image, _pixels())


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("transparency", [{}, {"transparency": b"\x00\x80"}])
def test_palette_is_looked_up(transparency: dict[str, bytes], backend: str) -> None:
    colours = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 77]], np.uint8)
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    picture = Image.frombytes("P", (4, 3), numbers.tobytes())
    picture.putpalette(colours.tobytes())
    np.testing.assert_array_equal(_decode(_file(picture, **transparency), backend=backend), colours[numbers])


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_keep_the_upper_8(channels: int) -> None:
    values = np.arange(40 * 60 * 3, dtype=np.uint16).reshape(40, 60, 3) * 9 + 128
    values = values[:, :, :channels]
    data = cv2.imencode(".png", values[:, :, ::-1] if channels == 3 else values)[1].tobytes()
    np.testing.assert_array_equal(_decode(data), np.broadcast_to(values >> 8, [40, 60, 3]))


def test_pil_refuses_16_bit_grey_which_it_would_clip() -> None:
    data = cv2.imencode(".png", np.full((4, 4), 40000, np.uint16))[1].tobytes()
    with pytest.raises(DataError, match="mode I;16 is not read by backend 'pil'; use backend 'cv2'"):
        _decode(data, backend="pil")


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_cmyk_is_converted(backend: str) -> None:
    cyan_off = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red = _decode(_file(cyan_off, "JPEG", quality=100), backend=backend)[8, 8].astype(int)
    np.testing.assert_allclose(red, [255, 0, 0], atol=30)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda x: x),
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (4, np.flipud),
        (5, lambda x: x.transpose(1, 0, 2)),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(x, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_turns_with_cv2_and_not_with_pil(orientation: int, turn: object) -> None:
    plain = _decode(_oriented(1))
    np.testing.assert_array_equal(_decode(_oriented(orientation)), turn(plain))
    assert _decode(_oriented(orientation), backend="pil").shape == (40, 60, 3)


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(kind: str, backend: str) -> None:
    if (kind, backend) == ("WEBP", "cv2") and not hasattr(cv2, "imdecodeanimation"):
        pytest.skip("OpenCV reads animated WEBP from 4.11 on")
    options = {"lossless": True} if kind == "WEBP" else {}
    second = Image.fromarray(255 - _pixels())
    data = _file(_pixels(), kind, save_all=True, append_images=[second], **options)
    np.testing.assert_array_equal(_decode(data, backend=backend), _pixels())


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_pictures_decode(size: tuple[int, int]) -> None:
    assert _decode(_file(np.zeros([*size, 3], np.uint8))).shape == (*size, 3)


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8", "2 bytes that begin 0xffd8"),
        (b"  <!DOCTYPE html><html>404", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a git-lfs pointer, whose content `git lfs pull` fetches"),
        (bytes(500), "500 bytes that begin with zeros"),
        (b"not found: photo", "text that begins 'not found: photo'"),
        (b"GIF89a\x01\x00", "a GIF"),
        (b"MM\0*\0\0\0\x08", "a TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"),
        (b"\0\0\0\x20ftypheic", "a HEIC, AVIF or MP4"),
        (b"PK\x03\x04\x14\x00", "a zip archive"),
        (b"\x00\x01\x02\x03\xf0\xf1\xf2\xf3\xf4", "9 bytes that begin 0x00010203f0f1f2f3"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, phrase: str) -> None:
    assert looks_like(data) == phrase
    with pytest.raises(DataError, match=re.escape(f"expected a JPEG, PNG, WEBP or BMP file; this is {phrase}")) as info:
        _decode(data)
    assert info.value.slug == "bad-image"


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("kept", [0.5, 0.9, -2])
def test_a_truncated_jpeg_is_an_error_not_a_half_grey_picture(kept: float, backend: str) -> None:
    data = _file(_pixels(), "JPEG")
    cut = data[: int(len(data) * kept) if kept > 0 else kept]
    with pytest.raises(DataError, match=f"the JPEG file of {len(cut)} bytes is damaged: no end marker, it is cut off"):
        _decode(cut, backend=backend)


@pytest.mark.parametrize(
    ("kind", "kept", "message"),
    [
        ("JPEG", 30, "the JPEG header is cut off, in a file of 30 bytes"),
        ("PNG", 20, "the PNG header is cut off, in a file of 20 bytes"),
        ("PNG", -30, r"the PNG file of \d+ bytes is damaged: chunk 'IDAT' at byte 33 is cut off"),
        ("PNG", -12, r"the PNG file of \d+ bytes is damaged: no end chunk, it is cut off"),
        ("WEBP", -9, r"the WEBP file is cut off: \d+ of \d+ bytes"),
        ("BMP", -9, "the BMP file is cut off: 7245 of 7254 bytes"),
    ],
)
def test_a_truncated_file_says_where_it_ends(kind: str, kept: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _decode(_file(_pixels(), kind)[:kept])


@pytest.mark.parametrize("backend", ["cv2", "pil"])
def test_bytes_after_the_end_do_not_matter(backend: str) -> None:
    data = _file(_pixels(), "JPEG")
    np.testing.assert_array_equal(_decode(data + bytes(99), backend=backend), _decode(data, backend=backend))


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    data = _file(_pixels(), "JPEG", exif=b"Exif\0\0" + _file(_pixels(8, 8), "JPEG"))
    assert _decode(data).shape == (40, 60, 3)
    with pytest.raises(DataError, match="no end marker, it is cut off"):
        _decode(data[:-2])


def test_a_flipped_bit_in_a_png_names_the_chunk() -> None:
    data = bytearray(_file(_pixels()))
    data[len(data) // 2] ^= 1
    with pytest.raises(DataError, match="chunk 'IDAT' at byte 33 has a wrong checksum"):
        _decode(bytes(data))


def test_a_small_file_of_many_pixels_is_refused_before_decoding() -> None:
    rows = zlib.compress(bytes(14000 * (14000 // 8 + 1)), 1)
    bomb = _png_header(14000, 14000, bits=1, colour=0) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    assert len(bomb) < 200_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(DataError, match=re.escape("14000x14000 = 196.0 million pixels, max_pixels is 50000000")):
        _decode(bomb)
    assert time.monotonic() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_header_that_claims_ten_billion_pixels_is_refused() -> None:
    with pytest.raises(DataError, match=re.escape("100000x100000 = 10000.0 million pixels")):
        _decode(_png_header(100_000, 100_000, bits=8, colour=2) + _chunk(b"IDAT", b"") + _chunk(b"IEND", b""))


def test_a_wrong_chunk_length_takes_no_memory() -> None:
    data = bytearray(_file(_pixels()))
    data[33] = 0x7F  # the upper byte of IDAT's length: 2 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="chunk 'IDAT' at byte 33 is cut off"):
        _decode(bytes(data))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_max_pixels_is_an_argument() -> None:
    assert _decode(_file(_pixels()), max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(DataError, match="max_pixels is 2399"):
        _decode(_file(_pixels()), max_pixels=2399)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "icc_profile": b"x" * 70000}),
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"save_all": True, "append_images": [Image.new("RGB", (301, 17))]}),
    ],
)
def test_the_header_gives_the_size_that_pillow_reads(kind: str, options: dict[str, object]) -> None:
    data = _file(_pixels(17, 301), kind, **options)
    assert check_picture(data) == Image.open(io.BytesIO(data)).size == (301, 17)


def test_tables_before_the_size_are_not_taken_for_it() -> None:
    data = _file(_pixels(), "JPEG")
    start = data.index(b"\xff\xc4")
    table = data[start : start + 2 + struct.unpack_from(">H", data, start + 2)[0]]
    assert check_picture(data[:2] + table + b"\xff\xff" + data[2:]) == (60, 40)


def test_an_upside_down_bmp_has_a_positive_height() -> None:
    data = bytearray(_file(_pixels(), "BMP"))
    data[22:26] = struct.pack("<i", -40)
    assert check_picture(bytes(data)) == (60, 40)
    np.testing.assert_array_equal(_decode(bytes(data)), _pixels()[::-1])


@pytest.mark.parametrize("backend", ["cv2", "pil"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_damage_anywhere_is_either_decoded_or_a_data_error(kind: str, backend: str) -> None:
    data = _file(_pixels(12, 9), kind)
    rng = np.random.default_rng(7)
    messages = []
    for _ in range(150):
        damaged = bytearray(data)
        for place in rng.integers(len(data), size=3):
            damaged[place] = rng.integers(256)
        try:
            image = _decode(bytes(damaged[: rng.integers(1, len(data) + 1)]), backend=backend, max_pixels=10_000)
            assert image.shape[2] == 3
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel_first": True}, "channel_first: True would break every later op"),
        ({"backend": "turbo"}, "backend is one of 'cv2', 'pil'; got 'turbo'"),
        ({"max_pixels": 0}, "max_pixels must be above 0; got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecodeImage(**arguments)

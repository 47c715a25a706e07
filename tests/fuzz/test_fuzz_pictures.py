"""Bytes -> decoder, in a process of its own with little memory: pixels come out or the one error of pictures."""

import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from fuzzing import CASE, SECONDS, Rng, fuzz, mutated, pick, refused
from PIL import Image

from ppcls.data.preprocess.ops.decode import DecodeImage
from ppcls.utils.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
MAX_PIXELS = 1_000_000
ROOM = 1 << 30  # bytes of address space beyond what the process has when it begins
DECODERS = [DecodeImage(backend=backend, max_pixels=MAX_PIXELS) for backend in ("cv2", "pil")]


def _samples() -> list[bytes]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:21, :34]
    pixels = np.stack([rows * 9, columns * 7, rng.integers(0, 255, rows.shape)], axis=2).astype(np.uint8)
    colour = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (colour, "JPEG", {"quality": 70, "exif": exif}),
        (colour, "JPEG", {"progressive": True, "restart_marker_blocks": 1}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.convert("L"), "JPEG", {}),
        (colour, "PNG", {}),
        (colour.convert("P"), "PNG", {"transparency": 3}),
        (colour.convert("RGBA"), "PNG", {"save_all": True, "append_images": [colour.convert("RGBA")]}),
        (colour.convert("1"), "PNG", {}),
        (colour, "WEBP", {"lossless": True}),
        (colour.convert("RGBA"), "WEBP", {"quality": 50, "exif": exif}),
        (colour, "WEBP", {"save_all": True, "append_images": [colour.rotate(90)]}),
        (colour, "BMP", {}),
        (colour.convert("P"), "BMP", {}),
    ]
    found = []
    for picture, kind, options in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    return found


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(rng: Rng) -> bytes:
    """Checksums are right, so that what is wrong gets as far as the decoder."""
    width, height = (int(pick(rng, (1, 2, 9, 1000, 4000, 2**31 - 1, 0))) for _ in range(2))
    header = struct.pack(
        ">IIBBBBB", width, height, *(int(pick(rng, v)) for v in ((1, 8, 16, 3), (0, 2, 3, 6, 5), (0, 1), (0,), (0, 1)))
    )
    data = zlib.compress(rng.bytes(int(rng.integers(200))) + bytes(int(pick(rng, (0, 100, 100_000)))))
    chunks = [_chunk(b"IHDR", header)]
    for _ in range(int(rng.integers(4))):
        name = bytes(
            pick(rng, (b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"gAMA", b"IHDR", b"zTXt"))
        )
        chunks.append(_chunk(name, rng.bytes(int(rng.integers(60)))))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _look(data: bytes, decode: DecodeImage) -> None:
    image = decode(data, np.random.default_rng(0))
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS


def run(last: Path) -> None:
    """What the process of its own does; ``last`` holds the input at hand, for when it crashes."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    samples = _samples()
    for sample in samples:
        for decode in DECODERS:
            _look(sample, decode)

    def check(rng: Rng) -> None:
        data = _png(rng) if rng.random() < 0.2 else mutated(samples[int(rng.integers(len(samples)))], samples, rng)
        last.write_bytes(data)
        refused(lambda: _look(data, DECODERS[int(rng.integers(2))]), DataError, ("bad-image",))

    print(fuzz(check), "cases")


def test_nothing_but_pixels_or_one_error_leaves_the_decoder(tmp_path: Path) -> None:
    last = tmp_path / "last"
    code = f"import test_fuzz_pictures, pathlib; test_fuzz_pictures.run(pathlib.Path({str(last)!r}))"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", code]  # Pillow warns of odd files
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS + 120, check=False)
    assert done.returncode == 0, f"{(done.stdout + done.stderr)[-3000:]}\nthe input is in {last}"
    assert CASE is not None or int(done.stdout.split()[-2]) > 100

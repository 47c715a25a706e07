"""Picture files that cannot be read, are larger than they look, or are of an unusual kind."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

_RNG_SEED = 5


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(_RNG_SEED).integers(0, 255, shape, dtype=np.uint8)


def _encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, _noise(48, 48, 3))[1].tobytes()


def _png(width: int, height: int, rows: bytes) -> bytes:
    """A grey PNG of one bit a pixel; ``rows`` are compressed here, and need not be all of them."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    parts = [
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _cut_jpeg(path: Path) -> None:
    data = _encoded(".jpg")
    path.write_bytes(data[: len(data) // 2])


def _wrong_sum(path: Path) -> None:
    data = bytearray(_encoded(".png"))
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _bomb(path: Path) -> None:
    """24 kB that become 196 million pixels."""
    path.write_bytes(_png(14_000, 14_000, bytes((14_000 // 8 + 1) * 14_000)))


# How it is written, what is said of it.
UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated JPEG": (_cut_jpeg, r"the JPEG file of \d+ bytes is damaged: no end marker, it is cut off"),
    "wrong PNG checksum": (_wrong_sum, r"chunk 'IDAT' at byte 33 has a wrong checksum, in the PNG file"),
    "empty file": (lambda path: path.write_bytes(b""), "the file is empty"),
    "web page": (
        lambda path: path.write_text("<html>404</html>"),
        "expected a JPEG, .*; this is an HTML page",
    ),
    "missing file": (lambda path: None, "No such file or directory"),
    "pipe": (os.mkfifo, "not a regular file"),
    "folder": (os.mkdir, "not a regular file|Is a directory"),
    "PNG of 14000 x 14000": (_bomb, r"14000x14000 = 196\.0 million pixels"),
    "header of 100000 x 100000": (
        lambda path: path.write_bytes(_png(100_000, 100_000, b"")),
        r"100000x100000 = ",
    ),
}


def _sixteen_bit(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", _noise(40, 40).astype("uint16") * 257)[1].tobytes())


def _exif_turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_noise(40, 48, 3)).save(path, "JPEG", exif=exif)


def _animated(path: Path) -> None:
    frames = [Image.fromarray(_noise(40, 40, 3)) for _ in range(3)]
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:])


UNUSUAL: dict[str, Callable[[Path], object]] = {
    "grey": lambda path: Image.fromarray(_noise(40, 40)).save(path, "PNG"),
    "RGBA": lambda path: Image.fromarray(_noise(40, 40, 4)).save(path, "PNG"),
    "palette": lambda path: Image.fromarray(_noise(40, 40, 3)).convert("P").save(path, "PNG"),
    "16 bit": _sixteen_bit,
    "CMYK": lambda path: Image.fromarray(_noise(40, 40, 4), "CMYK").save(path, "JPEG"),
    "EXIF-turned": _exif_turned,
    "animated": _animated,
    "1 x 1": lambda path: Image.fromarray(_noise(1, 1, 3)).save(path, "PNG"),
    "1 x 5000": lambda path: Image.fromarray(_noise(1, 5000, 3)).save(path, "PNG"),
    "5000 x 1": lambda path: Image.fromarray(_noise(5000, 1, 3)).save(path, "PNG"),
}

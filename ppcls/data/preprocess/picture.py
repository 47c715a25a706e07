"""What a picture file says about itself before it is decoded, and why one cannot be decoded.

Parsed here, not by Pillow, which warns from 89 million pixels on and about damaged EXIF, and takes five times as long.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ppcls.utils.errors import DataError

MAX_PIXELS = 50_000_000

_SIGNATURES = {
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"version https://git-lfs": "a git-lfs pointer, whose content `git lfs pull` fetches",
}
_JPEG_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, which holds the size
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # chunks of a PNG
_ORIENTATION = 0x0112  # a tag of EXIF
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}  # markers without a segment


def check_picture(data: bytes, max_pixels: float = MAX_PIXELS) -> tuple[int, int]:
    """Width and height as the header gives them, before any EXIF turn; no pixel is decoded.

    Raises:
        DataError: not a JPEG, PNG, WEBP or BMP file, a damaged header, a JPEG or PNG file without its end, or more
            than ``max_pixels``: 190 kB of PNG can ask for a gigabyte.
    """
    kind = picture_kind(data)
    if kind is None:
        raise DataError(f"expected a JPEG, PNG, WEBP or BMP file; this is {looks_like(data)}")
    try:
        width, height = _SIZES[kind](data)
    except (struct.error, IndexError) as error:
        raise DataError(f"the {kind} header is cut off, in a file of {len(data)} bytes") from error
    except ValueError as error:
        raise DataError(f"the {kind} file of {len(data)} bytes is damaged: {error}") from error
    if width * height > max_pixels:
        size = f"{width}x{height} = {width * height / 1e6:.1f} million pixels"
        raise DataError(f"the picture has {size}, max_pixels is {max_pixels:.0f}; raise it if you trust the file")
    return width, height


def picture_kind(data: bytes) -> str | None:
    """``JPEG``, ``PNG``, ``WEBP``, ``BMP`` or None, by the first bytes; a file name says nothing."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    return "BMP" if data.startswith(b"BM") else None


def looks_like(data: bytes) -> str:
    """A phrase for what bytes that are no picture seem to be: ``an HTML page``, ``text that begins 'abc'``."""
    if not data:
        return "an empty file"
    head = data[:64]
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if head[4:8] == b"ftyp":  # what phones write
        return "a HEIC, AVIF or MP4"
    if not any(head):
        return f"{len(data)} bytes that begin with zeros"
    for signature, phrase in _SIGNATURES.items():
        if head.startswith(signature):
            return phrase
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return f"text that begins {head[:24].decode('ascii')!r}"
    return f"{len(data)} bytes that begin 0x{head[:8].hex()}"


def damage(data: bytes) -> str:
    """Why a picture with a readable header does not decode, as far as its frame shows: OpenCV gives no reason."""
    kind = picture_kind(data)
    if kind == "PNG":
        return f"{_png_damage(data)}, in the PNG file of {len(data)} bytes"
    announced = {"WEBP": (4, 8), "BMP": (2, 0)}.get(kind or "")
    if announced is not None:
        length = struct.unpack_from("<I", data, announced[0])[0] + announced[1]
        if length > len(data):
            return f"the {kind} file is cut off: {len(data)} of {length} bytes"
    return f"the data inside the {kind} file of {len(data)} bytes is damaged, or of a variant that is not read"


def jpeg_orientation(data: bytes) -> int:
    """What the first EXIF part near the start says, 1 to 8, above 4 with sides exchanged; 1 where it says nothing."""
    start = data.find(b"Exif\0\0", 0, 1 << 16) + 6
    order = {b"II": "<", b"MM": ">"}.get(data[start : start + 2], "")
    if start < 6 or not order:
        return 1
    try:
        first = start + struct.unpack_from(f"{order}I", data, start + 4)[0]
        entries = struct.unpack_from(f"{order}H", data, first)[0]
        for at in range(first + 2, first + 2 + 12 * entries, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, at)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # cut off
        return 1
    return 1


def without_animation(data: bytes) -> bytes:
    """A PNG file without the chunks that make it an animation: its first picture; all other files as they are.

    OpenCV 5.0 ends the process on an animation of which one bit of a frame's description and a frame are damaged.
    """
    if picture_kind(data) != "PNG" or b"acTL" not in data:
        return data
    kept = [chunk for chunk in _png_chunks(data) if chunk.name not in _ANIMATION]
    return data[:8] + b"".join(data[chunk.start : chunk.end] for chunk in kept)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        while data[at] != 0xFF:
            at += 1
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            # OpenCV below 4.11 makes grey of what is missing. Scans cannot hold these two bytes; thumbnails lie before.
            if data.rfind(b"\xff\xd9") < at:
                raise ValueError("no end marker, it is cut off")
            return width, height
        if marker in (0xD8, 0xD9, 0xDA):
            raise ValueError("image data before the size")
        if marker not in _JPEG_BARE and marker != 0:  # 0 is a stuffed byte, no marker
            length = struct.unpack_from(">H", data, at)[0]
            if length < 2:
                raise ValueError("a segment shorter than its own length field")
            at += length


def _png_size(data: bytes) -> tuple[int, int]:
    name, width, height = struct.unpack_from(">4sII", data, 12)
    if name != b"IHDR":
        raise ValueError("the first chunk is not IHDR")
    # OpenCV believes a chunk's length before it reads it, and takes up to 4 GB for one that is wrong.
    for chunk in _png_chunks(data):
        if chunk.end > len(data):
            raise ValueError(f"{chunk} is cut off")
    if chunk.name != b"IEND":
        raise ValueError("no end chunk, it is cut off")
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    name = data[12:16]
    if name == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
    if name == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no known chunk")


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # OS/2
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # a negative height means top row first


_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "WEBP": _webp_size,
    "BMP": _bmp_size,
}


class _Chunk(NamedTuple):
    """A piece of a PNG file: length, name, content, checksum."""

    name: bytes
    start: int
    end: int

    def __str__(self) -> str:
        return f"chunk {self.name.decode('latin1')!r} at byte {self.start}"


def _png_chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to IEND, as far as their headers can be read; the last one may end beyond the data."""
    start = 8
    while start + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, start)
        chunk = _Chunk(name, start, start + 12 + length)
        yield chunk
        if name == b"IEND":
            return
        start = chunk.end


def _png_damage(data: bytes) -> str:
    for chunk in _png_chunks(data):
        if zlib.crc32(data[chunk.start + 4 : chunk.end - 4]) != struct.unpack_from(">I", data, chunk.end - 4)[0]:
            return f"{chunk} has a wrong checksum"
    return "damaged data with right checksums, or a variant that is not read"

"""DecodeImage: the bytes of a picture file -> pixels."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from ppcls.data.preprocess.ops.size import Size
from ppcls.data.preprocess.picture import MAX_PIXELS, check_picture, damage, without_animation
from ppcls.registry import OPS
from ppcls.utils.errors import DataError


@OPS.register
class DecodeImage:
    """JPEG, PNG, WEBP or BMP -> uint8 ``[H, W, 3]``; always the first op.

    Grey becomes three equal channels, an alpha channel is dropped, a palette looked up, CMYK converted by the decoder,
    16-bit values keep their upper 8 bits, an animation gives its first frame (a WEBP one from OpenCV 4.11 on).
    ``cv2`` turns a picture as its EXIF orientation says; ``pil`` does not, and refuses 16-bit grey, which Pillow would
    clip.

    Args:
        to_np: accepted for PaddleClas's recipes; the result is an array in any case.
        to_rgb: False leaves blue first.
        channel_first: only False: every later op needs ``[H, W, 3]``.
        max_pixels: what the header may claim; see ``picture.check_picture``, which looks before anything is decoded.
    Raises:
        DataError: at a call, slug ``bad-image``: the file is no picture, damaged, or too large.
    """

    takes_bytes = True

    def __init__(
        self,
        to_np: bool = True,
        to_rgb: bool = True,
        channel_first: bool = False,
        backend: Literal["cv2", "pil"] = "cv2",
        max_pixels: int | float = MAX_PIXELS,
    ) -> None:
        if channel_first:
            raise ValueError("DecodeImage channel_first: True would break every later op; remove it or set it to False")
        if backend not in _BACKENDS:
            raise ValueError(f"DecodeImage backend is one of 'cv2', 'pil'; got {backend!r}")
        if max_pixels <= 0:
            raise ValueError(f"DecodeImage max_pixels must be above 0; got {max_pixels}")
        self._decode = _BACKENDS[backend]
        self.to_rgb = to_rgb
        self.is_cv2 = backend == "cv2"
        self._max_pixels = max_pixels

    def __call__(self, data: bytes, rng: np.random.Generator) -> np.ndarray:
        self.check(data)
        return self._decode(data, self.to_rgb)

    def check(self, data: bytes) -> Size:
        """The size that the header claims, before any EXIF turn; DataError as for a call, without decoding."""
        return Size(*check_picture(data, self._max_pixels))


def decode_bgr(data: bytes, factor: int = 1) -> np.ndarray:
    """uint8 ``[H, W, 3]``, blue first, EXIF turned, of a file whose header was checked.

    Args:
        factor: 1, 2, 4 or 8: sides become ``ceil(side / factor)``, for JPEG a scaled inverse DCT, cheap and smooth.
    """
    # From memory: cv2.imread fills the missing part of a truncated JPEG with grey and says nothing.
    still = np.frombuffer(without_animation(data), np.uint8)
    try:
        image = cv2.imdecode(still, _READ[factor])  # 8 bits, three channels, EXIF turned
    except cv2.error as error:
        raise DataError(f"the picture cannot be decoded: {error.err}; {damage(data)}") from error
    if image is None:
        raise DataError(f"the picture cannot be decoded: {damage(data)}")
    return image


def swap_channels(image: np.ndarray) -> np.ndarray:
    """Blue first -> red first."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decode_cv2(data: bytes, to_rgb: bool) -> np.ndarray:
    image = decode_bgr(data)
    return swap_channels(image) if to_rgb else image


def _decode_pil(data: bytes, to_rgb: bool) -> np.ndarray:
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP"])
        image.load()
    except _PIL_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"the picture cannot be decoded: {reason}; {damage(data)}") from error
    if image.mode.startswith(("I", "F")):
        raise DataError(f"a picture of mode {image.mode} is not read by backend 'pil'; use backend 'cv2'")
    if image.mode == "P":  # on the way to RGB alone Pillow warns about a palette with transparency
        image = image.convert("RGBA")
    pixels = np.asarray(image.convert("RGB"))
    return pixels if to_rgb else np.ascontiguousarray(pixels[:, :, ::-1])


_READ = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# What Pillow lets out on damaged files; found by flipping bytes.
_PIL_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError),
    Image.DecompressionBombError,
)

_BACKENDS: dict[str, Callable[[bytes, bool], np.ndarray]] = {"cv2": _decode_cv2, "pil": _decode_pil}

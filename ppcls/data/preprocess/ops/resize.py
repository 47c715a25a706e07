"""ResizeImage, and the resizing that RandCropImage ends with."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from ppcls.data.preprocess.ops.size import Box, Need, Size, parse_size, size_of
from ppcls.registry import OPS
from ppcls.utils.errors import DataError

Resize = Callable[[np.ndarray, Size, np.random.Generator], np.ndarray]

_logger = logging.getLogger("ppcls")

MAX_PIXELS = 50_000_000

_CV2 = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
_PIL = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
    "hamming": Image.Resampling.HAMMING,
}
_RANDOM = ("bilinear", "bicubic")


@OPS.register
class ResizeImage:
    """Resize to a fixed size, or so that the shorter side has ``resize_short`` pixels.

    With ``resize_short`` a side becomes ``round(side * resize_short / shorter side)``, halves to even. The two backends
    give different pixels: Pillow widens its filter when it shrinks, OpenCV does not.

    Args:
        size: pixels of a square, or ``[width, height]``; ``resize_short`` wins over it, with a warning.
        interpolation: bilinear when null; ``random`` draws bilinear or bicubic anew for each picture.
        backend: ``cv2`` (nearest, bilinear, area, bicubic, lanczos) or
            ``pil`` (nearest, bilinear, bicubic, box, lanczos, hamming).
    Raises:
        DataError: at a call, slug ``bad-batch``: the result would have over 50 million pixels (a 1x5000 strip).
    Source: PaddleClas ``ResizeImage``.
    """

    def __init__(
        self,
        size: int | tuple[int, int] | None = None,
        resize_short: int | None = None,
        interpolation: str | None = None,
        backend: Literal["cv2", "pil"] = "cv2",
    ) -> None:
        if size is None and resize_short is None:
            raise ValueError("ResizeImage needs size or resize_short")
        if resize_short is not None and (not isinstance(resize_short, int) or resize_short < 1):
            raise ValueError(f"ResizeImage resize_short is a whole number of pixels, at least 1; got {resize_short!r}")
        if size is not None and resize_short is not None:
            _logger.warning("ResizeImage: size %s has no effect beside resize_short %d; remove one", size, resize_short)
        self._short = resize_short
        self._size = None if size is None else parse_size(size, "ResizeImage")
        self._resize = build_resize(interpolation, backend, "ResizeImage")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.finish(image, self.need(size_of(image), rng), rng)

    def need(self, size: Size, rng: np.random.Generator) -> Need:
        """All of a picture of that size, and what it becomes."""
        target = scaled_size(size, self._short) if self._short else self._size
        if target.width * target.height > MAX_PIXELS:
            raise DataError(
                f"ResizeImage would turn {size} (width x height) into {target}, over {MAX_PIXELS} pixels; "
                "take this picture off the list, or give a fixed size",
                "bad-batch",
            )
        return Need(Box(0, 0, *size), target)

    def finish(self, image: np.ndarray, need: Need, rng: np.random.Generator) -> np.ndarray:
        """Resize."""
        return self._resize(need.box.of(image), need.size, rng)


def scaled_size(size: Size, short: int) -> Size:
    """``size`` scaled so that its shorter side is ``short``."""
    factor = short / min(size)
    return Size(round(size.width * factor), round(size.height * factor))


def build_resize(interpolation: str | None, backend: str, op: str) -> Resize:
    """``resize(image uint8 [H, W, 3], size, rng)``; ValueError in the name of ``op`` for an unknown name."""
    if backend not in ("cv2", "pil"):
        raise ValueError(f"{op} backend is one of 'cv2', 'pil'; got {backend!r}")
    known = _CV2 if backend == "cv2" else _PIL
    if interpolation not in (None, "random", *known):
        names = ", ".join([*known, "random"])
        raise ValueError(f"{op} interpolation of backend {backend!r} is one of {names}; got {interpolation!r}")
    names = _RANDOM if interpolation == "random" else (interpolation or "bilinear",)
    resize = _resize_cv2 if backend == "cv2" else _resize_pil
    return partial(_draw_and_resize, resize, [known[name] for name in names])


def _draw_and_resize(
    resize: Callable[[np.ndarray, Size, int], np.ndarray],
    modes: list[int],
    image: np.ndarray,
    size: Size,
    rng: np.random.Generator,
) -> np.ndarray:
    mode = modes[0] if len(modes) == 1 else modes[rng.integers(len(modes))]
    return resize(image, size, mode)


def _resize_cv2(image: np.ndarray, size: Size, mode: int) -> np.ndarray:
    return cv2.resize(image, size, interpolation=mode)


def _resize_pil(image: np.ndarray, size: Size, mode: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size, mode))

"""CropImage and RandCropImage: a part of the picture."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ppcls.data.preprocess.ops.resize import build_resize
from ppcls.data.preprocess.ops.size import Box, Need, Size, parse_size, size_of
from ppcls.registry import OPS
from ppcls.utils.errors import DataError


@OPS.register
class CropImage:
    """The centre of the picture: left ``(W - width) // 2``, top ``(H - height) // 2``.

    Args:
        size: pixels of a square, or ``[width, height]``.
    Raises:
        DataError: at a call, slug ``bad-batch``: the picture is smaller than the crop.
    Source: PaddleClas ``CropImage``, which returns what little there is of a smaller picture.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        self._size = parse_size(size, "CropImage")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        width, height = size_of(image)
        if width < self._size.width or height < self._size.height:
            raise DataError(
                f"CropImage cannot take {self._size} (width x height) out of a picture of {size_of(image)}; "
                f"put ResizeImage with resize_short {max(self._size)} or more before it",
                "bad-batch",
            )
        left, top = (width - self._size.width) // 2, (height - self._size.height) // 2
        return image[top : top + self._size.height, left : left + self._size.width]


@OPS.register
class RandCropImage:
    """A random part of the picture, resized: random area, random aspect.

    Args:
        size: pixels of a square, or ``[width, height]``.
        scale: the part of the area, ``[low, high]``; see ``draw_box`` for what does not fit the aspect.
        ratio: width / height of the part, ``[low, high]``.
        interpolation, backend: as in ``ResizeImage``.
        use_log_aspect: draw the logarithm of the aspect evenly, so that 3/4 is as likely as 4/3.
        progress_size: only null: the size never changes during a run.
    Source: PaddleClas ``RandCropImage``; not torchvision's, which tries ten times and falls back to the centre.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str | None = None,
        backend: Literal["cv2", "pil"] = "cv2",
        use_log_aspect: bool = False,
        progress_size: Any = None,
    ) -> None:
        if progress_size is not None:
            raise ValueError("RandCropImage progress_size is not offered: sizes stay fixed during a run; remove it")
        self._size = parse_size(size, "RandCropImage")
        self._scale = _parse_range("scale", scale)
        self._ratio = _parse_range("ratio", ratio)
        self._use_log_aspect = use_log_aspect
        self._resize = build_resize(interpolation, backend, "RandCropImage")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.finish(image, self.need(size_of(image), rng), rng)

    def need(self, size: Size, rng: np.random.Generator) -> Need:
        """Draw the part of a picture of that size."""
        return Need(draw_box(size, self._scale, self._ratio, self._use_log_aspect, rng), self._size)

    def finish(self, image: np.ndarray, need: Need, rng: np.random.Generator) -> np.ndarray:
        """Cut and resize."""
        return self._resize(need.box.of(image), need.size, rng)


def draw_box(
    size: Size, scale: tuple[float, float], ratio: tuple[float, float], use_log_aspect: bool, rng: np.random.Generator
) -> Box:
    """One draw each of aspect, area, left and top, in this order; sides are at least 1.

    An aspect r limits the part of the area to ``min((W / H) / r, (H / W) * r)``: both ends of ``scale`` are cut to it.
    """
    W, H = size
    r = math.exp(rng.uniform(*np.log(ratio))) if use_log_aspect else rng.uniform(*ratio)
    bound = min((W / H) / r, (H / W) * r)
    f = rng.uniform(min(scale[0], bound), min(scale[1], bound))
    side = math.sqrt(W * H * f)
    width = max(1, int(side * math.sqrt(r)))
    height = max(1, int(side / math.sqrt(r)))
    left = int(rng.integers(W - width, endpoint=True))
    top = int(rng.integers(H - height, endpoint=True))
    return Box(left, top, width, height)


def _parse_range(name: str, value: Sequence[float]) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(end, int | float) for end in pair) or not 0 < pair[0] <= pair[1]:
        raise ValueError(f"RandCropImage {name} is [low, high] with 0 < low <= high; got {value!r}")
    return pair

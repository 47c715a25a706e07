"""Width and height, as YAML gives them to the ops that have a target size, and parts of a picture."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Size(NamedTuple):
    """Pixels; width first, as in OpenCV, Pillow and PaddleClas's lists."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """Pixels; ``left + width`` is at most the picture's width, and so for the height."""

    left: int
    top: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """This part of ``[H, W, C]``, without a copy."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def reduced(self, factor: int) -> "Box":
        """The same part of the picture at ``1 / factor`` of its size, each edge at the nearest pixel.

        Its sides are at least ``side // factor``.
        """
        left, top, right, bottom = (
            (2 * edge + factor) // (2 * factor)
            for edge in (self.left, self.top, self.left + self.width, self.top + self.height)
        )
        return Box(left, top, right - left, bottom - top)


class Need(NamedTuple):
    """What an op takes of a picture, and the size it gives to that part."""

    box: Box
    size: Size


def parse_size(value: int | Sequence[int], op: str) -> Size:
    """``224`` -> 224x224, ``[320, 240]`` -> width 320, height 240; ValueError in the name of ``op`` otherwise."""
    sides = [value, value] if isinstance(value, int) else list(value) if isinstance(value, list | tuple) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise ValueError(f"{op} size is a whole number of pixels, or [width, height]; got {value!r}")
    return Size(*sides)


def size_of(image: np.ndarray) -> Size:
    """The size of ``[H, W, C]``."""
    return Size(image.shape[1], image.shape[0])

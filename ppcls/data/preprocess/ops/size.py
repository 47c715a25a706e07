"""Width and height, as YAML gives them to the ops that have a target size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Size(NamedTuple):
    """Pixels; width first, as in OpenCV, Pillow and PaddleClas's lists."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def parse_size(value: int | Sequence[int], op: str) -> Size:
    """``224`` -> 224x224, ``[320, 240]`` -> width 320, height 240; ValueError in the name of ``op`` otherwise."""
    sides = [value, value] if isinstance(value, int) else list(value) if isinstance(value, list | tuple) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        raise ValueError(f"{op} size is a whole number of pixels, or [width, height]; got {value!r}")
    return Size(*sides)


def size_of(image: np.ndarray) -> Size:
    """The size of ``[H, W, C]``."""
    return Size(image.shape[1], image.shape[0])

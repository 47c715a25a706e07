"""RandFlipImage: mirrored half of the time."""

import cv2
import numpy as np

from ppcls.registry import OPS


@OPS.register
class RandFlipImage:
    """Flip with probability one half.

    Args:
        flip_code: 1 left-right, 0 top-bottom, -1 both at once.
    Source: PaddleClas ``RandFlipImage``.
    """

    def __init__(self, flip_code: int = 1) -> None:
        if flip_code not in (-1, 0, 1):
            raise ValueError(f"RandFlipImage flip_code is 1 (left-right), 0 (top-bottom) or -1 (both); got {flip_code}")
        self._flip_code = int(flip_code)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return cv2.flip(image, self._flip_code) if rng.integers(2) == 1 else image

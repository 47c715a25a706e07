"""CutMix (https://arxiv.org/abs/1905.04899): a box of every sample replaced by that of another of its batch."""

import math
from typing import NamedTuple

import numpy as np
import paddle
from paddle import Tensor

from ppcls.data.preprocess.batch_ops.soft_labels import check_arguments, soft_labels
from ppcls.registry import BATCH_OPS


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the latter two excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.bottom - self.top) * (self.right - self.left)


def cutmix(images: Tensor, onehot: Tensor, box: Box, permutation: np.ndarray) -> tuple[Tensor, Tensor]:
    """``x`` with the box of ``x[permutation]``; labels blended by the areas, ``1 - box / (H * W)`` of the own."""
    H, W = images.shape[2:]
    other = paddle.to_tensor(permutation)
    inside = np.zeros([H, W], bool)
    inside[box.top : box.bottom, box.left : box.right] = True
    mixed = paddle.where(paddle.to_tensor(inside), images.index_select(other), images)
    ratio = 1 - box.area / (H * W)
    return mixed, onehot * ratio + onehot.index_select(other) * (1 - ratio)


def draw_box(H: int, W: int, ratio: float, rng: np.random.Generator) -> Box:
    """A box of about ``1 - ratio`` of the image; its centre is even over the image, what sticks out is cut off.

    Draws the centre's row, then its column.
    """
    cut = math.sqrt(1 - ratio)
    top, bottom = _span(H, int(H * cut), int(rng.integers(H)))
    left, right = _span(W, int(W * cut), int(rng.integers(W)))
    return Box(top, bottom, left, right)


@BATCH_OPS.register
class CutmixOperator:
    """CutMix of every batch, with one box a batch.

    Draws a permutation, the ratio from Beta(alpha, alpha), then the box.

    Args:
        alpha: above 0.
    Source: PaddleClas ``CutmixOperator``.
    """

    def __init__(self, class_num: int, alpha: float = 0.2) -> None:
        check_arguments("CutmixOperator", alpha, class_num)
        self._class_num = class_num
        self._alpha = alpha

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Labels int64 ``[N]`` or soft ``[N, class_num]`` -> soft."""
        permutation = rng.permutation(len(images))
        box = draw_box(*images.shape[2:], rng.beta(self._alpha, self._alpha), rng)
        return cutmix(images, soft_labels(labels, self._class_num, images), box, permutation)


def _span(side: int, length: int, centre: int) -> tuple[int, int]:
    return max(centre - length // 2, 0), min(centre + length // 2, side)

"""mixup (https://arxiv.org/abs/1710.09412): every sample blended with another of its batch."""

import numpy as np
import paddle
from paddle import Tensor

from ppcls.data.preprocess.batch_ops.soft_labels import check_arguments, soft_labels
from ppcls.registry import BATCH_OPS


def mixup(images: Tensor, onehot: Tensor, ratio: float, permutation: np.ndarray) -> tuple[Tensor, Tensor]:
    """``ratio * x + (1 - ratio) * x[permutation]``, of images ``[N, C, H, W]`` and of labels ``[N, class_num]``."""
    other = paddle.to_tensor(permutation)
    return _blend(images, images.index_select(other), ratio), _blend(onehot, onehot.index_select(other), ratio)


@BATCH_OPS.register
class MixupOperator:
    """mixup of every batch, with one ratio a batch.

    Draws a permutation, then the ratio from Beta(alpha, alpha).

    Args:
        alpha: above 0; small values leave most batches nearly as they are.
    Source: PaddleClas ``MixupOperator``.
    """

    def __init__(self, class_num: int, alpha: float = 1.0) -> None:
        check_arguments("MixupOperator", alpha, class_num)
        self._class_num = class_num
        self._alpha = alpha

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Labels int64 ``[N]`` or soft ``[N, class_num]`` -> soft."""
        permutation = rng.permutation(len(images))
        ratio = rng.beta(self._alpha, self._alpha)
        return mixup(images, soft_labels(labels, self._class_num, images), ratio, permutation)


def _blend(own: Tensor, other: Tensor, ratio: float) -> Tensor:
    return own * ratio + other * (1 - ratio)

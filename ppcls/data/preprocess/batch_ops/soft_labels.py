"""Class numbers -> one row of probabilities a sample."""

import paddle
import paddle.nn.functional as F
from paddle import Tensor


def soft_labels(labels: Tensor, class_num: int, images: Tensor) -> Tensor:
    """``[N, class_num]``: one-hot of int64 ``[N]``, or soft labels as they are.

    float64 beside float64 images, else float32: half precision would round smoothed targets away.

    Raises:
        ValueError: soft labels of another width, which is a class_num that differs from the data's.
    """
    dtype = "float64" if images.dtype == paddle.float64 else "float32"
    if labels.ndim == 1:
        return F.one_hot(labels, class_num).astype(dtype)
    if labels.shape[1] != class_num:
        raise ValueError(f"soft labels have {labels.shape[1]} classes, Arch.class_num is {class_num}")
    return labels.astype(dtype)


def check_arguments(op: str, alpha: float, class_num: int) -> None:
    """ValueError in the name of ``op`` unless both are above 0."""
    if not alpha > 0:
        raise ValueError(f"{op} alpha is the parameter of Beta(alpha, alpha), above 0; got {alpha}")
    if class_num < 1:
        raise ValueError(f"{op} class_num is at least 1; got {class_num}")

"""From one octave to the other: the mean over squares of pixels, and nearest upsampling."""

from functools import lru_cache

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

from ppcls.arch.layers.layout import NCHW, DataFormat, sides

# While training on a CPU both are products with a constant matrix if a row is no longer than this: [16, 81, 96, 96],
# forward and backward, the mean 18 ms against 75 by pooling; [16, 27, 48, 48], upsampling 6 against 25 (2 cores).
_LONGEST_ROW = 128


# Defaults below are spelt out: to_static builds these functions anew, where it does not know our names.
def shrink(x: Tensor, factor: int, data_format: DataFormat = "NCHW", training: bool = False) -> Tensor:
    """The mean over ``factor x factor`` pixels, or over those of them inside.

    Args:
        training: for finite maps, equal up to rounding is enough, if that is faster.
    Shape:
        ``[N, C, H, W]`` -> ``[N, C, ceil(H / factor), ceil(W / factor)]``.
    """
    height, width = sides(x, data_format)
    if height % factor == 0 and width % factor == 0 and training and _by_matrix(x, width, data_format):
        means = paddle.matmul(x.reshape([-1, factor * width]), _means(width, factor, x.dtype))
        return means.reshape([x.shape[0], x.shape[1], height // factor, width // factor])
    return F.avg_pool2d(x, kernel_size=factor, stride=factor, ceil_mode=True, exclusive=True, data_format=data_format)


def double(x: Tensor, data_format: DataFormat = "NCHW", training: bool = False) -> Tensor:
    """Each pixel twice in each direction: nearest upsampling, ``y[p, q] = x[p // 2, q // 2]``.

    By reshaping, not by ``interpolate``: exporters stop on its scale factor, and its output size makes shapes dynamic.

    Args:
        training: as for ``shrink``.
    Shape:
        ``[N, C, H, W]`` -> ``[N, C, 2H, 2W]``.
    """
    height, width = sides(x, data_format)
    if training and _by_matrix(x, 2 * width, data_format):
        pairs = paddle.matmul(x.reshape([-1, width]), _copies(width, x.dtype))
        return pairs.reshape([x.shape[0], x.shape[1], 2 * height, 2 * width])
    if data_format != NCHW:
        channels = x.shape[3]
        pairs = x.reshape([0, height, 1, width, 1, channels]).expand([-1, -1, 2, -1, 2, -1])
        return pairs.reshape([0, 2 * height, 2 * width, channels])
    pairs = x.reshape([0, 0, height, 1, width, 1]).expand([-1, -1, -1, 2, -1, 2])
    return pairs.reshape([0, 0, 2 * height, 2 * width])


def crop(x: Tensor, size: tuple[int, int], data_format: DataFormat = "NCHW") -> Tensor:
    """The first rows and columns: ``[N, C, H', W']`` -> ``[N, C, *size]``."""
    height, width = size
    if (height, width) == sides(x, data_format):
        return x
    return x[:, :, :height, :width] if data_format == NCHW else x[:, :height, :width]


def _by_matrix(x: Tensor, row: int, data_format: DataFormat) -> bool:
    """Whether a product may stand in: on a CPU, not while a program is traced."""
    is_small = paddle.in_dynamic_mode() and row <= _LONGEST_ROW
    return is_small and data_format == NCHW and can_multiply(x)


def can_multiply(x: Tensor) -> bool:
    """Whether ``x``, of no traced program, lies on a CPU and holds what Paddle multiplies there."""
    return x.place.is_cpu_place() and x.dtype in (paddle.float32, paddle.float64)


@lru_cache(maxsize=64)
def _means(width: int, factor: int, dtype: paddle.dtype) -> Tensor:
    """``factor`` rows, one after the other -> the row of their means: ``[factor * width, width / factor]``."""
    of_a_row = np.kron(np.eye(width // factor), np.ones((factor, 1))) / factor**2
    return paddle.to_tensor(np.tile(of_a_row, (factor, 1)), dtype, paddle.CPUPlace())


@lru_cache(maxsize=64)
def _copies(width: int, dtype: paddle.dtype) -> Tensor:
    """A row -> two rows, each pixel twice in both: ``[width, 4 * width]``."""
    return paddle.to_tensor(np.tile(np.kron(np.eye(width), np.ones((1, 2))), (1, 2)), dtype, paddle.CPUPlace())

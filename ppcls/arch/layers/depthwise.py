"""Depthwise convolution that a CPU can train on small maps."""

from functools import lru_cache

import numpy as np
import paddle
from paddle import ParamAttr, Tensor, nn

from ppcls.arch.layers.layout import NCHW, DataFormat, column, sides
from ppcls.arch.layers.resample import can_multiply

# Up to so many pixels the product below beats Paddle's kernel, which runs one tiny product a sample and channel:
# [32, 240, 2, 2] forward and backward 1.4 ms against 74, [32, 96, 8, 8] 48 against 75, [4, 324, 8, 8] 1.9 against 5.0,
# [16, 324, 12, 12] 17 against 28, but [4, 324, 12, 12] 16 against 7 (2 cores, Paddle 3.3.1).
_MOST_PIXELS = 64
_MOST_IN_LARGE_BATCHES = 144  # of pixels / 9 samples or more, for which it pays to build the matrices


class DepthwiseConv2D(nn.Conv2D):
    """A convolution with a filter for each channel, stride 1 and the padding that keeps the size.

    While training on a CPU, small maps go through one matrix a channel instead: the same sums in another order, so
    equal up to rounding where all numbers are finite. Evaluation, export and GPUs use Paddle's convolution.

    Args:
        kernel_size: odd.
        weight_attr: as of ``nn.Conv2D``.
        bias_attr: the same; False for none.
    Shape:
        ``[N, C, H, W]`` -> the same.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        weight_attr: ParamAttr | None = None,
        bias_attr: ParamAttr | bool | None = None,
    ) -> None:
        padding = kernel_size // 2
        how = {"weight_attr": weight_attr, "bias_attr": bias_attr}
        super().__init__(channels, channels, kernel_size, padding=padding, groups=channels, **how)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve every channel with its own filter."""
        height, width = sides(x, self._data_format)
        is_small = paddle.in_dynamic_mode() and _pays(height * width, x.shape[0])
        if not (self.training and is_small and can_multiply(x)):
            return super().forward(x)
        y = _by_matrices(x, self.weight, self._data_format)
        return y if self.bias is None else y + column(self.bias, self._data_format)


def _pays(pixels: int, samples: int) -> bool:
    return pixels <= max(_MOST_PIXELS, min(9 * samples, _MOST_IN_LARGE_BATCHES))


def _by_matrices(x: Tensor, weight: Tensor, data_format: DataFormat) -> Tensor:
    """The convolution as a product of each channel's pixels with a matrix made of its filter."""
    n, c, (h, w) = x.shape[0], len(weight), sides(x, data_format)
    pixels = h * w
    placement = _placement(h, w, weight.shape[2], x.dtype)
    matrices = paddle.matmul(weight.reshape([c, -1]), placement).reshape([c, pixels, pixels])
    if data_format == NCHW:
        rows = x.reshape([n, c, pixels]).transpose([1, 0, 2])  # [C, N, H * W]
        return paddle.bmm(rows, matrices).transpose([1, 0, 2]).reshape([n, c, h, w])
    rows = x.reshape([n, pixels, c]).transpose([2, 0, 1])  # [C, N, H * W]
    return paddle.bmm(rows, matrices).transpose([1, 2, 0]).reshape([n, h, w, c])


@lru_cache(maxsize=64)
def _placement(height: int, width: int, kernel: int, dtype: paddle.dtype) -> Tensor:
    """0/1 matrix ``[kernel**2, (H * W)**2]``: which pixel each tap of a filter reads for which pixel of the result."""
    reach = kernel // 2
    taken = np.zeros((kernel, kernel, height, width, height, width), "float32")
    for dy, dx, y, x in np.ndindex(kernel, kernel, height, width):
        source_y, source_x = y + dy - reach, x + dx - reach
        if 0 <= source_y < height and 0 <= source_x < width:
            taken[dy, dx, source_y, source_x, y, x] = 1
    return paddle.to_tensor(taken.reshape(kernel * kernel, -1), dtype, paddle.CPUPlace())

"""Batch norm over the samples of all ranks.

Source: "MegDet", arXiv 1711.07240, section 3.2; the rule of the running statistics is Paddle's ``BatchNorm2D``.
"""

from typing import Any

import numpy as np
import paddle
import paddle.distributed
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from ppcls.arch.layers.layout import DataFormat, column, pixel_axes, sides
from ppcls.utils import dist


def synchronise(network: nn.Layer) -> nn.Layer:
    """The network with every ``BatchNorm2D`` in it sharing its statistics; weights and their names stay as they are.

    One that always uses its running statistics has nothing to share and stays.
    """
    for parent in network.sublayers(include_self=True):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2D) and not child._use_global_stats:
                parent.add_sublayer(name, SyncBatchNorm2D(child))
    return network


class SyncBatchNorm2D(nn.SyncBatchNorm):
    """A ``BatchNorm2D`` whose mean and variance in training are those of all ranks' pixels, each counted once.

    All ranks call it, in the same order. GPUs use Paddle's kernel, which no CPU has. Evaluation is plain batch norm,
    so that it gives the very numbers of a network without ranks.

    Shape:
        ``[N, C, H, W]`` -> the same; N, H and W may differ between ranks.
    """

    def __init__(self, norm: nn.BatchNorm2D) -> None:
        super().__init__(norm._num_features, norm._momentum, norm._epsilon, data_format=norm._data_format)
        # The same tensors, not copies: they keep their names, by which optimizers and checkpoints know them.
        self.weight, self.bias = norm.weight, norm.bias
        self._mean, self._variance = norm._mean, norm._variance
        self.training = norm.training
        # Paddle's kernels hold both constants in float32, also where they compute in float64.
        self._small = float(np.float32(norm._epsilon))
        self._kept = float(np.float32(norm._momentum))
        self._taken = float(np.float32(1.0) - np.float32(norm._momentum))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every channel."""
        if not self.training:
            return self._by_running_statistics(x)
        if x.place.is_gpu_place():
            return super().forward(x)
        wide = x.astype(self._mean.dtype)
        layout = self._data_format
        mean, variance = moments_over_ranks(wide, layout)  # [C] both
        self._track(mean, variance)
        y = (wide - column(mean, layout)) * column(paddle.rsqrt(variance + self._small), layout)
        y = y if self.weight is None else y * column(self.weight, layout)
        y = y if self.bias is None else y + column(self.bias, layout)
        return y.astype(x.dtype)

    def _by_running_statistics(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x,
            self._mean,
            self._variance,
            self.weight,
            self.bias,
            epsilon=self._epsilon,
            data_format=self._data_format,
        )

    @paddle.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        for running, batch in ((self._mean, mean), (self._variance, variance)):
            paddle.assign(running * self._kept + batch * self._taken, output=running)


def moments_over_ranks(x: Tensor, data_format: DataFormat) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every channel, over the samples and pixels of all ranks; gradients cross ranks too.

    Shape:
        ``[N, C, H, W]`` or ``[N, H, W, C]`` -> ``[C]`` twice.
    """
    height, width = sides(x, data_format)
    pixels = paddle.full([1], x.shape[0] * height * width, x.dtype)
    all_but_channels = [0, *pixel_axes(data_format)]
    sums = _Sum.apply(paddle.concat([x.sum(all_but_channels), pixels]))  # [C + 1]
    mean, count = sums[:-1] / sums[-1:], sums[-1:].detach()
    # A second exchange, not the mean of squares less the squared mean: that one loses digits where the mean is large.
    deviation = x - column(mean, data_format)
    variance = _Sum.apply((deviation * deviation).sum(all_but_channels)) / count
    return mean, variance


class _Sum(PyLayer):
    """The sum over all ranks, which each rank's loss depends on: so its gradient is a sum over them as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum_over_ranks(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum_over_ranks(gradient)


def _sum_over_ranks(x: Tensor) -> Tensor:
    total = x.clone()
    if dist.world_size() > 1:
        paddle.distributed.all_reduce(total)
    return total

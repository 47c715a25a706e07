"""Convolution, batch norm and linear layer as every network here starts them, and convolution with batch norm."""

from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Initializer

from ppcls.arch.layers import init
from ppcls.arch.layers.depthwise import DepthwiseConv2D


def conv2d(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2D:
    """A convolution with an odd kernel and padding ``(kernel_size - 1) / 2``.

    Shape:
        ``[N, in_channels, H, W]`` -> ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``.
    """
    assert kernel_size % 2 == 1, kernel_size
    weight_attr = _attr(init.conv_weight(in_channels, kernel_size))
    bias_attr = _attr(init.bias()) if bias else False
    if 1 < groups == in_channels == out_channels and stride == 1:
        return DepthwiseConv2D(in_channels, kernel_size, weight_attr, bias_attr)
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=(kernel_size - 1) // 2,
        groups=groups,
        weight_attr=weight_attr,
        bias_attr=bias_attr,
    )


def batch_norm(channels: int, momentum: float = 0.9, epsilon: float = 1e-5) -> nn.BatchNorm2D:
    """Batch norm; ``momentum`` is the share of the running statistics that a batch leaves as it was."""
    return nn.BatchNorm2D(
        channels,
        momentum=momentum,
        epsilon=epsilon,
        weight_attr=_attr(init.norm_weight()),
        bias_attr=_attr(init.bias()),
    )


def linear(in_features: int, out_features: int) -> nn.Linear:
    """``[N, in_features]`` -> ``[N, out_features]``, with bias."""
    return nn.Linear(
        in_features,
        out_features,
        weight_attr=_attr(init.linear_weight(in_features, out_features)),
        bias_attr=_attr(init.bias()),
    )


class ConvBN(nn.Layer):
    """Convolution without bias, then batch norm.

    PaddleClas's weight files name the two ``_conv`` and ``_batch_norm``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self._conv = conv2d(in_channels, out_channels, kernel_size, stride, groups)
        self._batch_norm = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in_channels, H, W]`` -> ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``."""
        return self._batch_norm(self._conv(x))


def _attr(initializer: Initializer) -> ParamAttr:
    return ParamAttr(initializer=initializer)

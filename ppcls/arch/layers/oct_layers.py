"""What stands around an octave convolution: batch norm, activations and pooling, part by part; the way in and out."""

import paddle.nn.functional as F
from paddle import Tensor, nn

from ppcls.arch.layers.conv_bn import batch_norm
from ppcls.arch.layers.layout import NCHW, DataFormat
from ppcls.arch.layers.octave import Octave, OctaveChannels, enter, leave
from ppcls.arch.layers.resample import shrink


class OctBatchNorm(nn.Layer):
    """Batch norm with statistics of its own for each part, ``bn_h`` and ``bn_l``.

    Args:
        momentum: share of the running statistics that a batch leaves as it was; 0.92 in the paper's ablation networks.
        epsilon: 1e-4 in the paper's ablation networks.
    """

    def __init__(self, channels: OctaveChannels, momentum: float = 0.9, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.bn_h = batch_norm(channels.high, momentum, epsilon) if channels.high else None
        self.bn_l = batch_norm(channels.low, momentum, epsilon) if channels.low else None

    def forward(self, x: Octave) -> Octave:
        """Shapes stay as they are."""
        high = x.high if x.high is None else self.bn_h(x.high)
        low = x.low if x.low is None else self.bn_l(x.low)
        return Octave(high, low, x.size)


class OctStandardize(OctBatchNorm):
    """``OctBatchNorm`` without a trained scale and shift: these stay 1 and 0, or what a weight file says."""

    def __init__(self, channels: OctaveChannels) -> None:
        super().__init__(channels)
        for parameter in self.parameters():
            parameter.stop_gradient = True


class OctActivation(nn.Layer):
    """An activation, applied to each part.

    Args:
        activation: a layer without parameters that keeps shapes, like ``nn.ReLU6()``.
    """

    def __init__(self, activation: nn.Layer) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Octave) -> Octave:
        """Shapes stay as they are."""
        high = x.high if x.high is None else self.activation(x.high)
        low = x.low if x.low is None else self.activation(x.low)
        return Octave(high, low, x.size)


class OctMaxPool(nn.Layer):
    """The largest of 3x3 pixels, stride 2, padding 1, in each part.

    Shape:
        ``(H, W)`` -> ``(ceil(H / 2), ceil(W / 2))``.
    """

    _data_format: DataFormat = NCHW

    def forward(self, x: Octave) -> Octave:
        """Half the size, same channels."""
        high = x.high if x.high is None else self._pool(x.high)
        low = x.low if x.low is None else self._pool(x.low)
        return Octave(high, low, _half(x.size))

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1, data_format=self._data_format)


class OctAvgPool(nn.Layer):
    """The mean of 2x2 pixels, or of those of them inside, stride 2, in each part.

    Shape:
        ``(H, W)`` -> ``(ceil(H / 2), ceil(W / 2))``.
    """

    _data_format: DataFormat = NCHW

    def forward(self, x: Octave) -> Octave:
        """Half the size, same channels."""
        high = x.high if x.high is None else shrink(x.high, 2, self._data_format, self.training)
        low = x.low if x.low is None else shrink(x.low, 2, self._data_format, self.training)
        return Octave(high, low, _half(x.size))


class Enter(nn.Layer):
    """The way from plain layers to octave ones: a map without a low part."""

    def forward(self, x: Tensor) -> Octave:
        """A plain map as the high part."""
        return enter(x)


class Leave(nn.Layer):
    """The way from octave layers to plain ones; the layer before has alpha_out = 0."""

    def forward(self, x: Octave) -> Tensor:
        """The high part."""
        return leave(x)


def _half(size: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if size is None else (-(-size[0] // 2), -(-size[1] // 2))

"""What stands around an octave convolution: batch norm and activations, part by part."""

from paddle import nn

from ppcls.arch.layers.conv_bn import batch_norm
from ppcls.arch.layers.octave import Octave, OctaveChannels


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

"""Pre-activation: the unit of batch norm, ReLU and octave convolution, and what stands before and after all units.

Source: "Identity Mappings in Deep Residual Networks", arXiv 1603.05027; with octaves and with these settings of batch
norm, the networks of the ablation in "Drop an Octave", arXiv 1904.05049.
"""

from paddle import nn

from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import Octave, OctaveChannels

MOMENTUM, EPSILON = 0.92, 1e-4  # of every batch norm in those networks


class OctPreActConv(nn.Layer):
    """Batch norm with ``MOMENTUM`` and ``EPSILON``, ReLU, octave convolution without bias.

    Weights are ``bn`` and ``conv``.

    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(
        self,
        in_channels: OctaveChannels,
        out_channels: OctaveChannels,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.bn = OctBatchNorm(in_channels, MOMENTUM, EPSILON)
        self.relu = OctActivation(nn.ReLU())
        self.conv = OctConv2D(in_channels, out_channels, kernel_size, stride, groups)

    def forward(self, x: Octave) -> Octave:
        """The map with ``out_channels``."""
        return self.conv(self.relu(self.bn(x)))


def pre_act_stem(image_channels: int, channels: int) -> nn.Sequential:
    """7x7 with stride 2, batch norm, ReLU, 3x3 max pool with stride 2; plain until then."""
    return nn.Sequential(
        ("picture", Picture()),
        ("conv", conv2d(image_channels, channels, kernel_size=7, stride=2)),
        ("bn", batch_norm(channels, MOMENTUM, EPSILON)),
        ("relu", nn.ReLU()),
        ("pool", nn.MaxPool2D(kernel_size=3, stride=2, padding=1)),
        ("enter", Enter()),
    )


def pre_act_tail(channels: int) -> nn.Sequential:
    """The batch norm and ReLU that no convolution follows; the map is plain again."""
    return nn.Sequential(("leave", Leave()), ("bn", batch_norm(channels, MOMENTUM, EPSILON)), ("relu", nn.ReLU()))

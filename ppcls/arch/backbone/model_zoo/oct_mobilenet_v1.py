"""Oct-MobileNetV1.

"Drop an Octave", arXiv 1904.05049, table 5, and its official code; blocks from "MobileNets", arXiv 1704.04861.

===== ===== ========== ============ ============= =============
scale alpha parameters MACs at 224  top-1 / top-5 plain (alpha 0)
===== ===== ========== ============ ============= =============
.75   .375  2,585,560  211,379,016  70.5 / 89.5   325,400,448
1.0   .5    4,231,976  318,167,680  72.5 / 90.6   568,740,352
===== ===== ========== ============ ============= =============

Maps stay in two octaves from the first block to the eleventh, which merges them. A stride is a mean over 2x2 pixels
before the convolution, also at alpha 0. Names of the weights are the official ones, but for ``head``.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import paddle
from paddle import nn

from ppcls.arch.layers.channels import check_alpha, check_scale, scale_channels
from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.head import Head
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import Octave, OctaveChannels
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "arXiv 1904.05049, official code"


class _Block(NamedTuple):
    channels: int
    stride: int
    has_low: bool


# The last two have 7x7 maps at 224, whose low part would be of 3.5 pixels; the one before them hands over a plain map.
_BLOCKS = (
    _Block(channels=64, stride=1, has_low=True),
    _Block(channels=128, stride=2, has_low=True),
    _Block(channels=128, stride=1, has_low=True),
    _Block(channels=256, stride=2, has_low=True),
    _Block(channels=256, stride=1, has_low=True),
    _Block(channels=512, stride=2, has_low=True),
    *[_Block(channels=512, stride=1, has_low=True)] * 4,
    _Block(channels=512, stride=1, has_low=False),
    _Block(channels=1024, stride=2, has_low=False),
    _Block(channels=1024, stride=1, has_low=False),
)


class OctSeparable(nn.Layer):
    """3x3 depthwise, then 1x1, each with batch norm and ReLU.

    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(self, in_channels: OctaveChannels, out_channels: OctaveChannels, stride: int) -> None:
        super().__init__()
        self.conv1 = OctConv2D(in_channels, in_channels, kernel_size=3, stride=stride, groups=in_channels.total)
        self.bn1 = OctBatchNorm(in_channels)
        self.conv2 = OctConv2D(in_channels, out_channels, kernel_size=1)
        self.bn2 = OctBatchNorm(out_channels)
        self.relu = OctActivation(nn.ReLU())

    @paddle.jit.not_to_static  # it has nothing to translate, and takes its time
    def forward(self, x: Octave) -> Octave:
        """The map with ``out_channels``."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)))


@BACKBONES.register
@published(top1=72.5, top5=90.6, source=_SOURCE)
class OctMobileNetV1(nn.Sequential):
    """Oct-MobileNetV1; at width 1 and alpha .5: 4.2 M parameters, 318 M multiply-adds.

    Args:
        scale: multiplies every width.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network with the same blocks.
        dropout: before the classifier.
    Raises:
        ValueError: an argument out of range, or a ``scale`` that leaves no channel.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        scale: float = 1.0,
        alpha: float = 0.5,
        class_num: int = 1000,
        dropout: float = 0.0,
        input_image_channel: int = 3,
    ) -> None:
        check_scale(scale)
        check_alpha(alpha)
        stem = scale_channels(32, scale)
        first = conv2d(input_image_channel, stem, kernel_size=3, stride=2)
        super().__init__(
            ("picture", Picture()),
            ("conv1", nn.Sequential(first, batch_norm(stem), nn.ReLU(), Enter())),
            *_blocks(scale, alpha),
            ("leave", Leave()),
            ("head", Head(scale_channels(_BLOCKS[-1].channels, scale), class_num, dropout)),
        )


def _blocks(scale: float, alpha: float) -> Iterator[tuple[str, nn.Layer]]:
    """The blocks with their names: L is one more after each stride, B counts from there; the first is L1_B1."""
    level, index = 1, 0
    in_channels = OctaveChannels(scale_channels(32, scale))
    for block in _BLOCKS:
        level, index = (level + 1, 0) if block.stride == 2 else (level, index + 1)
        out_channels = OctaveChannels.split(scale_channels(block.channels, scale), alpha if block.has_low else 0.0)
        yield f"L{level}_B{index}", OctSeparable(in_channels, out_channels, block.stride)
        in_channels = out_channels


@BACKBONES.register(accepts=OctMobileNetV1, sets=["scale"])
@published(top1=70.5, top5=89.5, source=_SOURCE)
def OctMobileNetV1_x0_75(alpha: float = 0.375, **kwargs: Any) -> OctMobileNetV1:
    """Width 0.75; at alpha .375: 2.6 M parameters, 211 M multiply-adds."""
    return OctMobileNetV1(scale=0.75, alpha=alpha, **kwargs)

"""MobileNetV1, with the names and order of PaddleClas's weight files; octave networks at alpha > 0.

"MobileNets", arXiv 1704.04861; "Drop an Octave", arXiv 1904.05049, table 5, and its official code.

================= ========== =========== =============
name              parameters MACs at 224 top-1 / top-5
================= ========== =========== =============
MobileNetV1_x0_25 470,072    41,030,272  51.43 / 75.46
MobileNetV1_x0_5  1,331,592  149,497,088 63.52 / 84.73
MobileNetV1_x0_75 2,585,560  325,400,448 68.81 / 88.23
MobileNetV1       4,231,976  568,740,352 70.99 / 89.68
================= ========== =========== =============

With octaves the first block takes a plain map, the tenth's is merged, the last two blocks are plain, and every stride
behind the stem is a mean over 2x2 pixels: with the weights of the official network, the same logits. Top-1 and top-5
are PaddleClas's (model overview of 2.6), for alpha 0.
"""

from collections.abc import Iterator
from typing import Any

import paddle
from paddle import nn

from ppcls.arch.layers.channels import check_alpha, check_class_num, check_scale, scale_channels
from ppcls.arch.layers.conv_bn import linear
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv_bn import Channels, OctConvBN, Style
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation
from ppcls.arch.layers.octave import Octave
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"
_STEM = 32
# (output channels, stride) of each block; the last two have 7x7 maps at 224, and stay plain.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
_PLAIN_BLOCKS = 2


class DepthwiseSeparable(nn.Layer):
    """3x3 depthwise, then 1x1, each with batch norm and ReLU.

    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(self, inputs: Channels, outputs: Channels, stride: int, style: Style) -> None:
        super().__init__()
        self.depthwise_conv = OctConvBN(inputs, inputs, 3, stride, inputs.parts.total, style)
        self.pointwise_conv = OctConvBN(inputs, outputs, 1, style=style)
        self.relu = OctActivation(nn.ReLU())

    # Its branches depend on the structure alone: to_static has nothing to translate, and takes its time.
    @paddle.jit.not_to_static
    def forward(self, x: Octave) -> Octave:
        """A map with the channels of ``outputs``."""
        return self.relu(self.pointwise_conv(self.relu(self.depthwise_conv(x))))


@BACKBONES.register
@published(top1=70.99, top5=89.68, source=_SOURCE)
class MobileNetV1(nn.Sequential):
    """MobileNetV1; 4.2 M parameters, 569 M multiply-adds at width 1.

    Args:
        scale: multiplies every width.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network.
    Raises:
        ValueError: an argument out of range, or a ``scale`` that leaves no channel.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self, scale: float = 1.0, alpha: float = 0.0, class_num: int = 1000, input_image_channel: int = 3
    ) -> None:
        check_scale(scale)
        style = Style("conv", "bn", pools=check_alpha(alpha) > 0)
        image, stem = Channels.split(input_image_channel, 0), Channels.split(scale_channels(_STEM, scale), 0)
        super().__init__(
            ("picture", Picture()),
            ("enter", Enter()),
            ("conv", OctConvBN(image, stem, 3, 2, style=style._replace(pools=False))),
            ("relu", OctActivation(nn.ReLU())),
            ("blocks", nn.Sequential(*_blocks(scale, alpha, style))),
            ("leave", Leave()),
            ("avg_pool", nn.AdaptiveAvgPool2D(1)),  # [N, features, 1, 1]
            ("flatten", nn.Flatten()),
            ("fc", linear(scale_channels(_BLOCKS[-1][0], scale), check_class_num(class_num))),
        )


def _blocks(scale: float, alpha: float, style: Style) -> Iterator[DepthwiseSeparable]:
    inputs = Channels.split(scale_channels(_STEM, scale), 0)
    first_plain = len(_BLOCKS) - _PLAIN_BLOCKS
    for number, (channels, stride) in enumerate(_BLOCKS):
        outputs = Channels.split(scale_channels(channels, scale), alpha if number + 1 < first_plain else 0.0)
        yield DepthwiseSeparable(inputs, outputs, stride, style)
        inputs = outputs


@BACKBONES.register(accepts=MobileNetV1, sets=["scale"])
@published(top1=51.43, top5=75.46, source=_SOURCE)
def MobileNetV1_x0_25(**kwargs: Any) -> MobileNetV1:
    """Width 0.25."""
    return MobileNetV1(scale=0.25, **kwargs)


@BACKBONES.register(accepts=MobileNetV1, sets=["scale"])
@published(top1=63.52, top5=84.73, source=_SOURCE)
def MobileNetV1_x0_5(**kwargs: Any) -> MobileNetV1:
    """Width 0.5."""
    return MobileNetV1(scale=0.5, **kwargs)


@BACKBONES.register(accepts=MobileNetV1, sets=["scale"])
@published(top1=68.81, top5=88.23, source=_SOURCE)
def MobileNetV1_x0_75(**kwargs: Any) -> MobileNetV1:
    """Width 0.75."""
    return MobileNetV1(scale=0.75, **kwargs)

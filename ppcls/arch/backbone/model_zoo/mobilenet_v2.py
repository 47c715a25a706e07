"""MobileNetV2, arXiv 1801.04381, with the names and order of PaddleClas's weight files; octave networks at alpha > 0.

================= ===== ========== ============= =============
name              scale parameters MACs at 224   top-1 / top-5
================= ===== ========== ============= =============
MobileNetV2_x0_25 .25   1,517,392  30,480,864    53.21 / 76.52
MobileNetV2_x0_5  .5    1,965,736  92,271,040    65.03 / 85.72
MobileNetV2_x0_75 .75   2,628,592  186,650,528   69.83 / 89.01
MobileNetV2       1     3,505,960  313,619,328   72.15 / 90.65
MobileNetV2_x1_5  1.5   6,852,712  681,017,664   74.12 / 91.67
MobileNetV2_x2_0  2     11,262,312 1,188,808,448 75.23 / 92.58
================= ===== ========== ============= =============

Strides are in the depthwise convolutions. As in PaddleClas, the first block has its 1x1 expansion although it expands
by 1, and widths are truncated, not rounded to 8. Top-1 and top-5 are PaddleClas's (model overview of 2.6), alpha 0.

With octaves ("Drop an Octave", arXiv 1904.05049) only the expanded tensor of a block is in two, none in the last two
stages, and every stride behind the stem is a mean over 2x2 pixels: oct_mobilenet_v2.py under other names of weights.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.channels import check_alpha, check_class_num, check_scale, scale_channels
from ppcls.arch.layers.conv_bn import ConvBN, linear
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv_bn import Channels, OctConvBN, Style
from ppcls.arch.layers.oct_layers import OctActivation
from ppcls.arch.layers.octave import enter, leave
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"


class _Stage(NamedTuple):
    expansion: int
    channels: int
    blocks: int
    stride: int
    has_low: bool = True


# The last two have 7x7 maps at 224, whose low part would be of 3.5 pixels.
_STAGES = (
    _Stage(expansion=1, channels=16, blocks=1, stride=1),
    _Stage(expansion=6, channels=24, blocks=2, stride=2),
    _Stage(expansion=6, channels=32, blocks=3, stride=2),
    _Stage(expansion=6, channels=64, blocks=4, stride=2),
    _Stage(expansion=6, channels=96, blocks=3, stride=1),
    _Stage(expansion=6, channels=160, blocks=3, stride=2, has_low=False),
    _Stage(expansion=6, channels=320, blocks=1, stride=1, has_low=False),
)


class InvertedResidual(nn.Layer):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection, plus the input where shapes allow.

    Shape:
        ``[N, in_channels, H, W]`` -> ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``.
    """

    def __init__(self, in_channels: int, out_channels: int, stage: _Stage, stride: int, alpha: float) -> None:
        super().__init__()
        style = Style(pools=alpha > 0)
        inputs, outputs = Channels.split(in_channels, 0), Channels.split(out_channels, 0)
        middle = Channels.split(in_channels * stage.expansion, alpha if stage.has_low else 0.0)
        self._expand_conv = OctConvBN(inputs, middle, 1, style=style)
        self._bottleneck_conv = OctConvBN(middle, middle, 3, stride, middle.parts.total, style)
        self._linear_conv = OctConvBN(middle, outputs, 1, style=style)
        self.relu6 = OctActivation(nn.ReLU6())
        self.adds_input = stride == 1 and in_channels == out_channels

    # Its branches depend on the structure alone: to_static has nothing to translate, and takes its time.
    @paddle.jit.not_to_static
    def forward(self, x: Tensor) -> Tensor:
        """Plain maps in and out; only the expanded one is in two octaves."""
        y = self.relu6(self._expand_conv(enter(x)))
        y = self.relu6(self._bottleneck_conv(y))
        y = leave(self._linear_conv(y))
        return x + y if self.adds_input else y


@BACKBONES.register
@published(top1=72.15, top5=90.65, source=_SOURCE)
class MobileNetV2(nn.Sequential):
    """MobileNetV2; 3.5 M parameters, 314 M multiply-adds at width 1.

    Args:
        scale: multiplies every width; the last one (1280) only if it is above 1.
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
        check_alpha(alpha)
        stem = scale_channels(32, scale)
        features = scale_channels(1280, max(scale, 1.0))
        super().__init__(
            ("picture", Picture()),
            ("conv1", ConvBN(input_image_channel, stem, kernel_size=3, stride=2)),
            ("relu6_1", nn.ReLU6()),
            *_stages(scale, alpha),
            ("conv9", ConvBN(scale_channels(_STAGES[-1].channels, scale), features, kernel_size=1)),
            ("relu6_9", nn.ReLU6()),
            ("pool", nn.AdaptiveAvgPool2D(1)),  # [N, features, 1, 1]
            ("flatten", nn.Flatten()),
            ("out", linear(features, check_class_num(class_num))),
        )


def _stages(scale: float, alpha: float) -> Iterator[tuple[str, nn.Layer]]:
    """``conv2`` to ``conv8``, the second block of ``conv3`` being ``conv3.conv3_2``."""
    in_channels = scale_channels(32, scale)
    for number, stage in enumerate(_STAGES, start=2):
        out_channels = scale_channels(stage.channels, scale)
        first = InvertedResidual(in_channels, out_channels, stage, stage.stride, alpha)
        others = [
            (f"conv{number}_{index}", InvertedResidual(out_channels, out_channels, stage, 1, alpha))
            for index in range(2, stage.blocks + 1)
        ]
        yield f"conv{number}", nn.Sequential(("_first_block", first), *others)
        in_channels = out_channels


@BACKBONES.register(accepts=MobileNetV2, sets=["scale"])
@published(top1=53.21, top5=76.52, source=_SOURCE)
def MobileNetV2_x0_25(**kwargs: Any) -> MobileNetV2:
    """Width 0.25."""
    return MobileNetV2(scale=0.25, **kwargs)


@BACKBONES.register(accepts=MobileNetV2, sets=["scale"])
@published(top1=65.03, top5=85.72, source=_SOURCE)
def MobileNetV2_x0_5(**kwargs: Any) -> MobileNetV2:
    """Width 0.5."""
    return MobileNetV2(scale=0.5, **kwargs)


@BACKBONES.register(accepts=MobileNetV2, sets=["scale"])
@published(top1=69.83, top5=89.01, source=_SOURCE)
def MobileNetV2_x0_75(**kwargs: Any) -> MobileNetV2:
    """Width 0.75."""
    return MobileNetV2(scale=0.75, **kwargs)


@BACKBONES.register(accepts=MobileNetV2, sets=["scale"])
@published(top1=74.12, top5=91.67, source=_SOURCE)
def MobileNetV2_x1_5(**kwargs: Any) -> MobileNetV2:
    """Width 1.5."""
    return MobileNetV2(scale=1.5, **kwargs)


@BACKBONES.register(accepts=MobileNetV2, sets=["scale"])
@published(top1=75.23, top5=92.58, source=_SOURCE)
def MobileNetV2_x2_0(**kwargs: Any) -> MobileNetV2:
    """Width 2.0."""
    return MobileNetV2(scale=2.0, **kwargs)

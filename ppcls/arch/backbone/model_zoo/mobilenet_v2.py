"""MobileNetV2, arXiv 1801.04381, with the names and order of PaddleClas's weight files.

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
by 1, and widths are truncated, not rounded to 8. Top-1 and top-5 are PaddleClas's (model overview of 2.6).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.channels import check_class_num, check_scale, scale_channels
from ppcls.arch.layers.conv_bn import ConvBN, linear
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"


class _Stage(NamedTuple):
    expansion: int
    channels: int
    blocks: int
    stride: int


_STAGES = (
    _Stage(expansion=1, channels=16, blocks=1, stride=1),
    _Stage(expansion=6, channels=24, blocks=2, stride=2),
    _Stage(expansion=6, channels=32, blocks=3, stride=2),
    _Stage(expansion=6, channels=64, blocks=4, stride=2),
    _Stage(expansion=6, channels=96, blocks=3, stride=1),
    _Stage(expansion=6, channels=160, blocks=3, stride=2),
    _Stage(expansion=6, channels=320, blocks=1, stride=1),
)


class InvertedResidual(nn.Layer):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection, plus the input where shapes allow.

    Shape:
        ``[N, in_channels, H, W]`` -> ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        middle = in_channels * expansion
        self._expand_conv = ConvBN(in_channels, middle, kernel_size=1)
        self._bottleneck_conv = ConvBN(middle, middle, kernel_size=3, stride=stride, groups=middle)
        self._linear_conv = ConvBN(middle, out_channels, kernel_size=1)
        self.relu6 = nn.ReLU6()
        self.adds_input = stride == 1 and in_channels == out_channels

    @paddle.jit.not_to_static  # it has nothing to translate, and takes its time
    def forward(self, x: Tensor) -> Tensor:
        """``[N, in_channels, H, W]`` -> ``[N, out_channels, ...]``."""
        y = self.relu6(self._expand_conv(x))
        y = self.relu6(self._bottleneck_conv(y))
        y = self._linear_conv(y)
        return x + y if self.adds_input else y


@BACKBONES.register
@published(top1=72.15, top5=90.65, source=_SOURCE)
class MobileNetV2(nn.Sequential):
    """MobileNetV2; 3.5 M parameters, 314 M multiply-adds at width 1.

    Args:
        scale: multiplies every width; the last one (1280) only if it is above 1.
    Raises:
        ValueError: an argument out of range, or a ``scale`` that leaves no channel.
    Shape:
        images ``[N, 3, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(self, scale: float = 1.0, class_num: int = 1000) -> None:
        check_scale(scale)
        stem = scale_channels(32, scale)
        features = scale_channels(1280, max(scale, 1.0))
        super().__init__(
            ("conv1", ConvBN(3, stem, kernel_size=3, stride=2)),
            ("relu6_1", nn.ReLU6()),
            *_stages(scale),
            ("conv9", ConvBN(scale_channels(_STAGES[-1].channels, scale), features, kernel_size=1)),
            ("relu6_9", nn.ReLU6()),
            ("pool", nn.AdaptiveAvgPool2D(1)),  # [N, features, 1, 1]
            ("flatten", nn.Flatten()),
            ("out", linear(features, check_class_num(class_num))),
        )


def _stages(scale: float) -> Iterator[tuple[str, nn.Layer]]:
    """``conv2`` to ``conv8``, the second block of ``conv3`` being ``conv3.conv3_2``."""
    in_channels = scale_channels(32, scale)
    for number, stage in enumerate(_STAGES, start=2):
        out_channels = scale_channels(stage.channels, scale)
        first = InvertedResidual(in_channels, out_channels, stage.expansion, stage.stride)
        others = [
            (f"conv{number}_{index}", InvertedResidual(out_channels, out_channels, stage.expansion, stride=1))
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

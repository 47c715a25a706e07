"""Oct-MobileNetV2.

"Drop an Octave", arXiv 1904.05049, table 5, and its official code; blocks from "MobileNetV2", arXiv 1801.04381.

===== ===== ========== ============ ============= =============
scale alpha parameters MACs at 224  top-1 / top-5 plain (alpha 0)
===== ===== ========== ============ ============= =============
1.0   .375  3,505,960  254,031,408  72.0 / 90.7   313,619,328
1.125 .5    4,243,006  292,764,600  73.0 / 91.2   392,307,120
===== ===== ========== ============ ============= =============

Only the expanded tensor of a block is in two octaves; blocks pass plain maps. Widths are truncated, not rounded to 8.
Departures of the official code from MobileNetV2, kept here: the first block has its 1x1 expansion although it expands
by 1, and a stride is a mean over 2x2 pixels before the convolution, also at alpha 0.
Names and order of the weights are those of the released Paddle files, and, but for ``head``, of the official ones.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.channels import check_alpha, check_class_num, check_dropout, check_scale, scale_channels
from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import OctaveChannels, enter, leave
from ppcls.arch.published import published
from ppcls.registry import BACKBONES


class _Stage(NamedTuple):
    expansion: int
    channels: int
    blocks: int
    stride: int
    has_low: bool


# The last two have 7x7 maps at 224, whose low part would be of 3.5 pixels.
_STAGES = (
    _Stage(expansion=1, channels=16, blocks=1, stride=1, has_low=True),
    _Stage(expansion=6, channels=24, blocks=2, stride=2, has_low=True),
    _Stage(expansion=6, channels=32, blocks=3, stride=2, has_low=True),
    _Stage(expansion=6, channels=64, blocks=4, stride=2, has_low=True),
    _Stage(expansion=6, channels=96, blocks=3, stride=1, has_low=True),
    _Stage(expansion=6, channels=160, blocks=3, stride=2, has_low=False),
    _Stage(expansion=6, channels=320, blocks=1, stride=1, has_low=False),
)


class OctInvertedResidual(nn.Layer):
    """1x1 expansion, 3x3 depthwise, linear 1x1 projection, plus the input where shapes allow.

    Args:
        middle: the channels between expansion and projection; only there the map is in two octaves.
    Shape:
        ``[N, in_channels, H, W]`` -> ``[N, out_channels, ceil(H / stride), ceil(W / stride)]``.
    """

    def __init__(self, in_channels: int, middle: OctaveChannels, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = OctConv2D(OctaveChannels(in_channels), middle, kernel_size=1)
        self.bn1 = OctBatchNorm(middle)
        self.conv2 = OctConv2D(middle, middle, kernel_size=3, stride=stride, groups=middle.total)
        self.bn2 = OctBatchNorm(middle)
        self.conv3 = OctConv2D(middle, OctaveChannels(out_channels), kernel_size=1)
        self.bn3 = OctBatchNorm(OctaveChannels(out_channels))
        self.relu6 = OctActivation(nn.ReLU6())
        self.adds_input = stride == 1 and in_channels == out_channels

    # Branches in here depend on the structure alone: to_static has nothing to translate, and without trying it exports
    # the network in 1.6 s of processor time instead of 9.5 (Paddle 3.3).
    @paddle.jit.not_to_static
    def forward(self, x: Tensor) -> Tensor:
        """Plain maps in and out."""
        y = self.relu6(self.bn1(self.conv1(enter(x))))
        y = self.relu6(self.bn2(self.conv2(y)))
        y = leave(self.bn3(self.conv3(y)))
        return x + y if self.adds_input else y


@BACKBONES.register
class OctMobileNetV2(nn.Sequential):
    """Oct-MobileNetV2 of any width.

    Args:
        scale: multiplies every width; the last one (1280) only if it is above 1.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network with the same stages.
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
            ("conv1", nn.Sequential(first, batch_norm(stem), nn.ReLU6())),
            *_blocks(scale, alpha),
            ("head", _head(scale, check_class_num(class_num), check_dropout(dropout))),
        )


def _blocks(scale: float, alpha: float) -> Iterator[tuple[str, nn.Layer]]:
    """The blocks with their names: L is one more after each stride, B counts from there; the first is L1_B1."""
    level, index = 1, 0
    in_channels = scale_channels(32, scale)
    for stage in _STAGES:
        out_channels = scale_channels(stage.channels, scale)
        for stride in (stage.stride, *[1] * (stage.blocks - 1)):
            level, index = (level + 1, 0) if stride == 2 else (level, index + 1)
            middle = OctaveChannels.split(stage.expansion * in_channels, alpha if stage.has_low else 0.0)
            yield f"L{level}_B{index}", OctInvertedResidual(in_channels, middle, out_channels, stride)
            in_channels = out_channels


def _head(scale: float, class_num: int, dropout: float) -> nn.Sequential:
    features = scale_channels(1280, max(scale, 1.0))
    return nn.Sequential(
        conv2d(scale_channels(_STAGES[-1].channels, scale), features, kernel_size=1),
        batch_norm(features),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2D(1),  # [N, features, 1, 1]
        nn.Dropout(dropout),
        conv2d(features, class_num, kernel_size=1, bias=True),
        nn.Flatten(),  # [N, class_num]
    )


@BACKBONES.register(accepts=OctMobileNetV2, sets=["scale"])
@published(top1=72.0, top5=90.7, source="arXiv 1904.05049, official code")
def OctMobileNetV2_x1_0(alpha: float = 0.375, **kwargs: Any) -> OctMobileNetV2:
    """Width 1.0; at alpha .375: 3.5 M parameters, 254 M multiply-adds."""
    return OctMobileNetV2(scale=1.0, alpha=alpha, **kwargs)


@BACKBONES.register(accepts=OctMobileNetV2, sets=["scale"])
@published(top1=73.0, top5=91.2, source="arXiv 1904.05049, official code")
def OctMobileNetV2_x1_125(alpha: float = 0.5, **kwargs: Any) -> OctMobileNetV2:
    """Width 1.125; at alpha .5: 4.2 M parameters, 293 M multiply-adds."""
    return OctMobileNetV2(scale=1.125, alpha=alpha, **kwargs)

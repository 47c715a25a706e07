"""Oct-DenseNet-121 of the ablation.

"Drop an Octave", arXiv 1904.05049, figure 3, and its official code; layers from "Densely Connected Convolutional
Networks", arXiv 1608.06993.

===== ========== ============= =============
alpha parameters MACs at 224   top-1 / top-5
===== ========== ============= =============
0     7,978,856  2,834,161,664
.0625 7,978,856  2,609,470,400
.125  7,978,856  2,398,420,736 76.1 / 93.0
.25   7,978,856  2,017,246,208 75.9 / 93.1
===== ========== ============= =============

Each layer's new channels are split by alpha; those of the stem stay high, so a stage's running width is not.
"""

from typing import Any

import paddle
from paddle import nn

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.head import Head
from ppcls.arch.layers.layout import NCHW, DataFormat
from ppcls.arch.layers.oct_layers import OctAvgPool
from ppcls.arch.layers.oct_pre_act import OctPreActConv, pre_act_stem, pre_act_tail
from ppcls.arch.layers.octave import Octave, OctaveChannels, concat
from ppcls.arch.published import published_by_alpha
from ppcls.registry import BACKBONES

_STEM = 64
_GROWTH = 32
_BOTTLENECK = 4 * _GROWTH


class OctDenseLayer(nn.Layer):
    """The input, and behind it the channels that 1x1 and 3x3 make of it.

    Shape:
        ``in_channels`` -> ``in_channels`` and ``growth``, part by part; sizes stay.
    """

    _data_format: DataFormat = NCHW

    def __init__(self, in_channels: OctaveChannels, middle: OctaveChannels, growth: OctaveChannels) -> None:
        super().__init__()
        self.conv1 = OctPreActConv(in_channels, middle, kernel_size=1)
        self.conv2 = OctPreActConv(middle, growth, kernel_size=3)

    @paddle.jit.not_to_static  # it has nothing to translate, and takes its time
    def forward(self, x: Octave) -> Octave:
        """The map with more channels."""
        return concat(x, self.conv2(self.conv1(x)), self._data_format)


class OctTransition(nn.Sequential):
    """Half the channels by 1x1, half the size by a mean over 2x2 pixels, in each part."""

    def __init__(self, in_channels: OctaveChannels, out_channels: OctaveChannels) -> None:
        super().__init__(("conv", OctPreActConv(in_channels, out_channels, kernel_size=1)), ("pool", OctAvgPool()))


class OctDenseNet(nn.Sequential):
    """A densely connected network in two octaves, with growth 32; YAML names it by depth, below.

    Args:
        blocks: layers in each of four stages.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network.
        dropout: before the classifier.
    Raises:
        ValueError: an argument out of range.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        alpha: float,
        class_num: int = 1000,
        dropout: float = 0.0,
        input_image_channel: int = 3,
    ) -> None:
        check_alpha(alpha)
        stages, features = _stages(blocks, alpha)
        super().__init__(
            ("conv1", pre_act_stem(input_image_channel, _STEM)),
            *stages,
            ("tail", pre_act_tail(features)),
            ("head", Head(features, class_num, dropout)),
        )


def _stages(blocks: tuple[int, int, int, int], alpha: float) -> tuple[list[tuple[str, nn.Layer]], int]:
    """``L2_B01``, ... ``L3_Trans``, ... ``L5_B16``, and the channels that they put out.

    The last stage has 7x7 maps at 224, whose low part would be of 3.5 pixels: its transition merges the parts.
    """
    layers: list[tuple[str, nn.Layer]] = []
    channels = OctaveChannels(_STEM)
    for stage, count in enumerate(blocks):
        share = alpha if stage < 3 else 0.0
        if stage > 0:
            half = OctaveChannels.split(channels.total // 2, share)
            layers.append((f"L{stage + 2}_Trans", OctTransition(channels, half)))
            channels = half
        middle, growth = OctaveChannels.split(_BOTTLENECK, share), OctaveChannels.split(_GROWTH, share)
        for number in range(1, count + 1):
            layers.append((f"L{stage + 2}_B{number:02d}", OctDenseLayer(channels, middle, growth)))
            channels = OctaveChannels(channels.high + growth.high, channels.low + growth.low)
    return layers, channels.total


@BACKBONES.register(accepts=OctDenseNet, sets=["blocks"])
@published_by_alpha({0.125: (76.1, 93.0), 0.25: (75.9, 93.1)}, "arXiv 1904.05049, official code")
def OctDenseNet121(alpha: float = 0.125, **kwargs: Any) -> OctDenseNet:
    """At alpha .125: 8.0 M parameters, 2.40 G multiply-adds."""
    return OctDenseNet((6, 12, 24, 16), alpha, **kwargs)

"""Residual blocks with batch norm behind each convolution, plain or in two octaves.

Source: "Deep Residual Learning", arXiv 1512.03385; groups "ResNeXt", arXiv 1611.05431; squeeze and excitation
arXiv 1709.01507; a pooled shortcut "Bag of Tricks", arXiv 1812.01187 (ResNet-D). Octaves: "Drop an Octave",
arXiv 1904.05049: the first block takes a plain map, all of the last stage is plain, for its maps have odd sides.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppcls.arch.layers.channels import check_class_num
from ppcls.arch.layers.conv_bn import linear
from ppcls.arch.layers.layout import NCHW, DataFormat, Picture, channel_axis
from ppcls.arch.layers.oct_conv_bn import Channels, OctConvBN, Style
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctMaxPool
from ppcls.arch.layers.oct_squeeze_excite import gate, means
from ppcls.arch.layers.octave import Octave, add

Named = Sequence[tuple[str, nn.Layer]]
_REDUCTION = 16


class Residual(NamedTuple):
    """What the blocks of a network share.

    Attributes:
        blocks: how many in each stage; stages after the first begin with a stride of 2.
        middle: channels between the convolutions of a stage; the next stage has twice as many.
        expansion: channels that leave a block, in multiples of ``middle``; 0 makes the block one of two 3x3.
        pools_shortcut: the ResNet-D rule; other strides are as ``style`` says.
    """

    blocks: Sequence[int]
    stem: int = 64
    middle: int = 64
    expansion: int = 4
    groups: int = 1
    squeezes: bool = False
    pools_shortcut: bool = False


class SqueezeExcitation(nn.Layer):
    """Each channel times a number in (0, 1) that follows from the means of all channels, high ones first.

    Weights are ``squeeze`` and ``excitation``, with the shapes of a plain network's.
    """

    _data_format: DataFormat = NCHW

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = linear(channels, channels // _REDUCTION)
        self.excitation = linear(channels // _REDUCTION, channels)

    def forward(self, x: Octave) -> Octave:
        """Shapes stay as they are."""
        excited = self.excitation(F.relu(self.squeeze(means(x, self._data_format))))  # [N, C]
        count = 0 if x.high is None else x.high.shape[channel_axis(self._data_format)]
        high = x.high if x.high is None else x.high * gate(excited[:, :count], self._data_format)
        low = x.low if x.low is None else x.low * gate(excited[:, count:], self._data_format)
        return Octave(high, low, x.size)


class ResidualBlock(nn.Layer):
    """Convolutions ``conv0``, ``conv1``, ...; ``scale``; the sum with the input or with ``short`` of it; ReLU."""

    def __init__(self, convs: Sequence[OctConvBN], scale: nn.Layer | None, short: OctConvBN | None) -> None:
        super().__init__()
        for number, conv in enumerate(convs):
            self.add_sublayer(f"conv{number}", conv)
        self.scale, self.short = scale, short
        self.relu = OctActivation(nn.ReLU())
        self._first, self._last = [f"conv{n}" for n in range(len(convs) - 1)], f"conv{len(convs) - 1}"

    # Its branches depend on the structure alone: to_static has nothing to translate, and takes its time.
    @paddle.jit.not_to_static
    def forward(self, x: Octave) -> Octave:
        """A map with the channels of the last convolution."""
        y = x
        for name in self._first:
            y = self.relu(getattr(self, name)(y))
        y = getattr(self, self._last)(y)
        y = y if self.scale is None else self.scale(y)
        return self.relu(add(y, x if self.short is None else self.short(x)))


def residual_blocks(plan: Residual, alpha: float, style: Style) -> Iterator[tuple[int, int, ResidualBlock]]:
    """Stage and number in the stage, both from 0, and the block.

    Raises:
        ValueError: ``plan.groups`` does not divide the parts that ``alpha`` makes.
    """
    inputs = Channels.split(plan.stem, 0)
    for stage, count in enumerate(plan.blocks):
        share = alpha if stage < len(plan.blocks) - 1 else 0.0
        middle = Channels.split(plan.middle << stage, share, plan.groups)
        outputs = Channels.split((plan.middle << stage) * (plan.expansion or 1), share)
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            convs = _convs(plan, (inputs, middle, outputs), stride, style)
            scale = SqueezeExcitation(outputs.parts.total) if plan.squeezes else None
            pooling = style._replace(pools=style.pools or plan.pools_shortcut)
            # The first block of the first stage has a projection also where shapes would do without, as in PaddleClas.
            short = OctConvBN(inputs, outputs, 1, stride, style=pooling) if number == 0 else None
            yield stage, number, ResidualBlock(convs, scale, short)
            inputs = outputs


def _convs(
    plan: Residual, widths: tuple[Channels, Channels, Channels], stride: int, style: Style
) -> Sequence[OctConvBN]:
    inputs, middle, outputs = widths
    if plan.expansion == 0:
        return OctConvBN(inputs, middle, 3, stride, style=style), OctConvBN(middle, outputs, 3, style=style)
    return (
        OctConvBN(inputs, middle, 1, style=style),
        OctConvBN(middle, middle, 3, stride, plan.groups, style),
        OctConvBN(middle, outputs, 1, style=style),
    )


def stem_layers(image_channels: int, names: Sequence[str], widths: Sequence[int], style: Style) -> Named:
    """7x7 with a stride of 2, or 3x3 of which the first has the stride, each with a ReLU behind it.

    They are plain and strided in an octave network too.
    """
    layers: list[tuple[str, nn.Layer]] = []
    inputs = Channels.split(image_channels, 0)
    kernel_size = 7 if len(widths) == 1 else 3
    for number, (name, width) in enumerate(zip(names, widths, strict=True)):
        outputs = Channels.split(width, 0)
        conv = OctConvBN(inputs, outputs, kernel_size, 1 if number else 2, style=style._replace(pools=False))
        layers += [(name, conv), (f"relu_{name}", OctActivation(nn.ReLU()))]
        inputs = outputs
    return layers


def around(stem: Named, blocks: Named, head: str, features: int, class_num: int) -> Named:
    """The layers of a network in their order, with a linear classifier called ``head``."""
    return [
        ("picture", Picture()),
        ("enter", Enter()),
        *stem,
        ("max_pool", OctMaxPool()),
        *blocks,
        ("leave", Leave()),
        ("avg_pool", nn.AdaptiveAvgPool2D(1)),  # [N, features, 1, 1]
        ("flatten", nn.Flatten()),
        (head, linear(features, check_class_num(class_num))),
    ]

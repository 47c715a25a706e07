"""Oct-ResNet, Oct-SE-ResNet and Oct-ResNeXt with pre-activation: the ablation networks.

"Drop an Octave", arXiv 1904.05049, tables 2 to 4 and its official code; blocks from "Identity Mappings in Deep Residual
Networks", arXiv 1603.05027, "Squeeze-and-Excitation Networks", arXiv 1709.01507, and ResNeXt, arXiv 1611.05431.

=============== ========== ============== ============== ============== ============= =============
MACs at 224     parameters alpha 0        .125           .25            .5            .75
=============== ========== ============== ============== ============== ============= =============
ResNet-26       15,991,336 2,342,256,640  2,086,961,152  1,858,158,592  1,480,032,256 1,207,877,632
ResNet-50       25,553,192 4,089,184,256  3,565,196,288  3,103,526,912  2,367,143,936 1,880,035,328
SE-ResNet-50    28,084,184 4,091,699,200  3,567,711,232  3,106,041,856  2,369,658,880 1,882,550,272
ResNet-101      44,545,320 7,801,405,440  6,624,878,592  5,597,675,520  3,991,240,704 2,982,100,992
ResNet-152      60,188,968 11,513,626,624 9,684,560,896  8,091,824,128  5,615,337,472 4,084,166,656
ResNet-200      64,669,992 15,007,481,856 12,564,261,888 10,439,258,112 7,143,899,136 5,121,404,928
ResNeXt-50      25,025,064 4,230,479,872  not possible   3,170,988,544  2,386,511,872 1,877,049,856
ResNeXt-101     44,173,864 7,969,996,800  not possible   5,683,476,480  4,022,550,528 2,987,218,944
=============== ========== ============== ============== ============== ============= =============

Top-1 and top-5 stand beside each name below. A stride is a mean over 2x2 pixels before the convolution, also at alpha
0; the paper's baselines stride in the convolution instead, and their weights are not for these networks.
"""

from collections.abc import Iterator
from typing import Any

import paddle
from paddle import nn

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.head import Head
from ppcls.arch.layers.oct_pre_act import OctPreActConv, pre_act_stem, pre_act_tail
from ppcls.arch.layers.oct_squeeze_excite import OctSqueezeExcite
from ppcls.arch.layers.octave import Octave, OctaveChannels, add
from ppcls.arch.published import published_by_alpha
from ppcls.registry import BACKBONES

_SOURCE = "arXiv 1904.05049, official code"
_STEM = 64
_OUT = 256  # channels that the first stage puts out


class OctPreActBottleneck(nn.Layer):
    """1x1, 3x3 with the stride, 1x1, squeeze and excitation if asked for, plus the input; nothing after the sum.

    The input passes a unit of its own, ``conv4``, where the block changes its size or channels.

    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(
        self,
        in_channels: OctaveChannels,
        middle: OctaveChannels,
        out_channels: OctaveChannels,
        stride: int = 1,
        groups: int = 1,
        use_se: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = OctPreActConv(in_channels, middle, kernel_size=1)
        self.conv2 = OctPreActConv(middle, middle, kernel_size=3, stride=stride, groups=groups)
        self.conv3 = OctPreActConv(middle, out_channels, kernel_size=1)
        self.se = OctSqueezeExcite(out_channels) if use_se else None
        changes = stride != 1 or in_channels != out_channels
        self.conv4 = OctPreActConv(in_channels, out_channels, kernel_size=1, stride=stride) if changes else None

    @paddle.jit.not_to_static  # it has nothing to translate, and takes its time
    def forward(self, x: Octave) -> Octave:
        """The map with ``out_channels``."""
        y = self.conv3(self.conv2(self.conv1(x)))
        y = y if self.se is None else self.se(y)
        return add(y, x if self.conv4 is None else self.conv4(x))


class OctResNet(nn.Sequential):
    """A pre-activation residual network in two octaves; YAML names it by depth, below.

    Args:
        blocks: their number in each of four stages.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network with the same blocks.
        dropout: before the classifier.
        width: channels of the first 3x3 convolution; each stage has twice those before.
        groups: of the 3x3 convolutions; must divide both parts.
        use_se: squeeze and excitation at the end of each block.
    Raises:
        ValueError: an argument out of range, or ``groups`` that do not divide a part.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        alpha: float,
        class_num: int = 1000,
        dropout: float = 0.0,
        width: int = 64,
        groups: int = 1,
        use_se: bool = False,
        input_image_channel: int = 3,
    ) -> None:
        check_alpha(alpha)
        features = 8 * _OUT
        super().__init__(
            ("conv1", pre_act_stem(input_image_channel, _STEM)),
            *_named_blocks(blocks, alpha, width, groups, use_se),
            ("tail", pre_act_tail(features)),
            ("head", Head(features, class_num, dropout)),
        )


def _named_blocks(
    blocks: tuple[int, int, int, int], alpha: float, width: int, groups: int, use_se: bool
) -> Iterator[tuple[str, nn.Layer]]:
    """``L2_B01``, ... ``L5_B03``; the last stage has 7x7 maps at 224, whose low part would be of 3.5 pixels."""
    in_channels = OctaveChannels(_STEM)
    for stage, count in enumerate(blocks):
        share = alpha if stage < 3 else 0.0
        middle = OctaveChannels.split(width * 2**stage, share)
        out_channels = OctaveChannels.split(_OUT * 2**stage, share)
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            block = OctPreActBottleneck(in_channels, middle, out_channels, stride, groups, use_se)
            yield f"L{stage + 2}_B{number + 1:02d}", block
            in_channels = out_channels


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.125: (75.8, 92.6), 0.25: (76.1, 92.6), 0.5: (75.5, 92.5), 0.75: (74.6, 92.1)}, _SOURCE)
def OctResNet26(alpha: float = 0.25, **kwargs: Any) -> OctResNet:
    """At alpha .25: 16.0 M parameters, 1.86 G multiply-adds."""
    return OctResNet((2, 2, 2, 2), alpha, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.125: (78.2, 93.9), 0.25: (78.0, 93.8), 0.5: (77.4, 93.6), 0.75: (76.7, 93.0)}, _SOURCE)
def OctResNet50(alpha: float = 0.125, **kwargs: Any) -> OctResNet:
    """At alpha .125: 25.6 M parameters, 3.57 G multiply-adds."""
    return OctResNet((3, 4, 6, 3), alpha, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.125: (79.2, 94.4), 0.25: (79.2, 94.4), 0.5: (78.7, 94.1)}, _SOURCE)
def OctResNet101(alpha: float = 0.25, **kwargs: Any) -> OctResNet:
    """At alpha .25: 44.5 M parameters, 5.60 G multiply-adds; alpha .125 was as good and costs more."""
    return OctResNet((3, 4, 23, 3), alpha, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
def OctResNet152(alpha: float = 0.125, **kwargs: Any) -> OctResNet:
    """At alpha .125: 60.2 M parameters, 9.68 G multiply-adds; no accuracy was published."""
    return OctResNet((3, 8, 36, 3), alpha, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.125: (80.0, 94.9), 0.25: (79.8, 94.8), 0.5: (79.5, 94.7)}, _SOURCE)
def OctResNet200(alpha: float = 0.125, **kwargs: Any) -> OctResNet:
    """At alpha .125: 64.7 M parameters, 12.6 G multiply-adds."""
    return OctResNet((3, 24, 36, 3), alpha, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.125: (78.7, 94.1), 0.25: (78.4, 94.0), 0.5: (77.9, 93.8), 0.75: (77.4, 93.5)}, _SOURCE)
def OctSE_ResNet50(alpha: float = 0.125, **kwargs: Any) -> OctResNet:
    """At alpha .125: 28.1 M parameters, 3.57 G multiply-adds."""
    return OctResNet((3, 4, 6, 3), alpha, use_se=True, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.25: (78.8, 94.2), 0.5: (78.4, 94.0), 0.75: (77.5, 93.6)}, _SOURCE)
def OctResNeXt50_32x4d(alpha: float = 0.25, **kwargs: Any) -> OctResNet:
    """At alpha .25: 25.0 M parameters, 3.17 G multiply-adds; 32 groups allow multiples of .25 only."""
    return OctResNet((3, 4, 6, 3), alpha, width=128, groups=32, **kwargs)


@BACKBONES.register(accepts=OctResNet, sets=("blocks", "width", "groups", "use_se"))
@published_by_alpha({0.25: (79.6, 94.5), 0.5: (78.9, 94.4)}, _SOURCE)
def OctResNeXt101_32x4d(alpha: float = 0.25, **kwargs: Any) -> OctResNet:
    """At alpha .25: 44.2 M parameters, 5.68 G multiply-adds; 32 groups allow multiples of .25 only."""
    return OctResNet((3, 4, 23, 3), alpha, width=128, groups=32, **kwargs)

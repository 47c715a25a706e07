"""Oct-ResNet-152 v1f and Oct-SE-ResNet-152 v1e, activation after the sum: the paper's most accurate networks.

"Drop an Octave", arXiv 1904.05049, table 6, and its official code; blocks from "Deep Residual Learning",
arXiv 1512.03385, and "Squeeze-and-Excitation Networks", arXiv 1709.01507.

================== ===== ========== ============== ============= ===============
name               alpha parameters MACs at 224    top-1 / top-5 stem
================== ===== ========== ============== ============= ===============
ResNet-152 v1f     .125  60,222,224 10,819,341,312 81.4 / 95.4   3x3s, a block
SE-ResNet-152 v1e  .125  66,841,080 10,838,764,544 81.6 / 95.7   3x3s, max pool
================== ===== ========== ============== ============= ===============

The stride of a block is in its last 1x1 convolution and in its shortcut: a mean over 2x2 pixels before either, also at
alpha 0. Stems stride in the convolution. Names of the weights are the official ones, but for ``head`` and those inside
``se_block``.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.head import Head
from ppcls.arch.layers.layout import Picture
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctBatchNorm, OctStandardize
from ppcls.arch.layers.oct_squeeze_excite import OctSqueezeExcite
from ppcls.arch.layers.octave import Octave, OctaveChannels, add
from ppcls.arch.published import published_by_alpha
from ppcls.registry import BACKBONES

_SOURCE = "arXiv 1904.05049, official code"
_STEM = 64


class OctBottleneck(nn.Layer):
    """1x1, 3x3, 1x1 with the stride, each with batch norm; plus the input, then ReLU.

    The input passes ``conv4`` and ``bn4`` where the block changes its size or channels.

    Args:
        use_se: squeeze and excitation before the sum, and the official code's extra norms ``bn1a`` and ``bn4a`` before
            the convolutions that read the input.
    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(
        self,
        in_channels: OctaveChannels,
        middle: OctaveChannels,
        out_channels: OctaveChannels,
        stride: int = 1,
        use_se: bool = False,
    ) -> None:
        super().__init__()
        changes = stride != 1 or in_channels != out_channels
        self.bn1a = OctStandardize(in_channels) if use_se else None
        self.conv1, self.bn1 = OctConv2D(in_channels, middle, kernel_size=1), OctBatchNorm(middle)
        self.conv2, self.bn2 = OctConv2D(middle, middle, kernel_size=3), OctBatchNorm(middle)
        self.conv3 = OctConv2D(middle, out_channels, kernel_size=1, stride=stride)
        self.bn3 = OctBatchNorm(out_channels)
        self.se_block = OctSqueezeExcite(out_channels) if use_se else None
        self.bn4a = OctStandardize(in_channels) if use_se and changes else None
        self.conv4 = OctConv2D(in_channels, out_channels, kernel_size=1, stride=stride) if changes else None
        self.bn4 = OctBatchNorm(out_channels) if changes else None
        self.relu = OctActivation(nn.ReLU())

    @paddle.jit.not_to_static  # it has nothing to translate, and takes its time
    def forward(self, x: Octave) -> Octave:
        """The map with ``out_channels``."""
        y = x if self.bn1a is None else self.bn1a(x)
        y = self.relu(self.bn1(self.conv1(y)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y = y if self.se_block is None else self.se_block(y)
        return self.relu(add(y, x if self.conv4 is None else self._shortcut(x)))

    def _shortcut(self, x: Octave) -> Octave:
        x = x if self.bn4a is None else self.bn4a(x)
        return self.bn4(self.conv4(x))


class StemBottleneck(nn.Layer):
    """v1f's plain residual block in place of the max pool: 1x1, 3x3 with stride 2, 1x1.

    Shape:
        ``[N, channels, H, W]`` -> ``[N, channels, ceil(H / 2), ceil(W / 2)]``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.conv1, self.bn1 = conv2d(channels, middle, kernel_size=1), batch_norm(middle)
        self.conv2, self.bn2 = conv2d(middle, middle, kernel_size=3, stride=2), batch_norm(middle)
        self.conv3, self.bn3 = conv2d(middle, channels, kernel_size=1), batch_norm(channels)
        self.conv4, self.bn4 = conv2d(channels, channels, kernel_size=1, stride=2), batch_norm(channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Half the size, same channels."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.bn4(self.conv4(x)))


class OctResNetV1(nn.Sequential):
    """A residual network in two octaves with the activation after the sum; YAML names two of them, below.

    Args:
        blocks: their number in each of four stages.
        stem: named plain layers from the picture to a map of 64 channels and a quarter of the size.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network with the same blocks.
        dropout: before the classifier.
        use_se: see ``OctBottleneck``.
    Raises:
        ValueError: an argument out of range.
    Shape:
        images of as many channels as the stem takes, of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        stem: Sequence[tuple[str, nn.Layer]],
        alpha: float,
        class_num: int = 1000,
        dropout: float = 0.0,
        use_se: bool = False,
    ) -> None:
        check_alpha(alpha)
        super().__init__(
            ("picture", Picture()),
            *stem,
            ("enter", Enter()),
            *_named_blocks(blocks, alpha, use_se),
            ("leave", Leave()),
            ("head", Head(2048, class_num, dropout)),
        )


def _named_blocks(blocks: tuple[int, int, int, int], alpha: float, use_se: bool) -> Iterator[tuple[str, nn.Layer]]:
    """``L1_B0``, ... ``L4_B2``; the last stage has 7x7 maps at 224, whose low part would be of 3.5 pixels."""
    in_channels = OctaveChannels(_STEM)
    for stage, count in enumerate(blocks):
        share = alpha if stage < 3 else 0.0
        middle = OctaveChannels.split(64 * 2**stage, share)
        out_channels = OctaveChannels.split(256 * 2**stage, share)
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            block = OctBottleneck(in_channels, middle, out_channels, stride, use_se)
            yield f"L{stage + 1}_B{number}", block
            in_channels = out_channels


def _three_convs(in_channels: int, first: int, second: int, strides: tuple[int, int]) -> list[nn.Layer]:
    """3x3 convolutions to ``first``, ``second`` and 64 channels, the last with stride 1; each with batch norm, ReLU."""
    layers: list[nn.Layer] = []
    for out_channels, stride in ((first, strides[0]), (second, strides[1]), (_STEM, 1)):
        layers += [conv2d(in_channels, out_channels, kernel_size=3, stride=stride), batch_norm(out_channels), nn.ReLU()]
        in_channels = out_channels
    return layers


@BACKBONES.register(accepts=OctResNetV1, sets=("blocks", "stem", "use_se"))
@published_by_alpha({0.125: (81.4, 95.4)}, _SOURCE)
def OctResNet152_v1f(alpha: float = 0.125, input_image_channel: int = 3, **kwargs: Any) -> OctResNetV1:
    """At alpha .125: 60.2 M parameters, 10.8 G multiply-adds."""
    convs = _three_convs(input_image_channel, 8, 32, (1, 2))
    stem = [("conv1", nn.Sequential(*convs)), ("conv2", StemBottleneck(_STEM))]
    return OctResNetV1((3, 8, 36, 3), stem, alpha, **kwargs)


@BACKBONES.register(accepts=OctResNetV1, sets=("blocks", "stem", "use_se"))
@published_by_alpha({0.125: (81.6, 95.7)}, _SOURCE)
def OctSE_ResNet152_v1e(alpha: float = 0.125, input_image_channel: int = 3, **kwargs: Any) -> OctResNetV1:
    """At alpha .125: 66.8 M parameters, 10.8 G multiply-adds; 82.9 top-1 on crops of 320."""
    pool = nn.MaxPool2D(kernel_size=3, stride=2, padding=1)
    stem = [("conv1", nn.Sequential(*_three_convs(input_image_channel, 32, 32, (2, 1)), pool))]
    return OctResNetV1((3, 8, 36, 3), stem, alpha, use_se=True, **kwargs)

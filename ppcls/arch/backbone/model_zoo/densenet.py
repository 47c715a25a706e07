"""DenseNet, with the names and order of PaddleClas's weight files; octave networks at alpha > 0.

"Densely Connected Convolutional Networks", arXiv 1608.06993; "Drop an Octave", arXiv 1904.05049.

=========== ========== ============= =============
name        parameters MACs at 224   top-1 / top-5
=========== ========== ============= =============
DenseNet121 7,978,856  2,834,161,664 75.66 / 92.58
DenseNet161 28,681,000 7,727,907,072 78.57 / 94.14
DenseNet169 14,149,480 3,359,843,328 76.81 / 93.31
DenseNet201 20,013,928 4,291,365,888 77.63 / 93.66
DenseNet264 33,337,704 5,751,653,376 77.96 / 93.85
=========== ========== ============= =============

With octaves each part is concatenated on its own; the channels of the stem stay in the high part. The last stage and
the transition before it have alpha = 0. Top-1 and top-5 are PaddleClas's (model overview of 2.6), for alpha 0.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import paddle
from paddle import nn

from ppcls.arch.layers.channels import check_alpha, check_class_num
from ppcls.arch.layers.conv_bn import batch_norm, linear
from ppcls.arch.layers.layout import NCHW, DataFormat, Picture
from ppcls.arch.layers.oct_conv_bn import Channels, OctBNConv, OctConvBN, Style
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctAvgPool, OctMaxPool
from ppcls.arch.layers.octave import Octave, concat
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"
_BOTTLENECK = 4  # of the growth


class _Plan(NamedTuple):
    growth: int
    blocks: tuple[int, int, int, int]

    @property
    def stem(self) -> int:
        return 2 * self.growth


_PLANS = {
    121: _Plan(growth=32, blocks=(6, 12, 24, 16)),
    161: _Plan(growth=48, blocks=(6, 12, 36, 24)),
    169: _Plan(growth=32, blocks=(6, 12, 32, 32)),
    201: _Plan(growth=32, blocks=(6, 12, 48, 32)),
    264: _Plan(growth=32, blocks=(6, 12, 64, 48)),
}


class DenseLayer(nn.Layer):
    """1x1 to four times the growth, 3x3 to the growth, concatenated behind the input, part by part."""

    _data_format: DataFormat = NCHW

    def __init__(self, inputs: Channels, middle: Channels, growth: Channels, style: Style) -> None:
        super().__init__()
        self.bn_ac_func1 = OctBNConv(inputs, middle, 1, style)
        self.bn_ac_func2 = OctBNConv(middle, growth, 3, style)

    # Its branches depend on the structure alone: to_static has nothing to translate, and takes its time.
    @paddle.jit.not_to_static
    def forward(self, x: Octave) -> Octave:
        """A map with the channels of ``inputs`` and ``growth``."""
        return concat(x, self.bn_ac_func2(self.bn_ac_func1(x)), self._data_format)


class DenseNet(nn.Sequential):
    """DenseNet of a published depth.

    Args:
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network.
    Raises:
        ValueError: an argument out of range.
    Shape:
        images ``[N, input_image_channel, H, W]``, sides from 32 pixels -> logits ``[N, class_num]``.
    """

    def __init__(
        self, depth: int = 121, alpha: float = 0.0, class_num: int = 1000, input_image_channel: int = 3
    ) -> None:
        if depth not in _PLANS:
            raise ValueError(f"depth of a DenseNet is one of {', '.join(map(str, _PLANS))}; got {depth!r}")
        style = Style(pools=check_alpha(alpha) > 0)
        plan = _PLANS[depth]
        image, stem = Channels.split(input_image_channel, 0), Channels.split(plan.stem, 0)
        features = plan.stem
        for count in plan.blocks[:-1]:
            features = (features + count * plan.growth) // 2
        features += plan.blocks[-1] * plan.growth
        super().__init__(
            ("picture", Picture()),
            ("enter", Enter()),
            ("conv1_func", OctConvBN(image, stem, 7, 2, style=style._replace(pools=False))),
            ("relu_1", OctActivation(nn.ReLU())),
            ("max_pool", OctMaxPool()),
            *_stages(plan, alpha, style),
            ("leave", Leave()),
            ("batch_norm", batch_norm(features)),
            ("relu", nn.ReLU()),
            ("avg_pool", nn.AdaptiveAvgPool2D(1)),  # [N, features, 1, 1]
            ("flatten", nn.Flatten()),
            ("out", linear(features, check_class_num(class_num))),
        )


def _stages(plan: _Plan, alpha: float, style: Style) -> Iterator[tuple[str, nn.Layer]]:
    """``db_conv_2`` to ``db_conv_5``, and ``tr_conv2_blk`` to ``tr_conv4_blk`` between them."""
    running = Channels.split(plan.stem, 0)
    last = len(plan.blocks) + 1
    for stage, count in enumerate(plan.blocks, start=2):
        share = alpha if stage < last else 0.0
        growth = Channels.split(plan.growth, share)
        middle = Channels.split(_BOTTLENECK * plan.growth, share)
        layers = []
        for number in range(1, count + 1):
            layers.append((f"conv{stage}_{number}", DenseLayer(running, middle, growth, style)))
            running = running + growth
        yield f"db_conv_{stage}", nn.Sequential(*layers)
        if stage < last:
            halved = Channels.split(running.parts.total // 2, alpha if stage + 1 < last else 0.0)
            yield f"tr_conv{stage}_blk", _transition(running, halved, style)
            running = halved


def _transition(inputs: Channels, outputs: Channels, style: Style) -> nn.Sequential:
    # PaddleClas drops the last row of an odd map; two parts must keep it to stay of one size.
    pool = OctAvgPool() if style.pools else OctActivation(nn.AvgPool2D(kernel_size=2, stride=2))
    return nn.Sequential(("conv_ac_func", OctBNConv(inputs, outputs, 1, style)), ("pool", pool))


@BACKBONES.register(accepts=DenseNet, sets=["depth"])
@published(top1=75.66, top5=92.58, source=_SOURCE)
def DenseNet121(**kwargs: Any) -> DenseNet:
    """121 layers."""
    return DenseNet(depth=121, **kwargs)


@BACKBONES.register(accepts=DenseNet, sets=["depth"])
@published(top1=78.57, top5=94.14, source=_SOURCE)
def DenseNet161(**kwargs: Any) -> DenseNet:
    """161 layers, growth 48."""
    return DenseNet(depth=161, **kwargs)


@BACKBONES.register(accepts=DenseNet, sets=["depth"])
@published(top1=76.81, top5=93.31, source=_SOURCE)
def DenseNet169(**kwargs: Any) -> DenseNet:
    """169 layers."""
    return DenseNet(depth=169, **kwargs)


@BACKBONES.register(accepts=DenseNet, sets=["depth"])
@published(top1=77.63, top5=93.66, source=_SOURCE)
def DenseNet201(**kwargs: Any) -> DenseNet:
    """201 layers."""
    return DenseNet(depth=201, **kwargs)


@BACKBONES.register(accepts=DenseNet, sets=["depth"])
@published(top1=77.96, top5=93.85, source=_SOURCE)
def DenseNet264(**kwargs: Any) -> DenseNet:
    """264 layers."""
    return DenseNet(depth=264, **kwargs)

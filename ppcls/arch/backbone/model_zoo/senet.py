"""Squeeze-and-excitation networks, with the names and order of PaddleClas's weight files; octave at alpha > 0.

"Squeeze-and-Excitation Networks", arXiv 1709.01507, in blocks of ResNet, ResNeXt and ResNet-D ("_vd",
arXiv 1812.01187, section 4); "Drop an Octave", arXiv 1904.05049.

===================== =========== ============== =============
name                  parameters  MACs at 224    top-1 / top-5
===================== =========== ============== =============
SE_ResNet18_vd        11,802,048  2,066,646,016  73.33 / 91.38
SE_ResNet34_vd        21,982,324  3,916,404,224  76.51 / 93.20
SE_ResNet50_vd        28,107,256  4,331,339,776  79.52 / 94.75
SE_ResNeXt50_32x4d    27,559,896  4,232,994,816  78.44 / 93.96
SE_ResNeXt50_vd_32x4d 27,687,768  5,600,993,280  80.24 / 94.89
SE_ResNeXt101_32x4d   48,955,416  7,974,739,968  79.39 / 94.43
SENet154_vd           121,737,048 24,339,570,688 81.40 / 95.48
===================== =========== ============== =============

The grouped "_vd" networks have a stem twice as wide as the others'. With octaves the stem and the last stage stay
plain, every stride behind the stem is a mean over 2x2 pixels, and one squeeze sees both parts. Top-1 and top-5 are
PaddleClas's (model overview of 2.6), for alpha 0.
"""

from typing import Any

from paddle import nn

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.oct_conv_bn import Style
from ppcls.arch.layers.residual import Residual, around, residual_blocks, stem_layers
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"
_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class SENet(nn.Sequential):
    """ResNet or ResNeXt with squeeze and excitation at the end of each block.

    Args:
        depth: 18 and 34 have blocks of two 3x3, the others bottlenecks.
        groups: 1, or 32 or 64 with 4 channels each in the first stage.
        is_vd: three 3x3 in place of the 7x7, and shortcuts that pool in place of striding.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network.
    Raises:
        ValueError: an argument out of range, or an ``alpha`` whose parts the groups do not divide.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        depth: int = 50,
        groups: int = 1,
        is_vd: bool = False,
        alpha: float = 0.0,
        class_num: int = 1000,
        input_image_channel: int = 3,
    ) -> None:
        if depth not in _BLOCKS or groups not in (1, 32, 64):
            raise ValueError(
                f"depth is one of {', '.join(map(str, _BLOCKS))} and groups 1, 32 or 64; got {depth!r} and {groups!r}"
            )
        style = Style(pools=check_alpha(alpha) > 0)
        names, widths = (("conv1_1", "conv1_2", "conv1_3"), _vd_stem(groups)) if is_vd else (("conv",), (64,))
        plan = Residual(
            _BLOCKS[depth],
            stem=widths[-1],
            middle=64 if groups == 1 else 4 * groups,
            expansion=_expansion(depth, groups),
            groups=groups,
            squeezes=True,
            pools_shortcut=is_vd,
        )
        blocks = [(f"bb_{stage}_{n}", block) for stage, n, block in residual_blocks(plan, alpha, style)]
        features = 512 if depth < 50 else 2048
        stem = stem_layers(input_image_channel, names, widths, style)
        super().__init__(*around(stem, blocks, "out", features, class_num))


def _vd_stem(groups: int) -> tuple[int, int, int]:
    return (32, 32, 64) if groups == 1 else (64, 64, 128)


def _expansion(depth: int, groups: int) -> int:
    """Output channels are 64 or, in bottlenecks, 256 in the first stage, whatever the groups."""
    if depth < 50:
        return 0
    return 4 if groups == 1 else 64 // groups


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=73.33, top5=91.38, source=_SOURCE)
def SE_ResNet18_vd(**kwargs: Any) -> SENet:
    """18 layers, ResNet-D."""
    return SENet(depth=18, is_vd=True, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=76.51, top5=93.20, source=_SOURCE)
def SE_ResNet34_vd(**kwargs: Any) -> SENet:
    """34 layers, ResNet-D."""
    return SENet(depth=34, is_vd=True, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=79.52, top5=94.75, source=_SOURCE)
def SE_ResNet50_vd(**kwargs: Any) -> SENet:
    """50 layers, ResNet-D."""
    return SENet(depth=50, is_vd=True, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=78.44, top5=93.96, source=_SOURCE)
def SE_ResNeXt50_32x4d(**kwargs: Any) -> SENet:
    """50 layers, 32 groups."""
    return SENet(depth=50, groups=32, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=80.24, top5=94.89, source=_SOURCE)
def SE_ResNeXt50_vd_32x4d(**kwargs: Any) -> SENet:
    """50 layers, 32 groups, ResNet-D."""
    return SENet(depth=50, groups=32, is_vd=True, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=79.39, top5=94.43, source=_SOURCE)
def SE_ResNeXt101_32x4d(**kwargs: Any) -> SENet:
    """101 layers, 32 groups."""
    return SENet(depth=101, groups=32, **kwargs)


@BACKBONES.register(accepts=SENet, sets=["depth", "groups", "is_vd"])
@published(top1=81.40, top5=95.48, source=_SOURCE)
def SENet154_vd(**kwargs: Any) -> SENet:
    """154 layers, counting two more in the stem, 64 groups, ResNet-D."""
    return SENet(depth=152, groups=64, is_vd=True, **kwargs)

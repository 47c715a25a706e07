"""ResNeXt and its ResNet-D form ("_vd"), with the names and order of PaddleClas's weight files; octave at alpha > 0.

"Aggregated Residual Transformations", arXiv 1611.05431; "Bag of Tricks", arXiv 1812.01187, section 4; "Drop an
Octave", arXiv 1904.05049.

=================== =========== ============== =============
name                parameters  MACs at 224    top-1 / top-5
=================== =========== ============== =============
ResNeXt50_32x4d     25,028,904  4,230,479,872  77.75 / 93.82
ResNeXt50_vd_32x4d  25,048,136  4,470,120,448  79.56 / 94.62
ResNeXt50_64x4d     45,192,488  7,981,236,224  78.43 / 94.13
ResNeXt50_vd_64x4d  45,211,720  8,220,876,800  80.12 / 94.86
ResNeXt101_32x4d    44,177,704  7,969,996,800  78.65 / 94.19
ResNeXt101_vd_32x4d 44,196,936  8,209,637,376  80.33 / 95.12
ResNeXt101_64x4d    83,455,272  15,460,270,080 78.35 / 94.52
ResNeXt101_vd_64x4d 83,474,504  15,699,910,656 80.78 / 95.20
ResNeXt152_32x4d    59,951,400  11,709,513,728 78.98 / 94.33
ResNeXt152_vd_32x4d 59,970,632  11,949,154,304 80.72 / 95.20
ResNeXt152_64x4d    114,971,944 22,939,303,936 79.51 / 94.71
ResNeXt152_vd_64x4d 114,991,176 23,178,944,512 81.08 / 95.34
=================== =========== ============== =============

With octaves the stem and the last stage stay plain, every stride behind the stem is a mean over 2x2 pixels, and each
path has all groups: alpha .25, .5 and .75 divide, .125 does not. Top-1 and top-5 are PaddleClas's (model overview of
2.6), for alpha 0.
"""

from typing import Any

from paddle import nn

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.oct_conv_bn import Style
from ppcls.arch.layers.residual import Residual, around, residual_blocks, stem_layers
from ppcls.arch.published import published
from ppcls.registry import BACKBONES

_SOURCE = "PaddleClas 2.6, model overview"
_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ResNeXt(nn.Sequential):
    """ResNeXt of a published depth, with groups of 4 channels in the first stage.

    Args:
        groups: 32 or 64.
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
        groups: int = 32,
        is_vd: bool = False,
        alpha: float = 0.0,
        class_num: int = 1000,
        input_image_channel: int = 3,
    ) -> None:
        if depth not in _BLOCKS or groups not in (32, 64):
            raise ValueError(f"depth is one of 50, 101, 152 and groups 32 or 64; got {depth!r} and {groups!r}")
        style = Style(pools=check_alpha(alpha) > 0)
        plan = Residual(_BLOCKS[depth], middle=4 * groups, expansion=64 // groups, groups=groups, pools_shortcut=is_vd)
        names, widths = (("conv1_1", "conv1_2", "conv1_3"), (32, 32, 64)) if is_vd else (("conv",), (64,))
        blocks = [(f"bb_{stage}_{n}", block) for stage, n, block in residual_blocks(plan, alpha, style)]
        stem = stem_layers(input_image_channel, names, widths, style)
        super().__init__(*around(stem, blocks, "out", 2048, class_num))


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=77.75, top5=93.82, source=_SOURCE)
def ResNeXt50_32x4d(**kwargs: Any) -> ResNeXt:
    """50 layers, 32 groups."""
    return ResNeXt(depth=50, groups=32, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=79.56, top5=94.62, source=_SOURCE)
def ResNeXt50_vd_32x4d(**kwargs: Any) -> ResNeXt:
    """50 layers, 32 groups, ResNet-D."""
    return ResNeXt(depth=50, groups=32, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=78.43, top5=94.13, source=_SOURCE)
def ResNeXt50_64x4d(**kwargs: Any) -> ResNeXt:
    """50 layers, 64 groups."""
    return ResNeXt(depth=50, groups=64, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=80.12, top5=94.86, source=_SOURCE)
def ResNeXt50_vd_64x4d(**kwargs: Any) -> ResNeXt:
    """50 layers, 64 groups, ResNet-D."""
    return ResNeXt(depth=50, groups=64, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=78.65, top5=94.19, source=_SOURCE)
def ResNeXt101_32x4d(**kwargs: Any) -> ResNeXt:
    """101 layers, 32 groups."""
    return ResNeXt(depth=101, groups=32, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=80.33, top5=95.12, source=_SOURCE)
def ResNeXt101_vd_32x4d(**kwargs: Any) -> ResNeXt:
    """101 layers, 32 groups, ResNet-D."""
    return ResNeXt(depth=101, groups=32, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=78.35, top5=94.52, source=_SOURCE)
def ResNeXt101_64x4d(**kwargs: Any) -> ResNeXt:
    """101 layers, 64 groups."""
    return ResNeXt(depth=101, groups=64, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=80.78, top5=95.20, source=_SOURCE)
def ResNeXt101_vd_64x4d(**kwargs: Any) -> ResNeXt:
    """101 layers, 64 groups, ResNet-D."""
    return ResNeXt(depth=101, groups=64, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=78.98, top5=94.33, source=_SOURCE)
def ResNeXt152_32x4d(**kwargs: Any) -> ResNeXt:
    """152 layers, 32 groups."""
    return ResNeXt(depth=152, groups=32, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=80.72, top5=95.20, source=_SOURCE)
def ResNeXt152_vd_32x4d(**kwargs: Any) -> ResNeXt:
    """152 layers, 32 groups, ResNet-D."""
    return ResNeXt(depth=152, groups=32, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=79.51, top5=94.71, source=_SOURCE)
def ResNeXt152_64x4d(**kwargs: Any) -> ResNeXt:
    """152 layers, 64 groups."""
    return ResNeXt(depth=152, groups=64, **kwargs)


@BACKBONES.register(accepts=ResNeXt, sets=["depth", "groups", "is_vd"])
@published(top1=81.08, top5=95.34, source=_SOURCE)
def ResNeXt152_vd_64x4d(**kwargs: Any) -> ResNeXt:
    """152 layers, 64 groups, ResNet-D."""
    return ResNeXt(depth=152, groups=64, is_vd=True, **kwargs)

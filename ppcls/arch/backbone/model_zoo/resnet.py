"""ResNet and ResNet-D ("_vd"), with the names and order of PaddleClas's weight files; octave networks at alpha > 0.

"Deep Residual Learning", arXiv 1512.03385; "Bag of Tricks", arXiv 1812.01187, section 4; "Drop an Octave",
arXiv 1904.05049.

============ ========== ============== =============
name         parameters MACs at 224    top-1 / top-5
============ ========== ============== =============
ResNet18     11,693,736 1,826,918,400  70.98 / 89.92
ResNet18_vd  11,712,968 2,066,558,976  72.26 / 90.80
ResNet34     21,801,896 3,676,606,464  74.57 / 92.14
ResNet34_vd  21,821,128 3,916,247,040  75.98 / 92.98
ResNet50     25,557,032 4,089,184,256  76.50 / 93.00
ResNet50_vd  25,576,264 4,328,824,832  79.12 / 94.44
ResNet101    44,549,160 7,801,405,440  77.56 / 93.64
ResNet101_vd 44,568,392 8,041,046,016  80.17 / 94.97
ResNet152    60,192,808 11,513,626,624 78.26 / 93.96
ResNet152_vd 60,212,040 11,753,267,200 80.59 / 95.30
ResNet200_vd 74,738,504 15,247,122,432 80.93 / 95.33
============ ========== ============== =============

The stride is in the 3x3 convolution of a bottleneck. With octaves the stem and the last stage stay plain, and every
stride behind the stem is a mean over 2x2 pixels; parameters stay as many. Top-1 and top-5 are PaddleClas's (model
overview of 2.6), for alpha 0.
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
    200: (3, 12, 48, 3),
}


class ResNet(nn.Sequential):
    """ResNet of a published depth.

    Args:
        depth: 18 and 34 have blocks of two 3x3, the others bottlenecks.
        is_vd: three 3x3 in place of the 7x7, and shortcuts that pool in place of striding.
        alpha: share of low-frequency channels, in [0, 1]; 0 is the plain network.
    Raises:
        ValueError: an argument out of range.
    Shape:
        images ``[N, input_image_channel, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    def __init__(
        self,
        depth: int = 50,
        is_vd: bool = False,
        alpha: float = 0.0,
        class_num: int = 1000,
        input_image_channel: int = 3,
    ) -> None:
        if depth not in _BLOCKS:
            raise ValueError(f"depth of a ResNet is one of {', '.join(map(str, _BLOCKS))}; got {depth!r}")
        style = Style("conv", "bn", pools=check_alpha(alpha) > 0)
        plan = Residual(_BLOCKS[depth], expansion=0 if depth < 50 else 4, pools_shortcut=is_vd)
        widths = (32, 32, 64) if is_vd else (64,)
        stem = stem_layers(input_image_channel, [str(number) for number in range(len(widths))], widths, style)
        blocks = [block for _, _, block in residual_blocks(plan, alpha, style)]
        features = 512 if depth < 50 else 2048
        super().__init__(
            *around([("stem", nn.Sequential(*stem))], [("blocks", nn.Sequential(*blocks))], "fc", features, class_num)
        )


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=70.98, top5=89.92, source=_SOURCE)
def ResNet18(**kwargs: Any) -> ResNet:
    """18 layers."""
    return ResNet(depth=18, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=72.26, top5=90.80, source=_SOURCE)
def ResNet18_vd(**kwargs: Any) -> ResNet:
    """18 layers, ResNet-D."""
    return ResNet(depth=18, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=74.57, top5=92.14, source=_SOURCE)
def ResNet34(**kwargs: Any) -> ResNet:
    """34 layers."""
    return ResNet(depth=34, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=75.98, top5=92.98, source=_SOURCE)
def ResNet34_vd(**kwargs: Any) -> ResNet:
    """34 layers, ResNet-D."""
    return ResNet(depth=34, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=76.50, top5=93.00, source=_SOURCE)
def ResNet50(**kwargs: Any) -> ResNet:
    """50 layers."""
    return ResNet(depth=50, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=79.12, top5=94.44, source=_SOURCE)
def ResNet50_vd(**kwargs: Any) -> ResNet:
    """50 layers, ResNet-D."""
    return ResNet(depth=50, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=77.56, top5=93.64, source=_SOURCE)
def ResNet101(**kwargs: Any) -> ResNet:
    """101 layers."""
    return ResNet(depth=101, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=80.17, top5=94.97, source=_SOURCE)
def ResNet101_vd(**kwargs: Any) -> ResNet:
    """101 layers, ResNet-D."""
    return ResNet(depth=101, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=78.26, top5=93.96, source=_SOURCE)
def ResNet152(**kwargs: Any) -> ResNet:
    """152 layers."""
    return ResNet(depth=152, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=80.59, top5=95.30, source=_SOURCE)
def ResNet152_vd(**kwargs: Any) -> ResNet:
    """152 layers, ResNet-D."""
    return ResNet(depth=152, is_vd=True, **kwargs)


@BACKBONES.register(accepts=ResNet, sets=["depth", "is_vd"])
@published(top1=80.93, top5=95.33, source=_SOURCE)
def ResNet200_vd(**kwargs: Any) -> ResNet:
    """200 layers, ResNet-D."""
    return ResNet(depth=200, is_vd=True, **kwargs)

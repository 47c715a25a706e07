"""Networks by name."""

from typing import Protocol

from paddle import nn

from ppcls.arch import backbone
from ppcls.arch.layers.sync_bn import synchronise
from ppcls.registry import BACKBONES, Buildable

__all__ = ["ArchLike", "backbone", "build_model", "synchronise"]


class ArchLike(Protocol):
    """What ``build_model`` needs to know; ``ppcls.config.Arch`` is one."""

    class_num: int
    component: Buildable


def build_model(arch: ArchLike) -> nn.Layer:
    """The network with initial weights drawn from Paddle's generator; loading weights is the engine's part.

    Raises:
        ConfigError: unknown name or argument, or an argument out of range, under its dotted key.
    Shape:
        images float ``[N, 3, H, W]``, logits float ``[N, class_num]``.
    """
    return BACKBONES.build(arch.component, class_num=arch.class_num)

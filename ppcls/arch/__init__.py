"""Networks by name."""

from typing import Protocol

from paddle import nn

from ppcls.arch import backbone
from ppcls.arch.layers.layout import NCHW, DataFormat, compute_in
from ppcls.arch.layers.sync_bn import synchronise
from ppcls.registry import BACKBONES, Buildable
from ppcls.utils.errors import ConfigError

__all__ = ["NCHW", "ArchLike", "backbone", "build_model", "compute_in", "synchronise"]
_COLOURS = 3


class ArchLike(Protocol):
    """What ``build_model`` needs to know; ``ppcls.config.Arch`` is one."""

    class_num: int
    component: Buildable
    data_format: DataFormat
    input_image_channel: int


def build_model(arch: ArchLike) -> nn.Layer:
    """The network with initial weights drawn from Paddle's generator; loading weights is the engine's part.

    Raises:
        ConfigError: unknown name or argument, or an argument out of range, under its dotted key; or a network that
            takes no other pictures than of 3 channels, or computes in no other layout than NCHW.
    Shape:
        images float ``[N, input_image_channel, H, W]``, logits float ``[N, class_num]``.
    """
    name, key, channels = arch.component.name, arch.component.key, arch.input_image_channel
    if channels != _COLOURS and "input_image_channel" not in BACKBONES.parameters(name):
        raise ConfigError(f"{key}.input_image_channel: {name} takes pictures of {_COLOURS} channels; got {channels}")
    network = BACKBONES.build(arch.component, class_num=arch.class_num, input_image_channel=channels)
    if arch.data_format == NCHW:
        return network
    try:
        return compute_in(network, arch.data_format)
    except ValueError as error:
        raise ConfigError(f"{key}.data_format: {error}") from error

"""The files that the paper's authors published, as weights of the networks here."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from paddle import nn

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.official import Conventions, conventions_of, official_state
from ppcls.arch.published import published_of
from ppcls.arch.summary import build_lazily
from ppcls.registry import BACKBONES
from ppcls.utils.errors import ConfigError
from ppcls.utils.files import read_regular
from ppcls.utils.manifest import FileMark
from ppcls.utils.model_card import ModelCard
from ppcls.utils.mxnet_params import parse_mxnet_params
from ppcls.utils.tar_member import find_member, is_tar

_CLASSES = 1000


class Official(NamedTuple):
    """The weights of one published file by the names of the network here, and the card to be kept beside them."""

    weights: dict[str, np.ndarray]
    card: ModelCard


def read_official(source: Path, arch: str, alpha: float | None) -> Official:
    """Read a ``.params`` file, or the one that a ``.tar`` of the release holds; nothing is unpacked to the disk.

    Args:
        arch: a registered octave network of 1000 classes.
        alpha: None is its default.
    Raises:
        ConfigError: no such file or network, or an ``alpha`` that cannot be.
        WeightsError: ``damaged``, ``mismatch`` or ``non-finite-weights``.
    """
    network = _build(arch, alpha)
    data = read_regular(source)
    inner = find_member(data, ".params", str(source)).data if is_tar(data) else data
    arrays = parse_mxnet_params(inner, str(source))
    weights = official_state(network, arrays, str(source))
    return Official(weights, _card(source, data, arch, alpha, conventions_of(arrays)))


def _build(arch: str, alpha: float | None) -> nn.Layer:
    build = BACKBONES.get(arch)
    if "alpha" not in BACKBONES.parameters(arch):
        raise ConfigError(f"{arch} takes no alpha: the authors published no weights of it", "usage")
    arguments = {} if alpha is None else {"alpha": alpha}
    try:
        return build_lazily(lambda: build(class_num=_CLASSES, **arguments))
    except ValueError as error:
        raise ConfigError(f"{arch}: {error}", "usage") from error


def _card(source: Path, data: bytes, arch: str, alpha: float | None, conventions: Conventions) -> ModelCard:
    published = published_of(BACKBONES.get(arch), alpha)
    default = BACKBONES.parameters(arch)["alpha"].default
    return ModelCard(
        source=source.name,
        source_sha256=FileMark.of(data).sha256,
        arch=arch,
        arguments={"alpha": default if alpha is None else alpha, "class_num": _CLASSES},
        epsilon=conventions.epsilon,
        momentum=conventions.momentum,
        preprocessing=conventions.preprocessing,
        published=None if published is None else vars(published),
    )

"""Weights that come with a card: its preprocessing and batch norm replace those of the config, and the log says so."""

import dataclasses
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddle import nn

from ppcls.config import Component, Config
from ppcls.config.catalogue import build_catalogue
from ppcls.config.reader import Reader
from ppcls.registry import OPS
from ppcls.utils.errors import WeightsError
from ppcls.utils.model_card import ModelCard, card_path
from ppcls.utils.text import printable

_LOG = logging.getLogger("ppcls")


def follow_card(config: Config, network: nn.Layer, card: ModelCard, weights: Path) -> Config:
    """The config with the card's preprocessing wherever it prepares pictures to be judged, named or exported.

    Every batch norm of ``network`` gets the card's epsilon. With ``Global.use_model_card: False`` only the warnings
    remain: each names what the config says and what the card says.

    Raises:
        WeightsError: ``damaged``: the card asks for ops that do not exist or cannot be built.
    """
    path = card_path(weights)
    ops = _ops(card, path)
    follows = config.Global.use_model_card
    _LOG.info("%s: weights of %s; %s", path, printable(card.source), printable(_published(card)))
    _follow_epsilon(network, card.epsilon, path, follows)
    loaders = config.DataLoader
    if loaders.Eval is not None:
        _tell("DataLoader.Eval.dataset.transform_ops", loaders.Eval.dataset.transform_ops, ops, path, follows)
    if config.Infer is not None:
        chw = Component("ToCHWImage", {}, f"{path}: preprocessing")
        _tell("Infer.transforms", config.Infer.transforms, (*ops, chw), path, follows)
    if not follows:
        return config
    changes: dict[str, Any] = {}
    if loaders.Eval is not None:
        dataset = dataclasses.replace(loaders.Eval.dataset, transform_ops=ops)
        changes["DataLoader"] = dataclasses.replace(loaders, Eval=dataclasses.replace(loaders.Eval, dataset=dataset))
    if config.Infer is not None:
        changes["Infer"] = dataclasses.replace(config.Infer, transforms=(*ops, chw))
    return dataclasses.replace(config, **changes)


def _ops(card: ModelCard, path: Path) -> tuple[Component, ...]:
    reader = Reader("eval", build_catalogue())
    ops = reader.components(card.preprocessing, f"{path}: preprocessing", "OPS")
    if reader.problems:
        raise WeightsError(f"{reader.problems[0].key}: {reader.problems[0].text}", "damaged")
    return ops


def _follow_epsilon(network: nn.Layer, epsilon: float, path: Path, follows: bool) -> None:
    norms = [layer for layer in network.sublayers() if isinstance(layer, nn.BatchNorm2D)]
    others = sorted({norm._epsilon for norm in norms} - {epsilon})
    if not others:
        return
    told = ", ".join(f"{value:g}" for value in others)
    ending = "the card's is taken" if follows else "the network's stays"
    _LOG.warning("the epsilon of batch norms is %s, in %s %g; %s", told, path, epsilon, ending)
    if follows:
        for norm in norms:
            norm._epsilon = epsilon


def _tell(key: str, own: Sequence[Component], cards: Sequence[Component], path: Path, follows: bool) -> None:
    """Warn of each op that differs, by position; of both lists when their ops are not the same ones."""
    if [op.name for op in own] == [op.name for op in cards]:
        pairs = [(mine, theirs) for mine, theirs in zip(own, cards, strict=True) if not _same(mine, theirs)]
        told = [(_text(mine), _text(theirs)) for mine, theirs in pairs]
    else:
        told = [tuple(" ".join(_text(op) for op in ops) for ops in (own, cards))]
    ending = "the card's is taken; -o Global.use_model_card=False keeps the other" if follows else "the config's stays"
    for mine, theirs in told:
        _LOG.warning("%s is %s, in %s %s; %s", key, mine, path, theirs, ending)


def _text(op: Component) -> str:
    kwargs = {key: list(value) if isinstance(value, tuple) else value for key, value in op.kwargs.items()}
    return f"{op.name} {kwargs}" if kwargs else op.name


def _same(one: Component, other: Component) -> bool:
    """Whether two uses of one op mean the same; an argument that is left out is its default."""
    defaults = {name: parameter.default for name, parameter in OPS.parameters(one.name).items()}
    return _equal({**defaults, **one.kwargs}, {**defaults, **other.kwargs})


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _published(card: ModelCard) -> str:
    if card.published is None:
        return "no accuracy was published"
    return "published {top1} / {top5} ({source})".format(**{"top1": "?", "top5": "?", "source": "?", **card.published})

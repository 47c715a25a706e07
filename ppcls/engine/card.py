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
from ppcls.data.preprocess import Pipeline
from ppcls.registry import OPS
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.model_card import REMEDY, ModelCard, card_path
from ppcls.utils.text import printable

_LONGEST = 200  # characters of a card's words in a log line

_LOG = logging.getLogger("ppcls")


def follow_card(config: Config, mode: str, network: nn.Layer, card: ModelCard, weights: Path) -> Config:
    """The config with the card's preprocessing where ``mode`` (eval, infer, export) takes pictures.

    Every batch norm of ``network`` gets the card's epsilon. Whatever the config says otherwise is logged.

    Raises:
        WeightsError: ``damaged``: the card asks for ops that do not exist or cannot be built.
    """
    path = card_path(weights)
    ops = read_ops(card.preprocessing, path, REMEDY)
    _LOG.info("%s: weights of %s; %s", path, _short(card.source), _short(_published(card)))
    if card.arch != config.Arch.name:
        _LOG.warning("Arch.name is %s, in %s %s", config.Arch.name, path, _short(card.arch))
    _follow_epsilon(network, card.epsilon, path)
    return take_ops(config, mode, ops, path)


def take_ops(config: Config, mode: str, ops: tuple[Component, ...], path: Path) -> Config:
    """The config with these ops, which ``path`` asks for, where ``mode`` takes pictures; says what it had instead."""
    if config.Infer is not None and mode != "eval":
        ops = (*ops, Component("ToCHWImage", {}, f"{path}: preprocessing"))
        _tell("Infer.transforms", config.Infer.transforms, ops, path)
        return dataclasses.replace(config, Infer=dataclasses.replace(config.Infer, transforms=ops))
    judged = config.DataLoader.Eval
    if judged is None:
        return config
    _tell("DataLoader.Eval.dataset.transform_ops", judged.dataset.transform_ops, ops, path)
    judged = dataclasses.replace(judged, dataset=dataclasses.replace(judged.dataset, transform_ops=ops))
    return dataclasses.replace(config, DataLoader=dataclasses.replace(config.DataLoader, Eval=judged))


def read_ops(preprocessing: Sequence[dict[str, Any]], path: Path, remedy: str) -> tuple[Component, ...]:
    """The ops that a file asks for, up to what loaders do by themselves.

    Raises:
        WeightsError: ``damaged``: one does not exist or cannot be built; ends in ``remedy``.
    """
    reader = Reader("eval", build_catalogue())
    ops = reader.components(preprocessing, f"{path}: preprocessing", "OPS")
    if reader.problems:
        key, text = map(printable, reader.problems[0])
        raise WeightsError(f"{key}: {text}; {remedy}", "damaged")
    try:
        Pipeline.from_components(ops)
    except ConfigError as error:
        raise WeightsError(f"{error}; {remedy}", "damaged") from error
    return ops


def _follow_epsilon(network: nn.Layer, epsilon: float, path: Path) -> None:
    norms = [layer for layer in network.sublayers() if isinstance(layer, nn.BatchNorm2D)]
    others = sorted({norm._epsilon for norm in norms} - {epsilon})
    if others:
        told = ", ".join(f"{value:g}" for value in others)
        _LOG.warning("the epsilon of batch norms is %s, in %s %g, which is taken", told, path, epsilon)
    for norm in norms:
        norm._epsilon = epsilon


def _tell(key: str, own: Sequence[Component], cards: Sequence[Component], path: Path) -> None:
    """Warn of each op that differs, by position; of both lists when their ops are not the same ones."""
    pairs = [([mine], [theirs]) for mine, theirs in zip(own, cards, strict=False) if not _same(mine, theirs)]
    if [op.name for op in own] != [op.name for op in cards]:
        pairs = [(own, cards)]
    for mine, theirs in pairs:
        values = (key, _text(mine), path, _text(theirs))
        _LOG.warning("%s is %s, in %s %s, which is taken; -o Global.use_model_card=False keeps the first", *values)


def _text(ops: Sequence[Component]) -> str:
    words = []
    for op in ops:
        kwargs = {key: list(value) if isinstance(value, tuple) else value for key, value in op.kwargs.items()}
        words.append(f"{op.name} {kwargs}" if kwargs else op.name)
    return _short(" ".join(words))


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _same(one: Component, other: Component) -> bool:
    """Whether two uses of an op mean the same; an argument that is left out is its default."""
    if one.name != other.name:
        return False
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
    return "published {top1} / {top5} ({source})".format(**card.published)

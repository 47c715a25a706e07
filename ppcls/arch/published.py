"""Accuracies that authors published, stated beside the network they belong to."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Published:
    """ImageNet-1k validation, one centre crop, in per cent."""

    top1: float
    top5: float
    source: str


def published(top1: float, top5: float, source: str) -> Callable[[T], T]:
    """Decorator of a registered network: what was published for its default arguments."""

    def attach(network: T) -> T:
        network.published = Published(top1, top5, source)
        return network

    return attach


def published_by_alpha(accuracies: Mapping[float, tuple[float, float]], source: str) -> Callable[[T], T]:
    """Decorator of a registered octave network: top-1 and top-5 for each alpha, its default among them."""

    def attach(network: T) -> T:
        network.published_by_alpha = {alpha: Published(*pair, source) for alpha, pair in accuracies.items()}
        network.published = network.published_by_alpha[_default_alpha(network)]
        return network

    return attach


def published_of(network: Callable[..., Any], alpha: float | None = None) -> Published | None:
    """What was published for this network, if anything, at ``alpha`` or, where none is given, at its default."""
    if alpha is None or alpha == _default_alpha(network):
        return vars(network).get("published")
    return vars(network).get("published_by_alpha", {}).get(alpha)


def _default_alpha(network: Callable[..., Any]) -> Any:
    parameter = inspect.signature(network).parameters.get("alpha")
    return parameter and parameter.default

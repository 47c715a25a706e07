"""Accuracies that authors published, stated beside the network they belong to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Published:
    """ImageNet-1k validation, one centre crop, in per cent; the network has its default arguments."""

    top1: float
    top5: float
    source: str


def published(top1: float, top5: float, source: str) -> Callable[[T], T]:
    """Decorator of a registered network; ``published_of`` reads what it states."""

    def attach(network: T) -> T:
        network.published = Published(top1, top5, source)
        return network

    return attach


def published_of(network: Callable[..., Any]) -> Published | None:
    """What was published for this network, if anything."""
    return vars(network).get("published")

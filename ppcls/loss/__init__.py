"""What training minimises: ``build_loss`` makes one loss of the entries of ``Loss.Train`` or ``Loss.Eval``."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ppcls.loss import celoss  # noqa: F401  registers its name
from ppcls.loss.combined import CombinedLoss, Term
from ppcls.registry import LOSSES, Buildable
from ppcls.utils.errors import ConfigError


def build_loss(components: Sequence[Buildable], **known: Any) -> CombinedLoss:
    """The weighted sum of the given losses; ``weight`` (1.0 when absent) is taken here, the rest is the loss's own.

    Args:
        components: dataclasses with ``name``, ``kwargs`` and ``key``; at least one.
        known: values the caller knows, ``class_num`` for one; each goes to a loss that asks for it.
    Raises:
        ConfigError: no entry, an unknown loss or argument, a value out of range; under its dotted key.
    """
    if not components:
        raise ConfigError("Loss: the list is empty; give at least one entry, such as [{CELoss: {weight: 1.0}}]")
    return CombinedLoss([_term(component, known) for component in components])


def _term(component: Buildable, known: dict[str, Any]) -> Term:
    arguments = dict(component.kwargs)
    weight = arguments.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise ConfigError(f"{component.key}: weight is a number of at least 0; got {weight!r}")
    loss = LOSSES.build(dataclasses.replace(component, kwargs=arguments), **known)
    return Term(component.name, float(weight), loss)

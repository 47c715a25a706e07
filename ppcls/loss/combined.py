"""Several losses as one: the weighted sum, and every part of it."""

from collections.abc import Sequence
from typing import NamedTuple

from paddle import Tensor, nn


class Term(NamedTuple):
    """One part of the sum; ``loss`` maps ``logits, labels`` to a 0-d mean over samples."""

    name: str
    weight: float
    loss: nn.Layer


class CombinedLoss(nn.Layer):
    """Sum of ``weight * loss`` over the terms.

    A name that occurs twice is answered as ``CELoss`` and ``CELoss_1``, so that no part hides another.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        assert terms, "an empty sum has no gradient"
        self._keys = _unique([term.name for term in terms])
        self._weights = [term.weight for term in terms]
        self._losses = nn.LayerList([term.loss for term in terms])

    def keys(self) -> list[str]:
        """The names of what ``forward`` answers, in order."""
        return [*self._keys, "loss"]

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The weighted parts by name, then their sum as ``loss``; all 0-d and on the device.

        Shape:
            logits ``[N, C]``; labels int64 ``[N]`` or ``[N, 1]``, or float ``[N, C]``.
        """
        parts = {
            key: loss(logits, labels) * weight
            for key, weight, loss in zip(self._keys, self._weights, self._losses, strict=True)
        }
        first, *others = parts.values()
        return {**parts, "loss": sum(others, start=first)}


def _unique(names: Sequence[str]) -> list[str]:
    return [f"{name}_{earlier}" if (earlier := names[:i].count(name)) else name for i, name in enumerate(names)]

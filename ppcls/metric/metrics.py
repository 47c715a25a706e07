"""Several metrics as one."""

from collections.abc import Sequence
from typing import Protocol

from paddle import Tensor


class Metric(Protocol):
    """What registers in METRICS: sums that grow batch by batch, and numbers made of them."""

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits ``[N, C]``, labels int64 ``[N]``; reads nothing back from the device."""

    def names(self) -> list[str]:
        """The numbers it gives, in order."""

    def compute(self) -> dict[str, float]:
        """The numbers over everything seen by all ranks; every rank must call it."""

    def local(self) -> dict[str, float]:
        """The numbers over what this rank has seen."""

    def state(self) -> list[float]:
        """The sums of this rank, for a checkpoint."""

    def restore(self, state: Sequence[float]) -> None:
        """Go on from what ``state`` gave."""

    def reset(self) -> None:
        """Forget what was seen."""


class Metrics:
    """The metrics of one list, in its order; the first number of the first is the one that decides what is best."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = list(metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits ``[N, C]``, labels int64 ``[N]`` or ``[N, 1]``."""
        for metric in self._metrics:
            metric.update(logits, labels)

    def compute(self) -> dict[str, float]:
        """All numbers, one reduction over ranks a metric; where two metrics name one number, the first answers."""
        results: dict[str, float] = {}
        for metric in self._metrics:
            for name, value in metric.compute().items():
                results.setdefault(name, value)
        return results

    def local(self) -> dict[str, float]:
        """All numbers over what this rank has seen, for log lines."""
        results: dict[str, float] = {}
        for metric in self._metrics:
            results = metric.local() | results
        return {name: results[name] for name in self.names()}

    def names(self) -> list[str]:
        """The numbers it gives, in order, each once."""
        return list(dict.fromkeys(name for metric in self._metrics for name in metric.names()))

    def state(self) -> list[list[float]]:
        """The sums of each metric on this rank, for a checkpoint."""
        return [metric.state() for metric in self._metrics]

    def restore(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from what ``state`` gave; other metrics than those that gave it begin anew."""
        if len(state) == len(self._metrics):
            for metric, sums in zip(self._metrics, state, strict=True):
                metric.restore(sums)

    def reset(self) -> None:
        """Forget what was seen."""
        for metric in self._metrics:
            metric.reset()

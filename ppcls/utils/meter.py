"""Running means that stay on the device until somebody reads them."""

import time
from collections.abc import Mapping
from typing import Any

import paddle
from paddle import Tensor


class Means:
    """Means over samples of named 0-d tensors or numbers.

    ``add`` only queues work on the device; ``read`` makes the host wait for it.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._count = 0

    def add(self, values: Mapping[str, Tensor | float], count: int) -> None:
        """Count ``values``, each the mean of ``count`` samples."""
        for name, value in values.items():
            weighted = value * count
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        self._count += count

    @property
    def count(self) -> int:
        """Samples seen."""
        return self._count

    def read(self) -> dict[str, float]:
        """The means so far; empty before the first ``add``."""
        return {name: float(total) / self._count for name, total in self._sums.items()}

    def state(self) -> dict[str, Any]:
        """The sums as arrays of their own precision, for a checkpoint."""
        sums = {name: total.numpy() if isinstance(total, Tensor) else total for name, total in self._sums.items()}
        return {"sums": sums, "count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self._sums = {
            name: total if isinstance(total, float) else paddle.to_tensor(total)
            for name, total in state["sums"].items()
        }
        self._count = int(state["count"])

    def reset(self) -> None:
        """Forget everything."""
        self._sums.clear()
        self._count = 0


class Stopwatch:
    """Seconds per batch, in all and waiting for data, since ``reset``."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start again from zero batches."""
        self._start = time.perf_counter()
        self._waited_s = 0.0
        self._batches = 0
        self._samples = 0

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting for data."""
        return self._waited_s

    def waited(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waited_s += seconds

    def count(self, samples: int, batches: int = 1) -> None:
        """Count finished batches."""
        self._batches += batches
        self._samples += samples

    def read(self) -> dict[str, float]:
        """``batch_cost`` and ``reader_cost`` in seconds a batch, ``ips`` in samples a second on this rank."""
        elapsed_s = max(time.perf_counter() - self._start, 1e-9)
        batches = max(self._batches, 1)
        return {
            "batch_cost": elapsed_s / batches,
            "reader_cost": self._waited_s / batches,
            "ips": self._samples / elapsed_s,
        }

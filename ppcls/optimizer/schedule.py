"""What all learning rate schedules share: the warm-up, the checks, and a description in words.

Letters: ``S`` updates an epoch, ``E`` epochs, ``W`` warm-up ticks, ``u = t - W`` ticks after the warm-up,
``T = E * S - W`` of them in all. A tick is an update; with ``by_epoch`` it is an epoch, and ``S`` is 1.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

_log = logging.getLogger("ppcls")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate of every update: a linear warm-up, then what a subclass says in ``inner``.

    A pure function of the step: nothing to save, nothing to restore. The engine gives ``epochs``, ``step_each_epoch``
    (updates, not batches) and ``scale`` (a factor on every rate); YAML gives the rest.

    Args:
        warmup_epoch: epochs, may be a fraction; its first update runs at ``warmup_start_lr``, 0 unless given.
        by_epoch: one rate for a whole epoch.
        last_epoch, verbose: accepted at these values alone.
    Raises:
        ValueError: a value out of range, or a warm-up that starts at or above its end.
    Source: PaddleClas ``optimizer/learning_rate.py``.
    """

    epochs: int
    step_each_epoch: int
    scale: float = 1.0
    learning_rate: float
    warmup_epoch: float = 0.0
    warmup_start_lr: float = 0.0
    by_epoch: bool = False
    last_epoch: int = -1
    verbose: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "step_each_epoch"):
            require_number(name, getattr(self, name), above=0)
        require_number("scale", self.scale, above=0)
        require_number("warmup_epoch", self.warmup_epoch)
        require_number("warmup_start_lr", self.warmup_start_lr)
        if self.last_epoch != -1 or self.verbose:
            raise ValueError("last_epoch and verbose are accepted as -1 and False alone; leave them out")
        self.check()
        if self.warmup_epoch and self.warmup_start_lr >= self.base:
            raise ValueError(f"warmup_start_lr {self.warmup_start_lr} is not below {self.base}, where the warm-up ends")
        if self.warmup_epoch >= self.epochs:
            self._warn_of_warmup_only()

    def __call__(self, step: int) -> float:
        """The rate of update ``step``, which counts from 0 over the whole run."""
        t = step // self.step_each_epoch if self.by_epoch else step
        W = self.warmup_ticks
        if t < W:
            return self.scale * (self.warmup_start_lr + (self.base - self.warmup_start_lr) * t / W)
        return self.scale * self.inner(t - W)

    def inner(self, u: int) -> float:
        """The rate at tick ``u`` after the warm-up, before ``scale``."""
        raise NotImplementedError

    def check(self) -> None:
        """ValueError for rates and arguments that are out of range."""
        require_number("learning_rate", self.learning_rate)

    def changes(self) -> list[int]:
        """Ticks after the warm-up at which the rate jumps; none for a smooth schedule."""
        return []

    @property
    def base(self) -> float:
        """Where the warm-up ends, before ``scale``."""
        return self.learning_rate

    @property
    def ticks_each_epoch(self) -> int:
        """``S``."""
        return 1 if self.by_epoch else self.step_each_epoch

    @property
    def warmup_ticks(self) -> int:
        """``W``; a warm-up that is longer than the run is cut to it."""
        return round(min(self.warmup_epoch, self.epochs) * self.ticks_each_epoch)

    @property
    def inner_ticks(self) -> int:
        """``T``."""
        return self.epochs * self.ticks_each_epoch - self.warmup_ticks

    @property
    def steps(self) -> int:
        """Updates in the whole run."""
        return self.epochs * self.step_each_epoch

    def effective_epochs(self) -> list[float]:
        """After how many epochs of the run the rate jumps: what the recipe says plus the warm-up."""
        return [(self.warmup_ticks + u) / self.ticks_each_epoch for u in self.changes()]

    def _warn_of_warmup_only(self) -> None:
        _log.warning(
            "warmup_epoch %g is not below epochs %d: all of the run is warm-up, from %g to %g in its last step; "
            "it does not reach %g, and %s never acts",
            *(self.warmup_epoch, self.epochs, self(0), self(self.steps - 1)),
            *(self.base * self.scale, type(self).__name__),
        )


def describe(schedule: Schedule) -> str:
    """The schedule in one line, with the epochs at which it really acts.

    ``lr: Step, 90 epochs of 626 updates; warm-up 0 -> 0.1 in 5 epochs; then 0.1 -> 0.001; jumps after epochs 35, 65``
    and a word on where these come from.
    """
    parts = [f"lr: {type(schedule).__name__}, {schedule.epochs} epochs of {schedule.step_each_epoch} updates"]
    if schedule.scale != 1.0:
        parts.append(f"every rate times {schedule.scale:g}")
    W, first = schedule.warmup_ticks, schedule.base * schedule.scale
    if W:
        parts.append(f"warm-up {schedule(0):g} -> {first:g} in {W / schedule.ticks_each_epoch:g} epochs")
    if schedule.inner_ticks:
        parts.append(f"{'then ' if W else ''}{first:g} -> {schedule(schedule.steps - 1):.4g}")
    if jumps := schedule.effective_epochs():
        after = " (the recipe's and the warm-up's)" if W else ""
        parts.append(f"jumps after epochs {', '.join(f'{epoch:g}' for epoch in jumps)}{after}")
    return "; ".join(parts)


def require_number(name: str, value: object, above: float | None = None) -> None:
    """ValueError unless ``value`` is a finite number of at least 0, or greater than ``above``."""
    bound = "of at least 0" if above is None else f"above {above:g}"
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or (value < 0 if above is None else value <= above):
        raise ValueError(f"{name} is a number {bound}; got {value!r}")


def require_rising(name: str, values: Sequence[float]) -> None:
    """ValueError unless ``values`` are numbers above 0, each greater than the one before."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} is a list of epochs; got {values!r}")
    for value in values:
        require_number(f"each of {name}", value, above=0)
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must rise; got {list(values)}")


def reached(schedule: Schedule, epochs: Sequence[float]) -> list[int]:
    """``epochs`` after the warm-up as ticks, without those that the run does not reach."""
    ticks = [math.ceil(epoch * schedule.ticks_each_epoch) for epoch in epochs]
    return [tick for tick in ticks if tick < schedule.inner_ticks]

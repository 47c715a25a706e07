"""The learning rate schedules that YAML may name. Letters and warm-up: see ``schedule``.

Source: PaddleClas ``optimizer/learning_rate.py`` on Paddle's ``optimizer/lr.py``. As there, boundaries in epochs count
from the end of the warm-up.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ppcls.optimizer.schedule import Schedule, reached, require_number, require_rising
from ppcls.registry import SCHEDULES

_log = logging.getLogger("ppcls")


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class ConstLR(Schedule):
    """``learning_rate`` throughout."""

    def inner(self, u: int) -> float:
        """``base``."""
        return self.base


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from ``learning_rate`` down to ``eta_min``."""

    eta_min: float = 0.0

    def check(self) -> None:
        """``eta_min`` in [0, learning_rate]."""
        super().check()
        require_number("eta_min", self.eta_min)
        if self.eta_min > self.base:
            raise ValueError(f"eta_min {self.eta_min} is above learning_rate {self.base}: the rate would rise")

    def inner(self, u: int) -> float:
        """``eta_min + (base - eta_min) * (1 + cos(pi * u / T)) / 2``; ``base`` when the warm-up takes all."""
        T = self.inner_ticks
        if T == 0:
            return self.base
        return self.eta_min + (self.base - self.eta_min) * (1 + math.cos(math.pi * min(u, T) / T)) / 2


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """From ``learning_rate`` to ``end_lr`` along a polynomial of degree ``power``; ``cycle`` is not offered."""

    end_lr: float = 0.0
    power: float = 1.0
    cycle: bool = False

    def check(self) -> None:
        """``end_lr`` of at least 0, ``power`` above 0."""
        super().check()
        require_number("end_lr", self.end_lr)
        require_number("power", self.power, above=0)
        if self.cycle:
            raise ValueError("cycle is accepted as False alone; leave it out")

    def inner(self, u: int) -> float:
        """``(base - end_lr) * (1 - min(u, T) / T)^power + end_lr``; ``base`` when the warm-up takes all."""
        T = self.inner_ticks
        if T == 0:
            return self.base
        return (self.base - self.end_lr) * (1 - min(u, T) / T) ** self.power + self.end_lr


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """Times ``gamma`` every ``step_size`` epochs, which may be a fraction."""

    step_size: float
    gamma: float

    def check(self) -> None:
        """A ``step_size`` of at least one tick, ``gamma`` above 0."""
        super().check()
        require_number("step_size", self.step_size, above=0)
        require_number("gamma", self.gamma, above=0)
        if self.step_ticks < 1:
            raise ValueError(f"step_size {self.step_size} is shorter than one of {self.ticks_each_epoch} in an epoch")

    @property
    def step_ticks(self) -> int:
        """``step_size`` in whole ticks."""
        return int(self.step_size * self.ticks_each_epoch)

    def inner(self, u: int) -> float:
        """``base * gamma^floor(u / int(step_size * S))``."""
        return self.base * self.gamma ** (u // self.step_ticks)

    def changes(self) -> list[int]:
        """The multiples of ``step_size`` that the run reaches."""
        return list(range(self.step_ticks, self.inner_ticks, self.step_ticks))


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class MultiStepDecay(Schedule):
    """Times ``gamma`` at each of the ``milestones``, in epochs."""

    milestones: Sequence[float]
    gamma: float = 0.1

    def check(self) -> None:
        """Rising ``milestones`` above 0, ``gamma`` above 0."""
        super().check()
        require_rising("milestones", self.milestones)
        require_number("gamma", self.gamma, above=0)

    def inner(self, u: int) -> float:
        """``base * gamma^n``, where n milestones have ``milestone * S <= u``."""
        return self.base * self.gamma ** sum(epoch * self.ticks_each_epoch <= u for epoch in self.milestones)

    def changes(self) -> list[int]:
        """The ``milestones`` that the run reaches."""
        return reached(self, self.milestones)


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class Piecewise(Schedule):
    """``values[i]`` until ``decay_epochs[i]``; the last value holds to the end.

    ``learning_rate`` beside the lists is redundant: the lists win, and one that is not ``values[0]`` is warned of.
    """

    decay_epochs: Sequence[float]
    values: Sequence[float]
    learning_rate: float | None = None

    def check(self) -> None:
        """Rising ``decay_epochs``, and one more of ``values``."""
        require_rising("decay_epochs", self.decay_epochs)
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise ValueError(f"values is a list of rates; got {self.values!r}")
        for value in self.values:
            require_number("each of values", value)
        if len(self.values) != len(self.decay_epochs) + 1:
            counts = f"{len(self.values)} and {len(self.decay_epochs)}"
            raise ValueError(f"values has one entry more than decay_epochs; got {counts}")
        if self.learning_rate not in (None, self.values[0]):
            _log.warning(
                "Piecewise: learning_rate %s has no effect, values start at %s", self.learning_rate, self.values[0]
            )

    @property
    def base(self) -> float:
        """``values[0]``."""
        return self.values[0]

    def inner(self, u: int) -> float:
        """``values[i]`` for the first i with ``u < decay_epochs[i] * S``, else the last."""
        return self.values[sum(epoch * self.ticks_each_epoch <= u for epoch in self.decay_epochs)]

    def changes(self) -> list[int]:
        """The ``decay_epochs`` that the run reaches."""
        return reached(self, self.decay_epochs)

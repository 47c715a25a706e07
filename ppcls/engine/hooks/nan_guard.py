"""Stops a run whose loss is not finite, before anything after that step is saved or judged."""

import math
from collections.abc import Callable
from typing import NamedTuple

from paddle import Tensor

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import dist
from ppcls.utils.errors import NonFiniteError

_MOST_UNREAD = 64  # updates whose losses may wait on the device


class _Unread(NamedTuple):
    step: int
    epoch: int
    lr: float
    losses: dict[str, Tensor]
    ids: list[NamedTuple]


class NanGuard(Hook):
    """Looks at the losses where the log reads anyway, and before every evaluation and save.

    Args:
        where: sample index -> ``train.txt:17 a/b.JPEG``, for the message.
    """

    def __init__(self, plan: Plan, where: Callable[[int], str]) -> None:
        self._plan = plan
        self._where = where
        self._unread: list[_Unread] = []

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self._unread.append(_Unread(state.step, state.epoch + 1, output.lr, output.losses, output.ids))
        if (
            state.ends_epoch
            or self._plan.prints(state.batch, len(output.ids))
            or self._plan.saves_step(state.step)
            or len(self._unread) >= _MOST_UNREAD
        ):
            self.check()

    def check(self) -> None:
        """Read the losses kept since the last look; all ranks look together, and stop together.

        Raises:
            NonFiniteError: names the first bad step, its epoch, rate, parts of the loss and pictures.
        """
        problem = self._first_problem()
        bad_rank = int(dist.all_max([-1 if problem is None else dist.rank()])[0])
        if problem is not None:
            raise NonFiniteError(problem)
        if bad_rank >= 0:
            raise NonFiniteError(f"the loss of rank {bad_rank} is not finite; its log names the pictures")

    def _first_problem(self) -> str | None:
        unread, self._unread = self._unread, []
        for entry in unread:
            parts = {name: float(value) for name, value in entry.losses.items()}
            if not all(math.isfinite(value) for value in parts.values()):
                return self._message(entry, parts)
        return None

    def _message(self, entry: _Unread, parts: dict[str, float]) -> str:
        losses = ", ".join(f"{name} {value}" for name, value in parts.items())
        indices = [int(index) for batch in entry.ids for index in batch.indices]
        shown = ", ".join(self._where(index) for index in indices[:8])
        more = f" and {len(indices) - 8} more" if len(indices) > 8 else ""
        return (
            f"the loss is not finite: {losses}; step {entry.step}, epoch {entry.epoch}, lr {entry.lr:.8g}, "
            f"batch of {shown}{more}; checkpoints of earlier steps stand; lower the learning rate or look at these"
        )

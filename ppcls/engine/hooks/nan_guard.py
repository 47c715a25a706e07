"""Looks for losses that are not finite, before anything after such a step is printed as good, saved or judged."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import paddle
from paddle import Tensor

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.precision import Overflow
from ppcls.engine.state import Skips, StepOutput, TrainState
from ppcls.utils import dist
from ppcls.utils.errors import NonFiniteError

_LOG = logging.getLogger("ppcls")
_MOST_UNREAD = 64  # updates whose losses may wait on the device
MOST_IN_A_ROW = 5  # updates that `on_nan: skip` may leave out
MOST_SHARE = 0.01  # of all updates of the run


class BadUpdate(NonFiniteError):
    """``update``, counted from 0, made a loss that is not finite."""

    def __init__(self, message: str, update: int) -> None:
        super().__init__(message)
        self.update = update


class _Unread(NamedTuple):
    update: int
    epoch: int
    lr: float
    losses: dict[str, Tensor]
    ids: list[NamedTuple]


class NanGuard(Hook):
    """Looks at the losses where the log reads anyway, and before every evaluation and save.

    Updates that the step itself left out (``on_nan: skip``) are counted here, and bounded.

    Args:
        where: sample index -> ``train.txt:17 a/b.JPEG``, for the message.
    """

    def __init__(self, plan: Plan, where: Callable[[int], str]) -> None:
        self._plan = plan
        self._where = where
        self._unread: list[_Unread] = []

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        entry = _Unread(state.step - 1, state.epoch + 1, output.lr, output.losses, output.ids)
        if not output.left_out:
            self._unread.append(entry)
        elif output.overflow is not None:
            self._overflowed(state, entry, output.overflow)
        elif output.losses:
            self._count(state, entry)
        else:
            _LOG.warning("update %d is left out: its loss was not finite before", state.step)
        if not output.left_out and state.skips.in_a_row:
            state.skips = state.skips._replace(in_a_row=0)
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
            BadUpdate: names the first bad step, its epoch, rate, parts of the loss and pictures.
        """
        unread, self._unread = self._unread, []
        problem = _first_bad(unread)
        update = -dist.all_max([-math.inf if problem is None else -problem.update])[0]
        if math.isinf(update):
            return
        is_ours = problem is not None and problem.update == update
        rank = int(dist.all_max([dist.rank() if is_ours else -1])[0])
        if not is_ours:
            raise BadUpdate(f"the loss of rank {rank} is not finite; its log names the pictures", int(update))
        advice = "checkpoints of earlier steps stand; lower the learning rate or look at these"
        raise BadUpdate(f"{self._message(problem)}; {advice}", int(update))

    def _overflowed(self, state: TrainState, entry: _Unread, overflow: Overflow) -> None:
        """Told, and no failure as long as the loss scale falls; then as any gradients that are not finite."""
        if overflow.is_cured:
            scales = (overflow.scale, overflow.next_scale)
            _LOG.warning("update %d is left out: gradients overflow at loss scale %g, now %g", state.step, *scales)
            self._unread.append(entry)
        elif state.on_nan == "skip":
            self._count(state, entry)
        else:
            self._unread.append(entry)
            self.check()  # of bad updates the first is named
            place = f"{overflow.where} first, at loss scale {overflow.scale:g}"
            advice = "set AMP.use_dynamic_loss_scaling, or lower the learning rate"
            raise BadUpdate(f"{self._message(entry)}; {place}; {advice}", entry.update)

    def _count(self, state: TrainState, entry: _Unread) -> None:
        state.skips = Skips(state.skips.in_a_row + 1, state.skips.total + 1)
        most = max(MOST_IN_A_ROW, int(MOST_SHARE * state.epochs * state.epoch_updates))
        what = f"{self._message(entry)}: left out by on_nan: skip, {state.skips.total} in all"
        if state.skips.in_a_row > MOST_IN_A_ROW or state.skips.total > most:
            limits = f"more than {MOST_IN_A_ROW} in a row or {most} in all"
            raise NonFiniteError(f"{what}, {limits}; lower the learning rate or look at these pictures")
        _LOG.warning("%s", what)

    def _message(self, entry: _Unread) -> str:
        parts = _read(entry)
        kind = "gradients are" if _is_finite(parts) else "the loss is"
        losses = ", ".join(f"{name} {value}" for name, value in parts.items())
        indices = [int(index) for batch in entry.ids for index in batch.indices]
        shown = ", ".join(self._where(index) for index in indices[:8])
        more = f" and {len(indices) - 8} more" if len(indices) > 8 else ""
        place = f"step {entry.update + 1}, epoch {entry.epoch}, lr {entry.lr:.8g}"
        return f"{kind} not finite: {losses}; {place}, batch of {shown}{more}"


def _first_bad(entries: Sequence[_Unread]) -> _Unread | None:
    """The first of ``entries`` with a loss that is not finite; one read of the device, however many they are."""
    if not entries:
        return None
    flags = [paddle.stack([paddle.isfinite(loss) for loss in entry.losses.values()]).all() for entry in entries]
    are_good = paddle.stack(flags).numpy()  # [updates]
    return next((entry for entry, is_good in zip(entries, are_good, strict=True) if not is_good), None)


def _read(entry: _Unread) -> dict[str, float]:
    return {name: float(value) for name, value in entry.losses.items()}


def _is_finite(parts: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in parts.values())

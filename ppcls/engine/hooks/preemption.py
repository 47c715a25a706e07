"""SIGTERM, SIGINT and SIGUSR1: finish the update, save, and leave."""

import logging
import signal
from collections.abc import Callable, Sequence
from types import FrameType

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import dist

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Preemption(Hook):
    """The handler lives from ``train_begin`` to ``train_end``; a second SIGINT leaves at once, unsaved.

    ``state.stop_signal`` becomes the number; the command then exits with 128 + it.
    """

    def __init__(self, plan: Plan, save: Callable[[TrainState, Sequence[str], bool], None]) -> None:
        self._plan = plan
        self._save = save
        self._received = 0
        self._previous: dict[int, object] = {}

    def train_begin(self, state: TrainState) -> None:
        self._previous = {number: signal.signal(number, self._record) for number in _SIGNALS}

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        # Several ranks agree only where the log makes the host wait anyway.
        asks = dist.world_size() == 1 or self._plan.prints(state.batch, len(output.ids))
        if asks and not state.ends_epoch and self._agreed():
            self._save(state, ["latest"], False)
            self._stop(state)

    def epoch_end(self, state: TrainState) -> None:
        if not state.is_complete and self._agreed():
            self._stop(state)

    def train_end(self, state: TrainState) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self._received = number

    def _agreed(self) -> bool:
        self._received = int(dist.all_max([self._received])[0])
        return self._received > 0

    def _stop(self, state: TrainState) -> None:
        state.stop_signal = self._received
        name = signal.Signals(self._received).name
        logging.getLogger("ppcls").info("stopped by %s after update %d; saved", name, state.step)

"""SIGTERM, SIGINT and SIGUSR1: finish the update, save, and leave."""

import logging
import signal
from collections.abc import Callable
from types import FrameType

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import dist

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Preemption(Hook):
    """The handler lives from ``train_begin`` to ``train_end``; a second SIGINT leaves at once.

    ``state.stop_reason`` becomes the signal's name; the command then exits with 128 + its number.
    """

    def __init__(self, save: Callable[[TrainState], None]) -> None:
        self._save = save
        self._received = 0
        self._previous: dict[int, object] = {}

    def train_begin(self, state: TrainState) -> None:
        self._previous = {number: signal.signal(number, self._record) for number in _SIGNALS}

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        number = int(max(dist.all_max([self._received])))
        if number == 0 or state.ends_epoch:
            return
        self._save(state)
        self._stop(state, number)

    def epoch_end(self, state: TrainState) -> None:
        number = int(max(dist.all_max([self._received])))
        if number and not state.is_complete:
            self._stop(state, number)

    def train_end(self, state: TrainState) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self._received = number

    def _stop(self, state: TrainState, number: int) -> None:
        state.stop_reason = signal.Signals(number).name
        logging.getLogger("ppcls").info("stopped by %s after update %d, saved", state.stop_reason, state.step)

"""SIGTERM, SIGINT and SIGUSR1: finish the update, save, and leave."""

import logging
import signal
from collections.abc import Callable, Sequence
from types import FrameType

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import dist

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_AGREE_EVERY = 10  # updates, on several ranks


class Preemption(Hook):
    """The handler lives from ``train_begin`` to ``train_end``; a second SIGINT leaves at once, unsaved.

    ``state.stop_signal`` becomes the number; the command then exits with 128 + it.
    """

    def __init__(self, save: Callable[[TrainState, Sequence[str], bool], None]) -> None:
        self._save = save
        self._received = 0
        self._previous: dict[int, object] = {}

    def train_begin(self, state: TrainState) -> None:
        self._previous = {number: signal.signal(number, self._record) for number in _SIGNALS}

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        # Several ranks agree only now and then: every agreement makes the host wait.
        asks = dist.world_size() == 1 or state.step % _AGREE_EVERY == 0
        if asks and not state.ends_epoch and (number := self._agreed()):
            self._save(state, ["latest"], False)
            self._stop(state, number)

    def epoch_end(self, state: TrainState) -> None:
        if not state.is_complete and (number := self._agreed()):
            self._stop(state, number)

    def train_end(self, state: TrainState) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received == number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self._received = number

    def _agreed(self) -> int:
        """The signal that some rank received, 0 for none; the same answer on all ranks."""
        return int(dist.all_max([self._received])[0])

    def _stop(self, state: TrainState, number: int) -> None:
        state.stop_signal = number
        name = signal.Signals(number).name
        logging.getLogger("ppcls").info("stopped by %s after update %d; saved", name, state.step)

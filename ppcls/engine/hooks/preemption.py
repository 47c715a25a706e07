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
        if asks and not state.ends_epoch and self.agreed():
            self.stop(state)

    def epoch_end(self, state: TrainState) -> None:
        if not state.is_complete and self.agreed():
            self._leave(state)

    def train_end(self, state: TrainState) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received == number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self._received = number

    def agreed(self) -> int:
        """The signal that some rank received, 0 for none; the same answer on all ranks, which all ask."""
        return int(dist.all_max([self._received])[0])

    def stop(self, state: TrainState) -> None:
        """Save where the run is, and let it end."""
        self._save(state, ["latest"], False)
        self._leave(state)

    def _leave(self, state: TrainState) -> None:
        state.stop_signal = self.agreed()
        name = signal.Signals(state.stop_signal).name
        logging.getLogger("ppcls").info("stopped by %s after update %d; saved", name, state.step)

"""SIGTERM, SIGINT and SIGUSR1: finish the update, save, and leave."""

import logging
import signal
import time
from collections.abc import Callable, Sequence

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import dist
from ppcls.utils.signals import StopRequests

_AGREE_S = 4.0  # between two agreements of several ranks, as far as single updates allow
_MOST_BETWEEN = 10  # updates


class Preemption(Hook):
    """Stops all ranks after the same update when one of them has received a signal.

    ``state.stop_signal`` becomes the number; the command then exits with 128 + it.
    """

    def __init__(self, save: Callable[[TrainState, Sequence[str], bool], None], requests: StopRequests) -> None:
        self._save = save
        self._requests = requests
        self._rounds = Rounds()

    def train_begin(self, state: TrainState) -> None:
        self._requests.begin()
        if not state.is_complete and self.agreed():
            self.stop(state)

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if self._rounds.is_due() and not state.ends_epoch and self.agreed():
            self.stop(state)

    def epoch_end(self, state: TrainState) -> None:
        if not state.is_complete and self.agreed():
            self._leave(state)

    def agreed(self) -> int:
        """The signal that some rank received, 0 for none; the same answer on all ranks, which all ask."""
        return int(dist.all_max([self._requests.received])[0])

    def stop(self, state: TrainState) -> None:
        """Save where the run is, and let it end."""
        self._save(state, ["latest"], False)
        self._leave(state)

    def _leave(self, state: TrainState) -> None:
        state.stop_signal = self.agreed()
        name = signal.Signals(state.stop_signal).name
        logging.getLogger("ppcls").info("stopped by %s after update %d; saved", name, state.step)


class Rounds:
    """When to ask whether to stop: alone every time, else seldom, as every agreement makes the ranks wait.

    All ranks ask equally often: from each agreement they take the slowest rank's time a round, and so the same number
    of rounds until the next.

    Args:
        meet: called by every rank before it asks.
    """

    def __init__(self, meet: Callable[[], None] = lambda: None) -> None:
        self._meet = meet
        self._left = 1
        self._taken = 1
        self._since = time.monotonic()

    def is_due(self) -> bool:
        """Count a round; whether it ends in a question."""
        if dist.world_size() == 1:
            return True
        self._left -= 1
        if self._left:
            return False
        self._meet()
        now = time.monotonic()
        slowest_s = dist.all_max([(now - self._since) / self._taken])[0]
        self._left = self._taken = max(1, min(_MOST_BETWEEN, int(_AGREE_S / max(slowest_s, 1e-9))))
        self._since = now
        return True

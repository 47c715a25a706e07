"""A progress bar for people at a terminal."""

import sys

from tqdm import tqdm

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState


class Progress(Hook):
    """One bar an epoch on standard error; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def epoch_begin(self, state: TrainState) -> None:
        self._close()
        self._bar = tqdm(
            desc=f"epoch {state.epoch + 1}/{state.epochs}",
            total=state.epoch_batches,
            initial=state.batch,
            unit="batch",
            leave=False,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
        )

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if self._bar is not None:
            self._bar.update(len(output.ids))
            if state.ends_epoch:
                self._close()

    def train_end(self, state: TrainState) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

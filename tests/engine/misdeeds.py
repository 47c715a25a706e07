"""Parts of a run that misbehave on request: importing this registers them, so that a YAML may ask for them."""

import signal

import numpy as np
from paddle import Tensor

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import BATCH_OPS, HOOKS
from ppcls.utils.errors import DataError


@HOOKS.register
class SignalAt(Hook):
    """Sends this process a signal after a step, as a job scheduler would."""

    def __init__(self, step: int, number: int = int(signal.SIGTERM)) -> None:
        self._step = step
        self._number = number

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if state.step == self._step:
            signal.raise_signal(self._number)


@HOOKS.register
class LoseAt(Hook):
    """Fails at a step, after its rows were written."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if state.step == self._step:
            raise DataError("lost")


@BATCH_OPS.register
class PoisonBelow:
    """Makes a batch NaN whose own random number is below ``share``: the same batches in every life of a run."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return (images * float("nan") if rng.random() < self._share else images), labels

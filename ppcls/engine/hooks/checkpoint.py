"""Saves the run: ``latest`` after every epoch, ``best_model`` and ``epoch_N`` when they are due."""

import logging
from collections.abc import Callable, Sequence

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.state import StepOutput, TrainState

Save = Callable[[TrainState, Sequence[str], bool], None]


class Checkpoint(Hook):
    """Decides which names a unit gets; ``save(state, names, after_evaluation)`` writes it."""

    def __init__(self, plan: Plan, save: Save) -> None:
        self._plan = plan
        self._save = save

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if self._plan.saves_step(state.step) and not state.ends_epoch:
            self._save(state, ["latest"], False)

    def epoch_end(self, state: TrainState) -> None:
        names = ["latest"]
        if state.best is not None and state.best.epoch == state.epoch:
            names.append("best_model")
        if self._plan.saves_epoch(state.epoch):
            names.append(f"epoch_{state.epoch}")
        self._save(state, names, self._plan.evaluates(state.epoch))
        if state.is_complete:
            logging.getLogger("ppcls").info("training is complete: %d epochs, %d updates", state.epoch, state.step)

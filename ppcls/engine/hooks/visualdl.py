"""Scalars for VisualDL."""

import logging
from collections.abc import Mapping
from pathlib import Path

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils.errors import PpclsError


class VisualDL(Hook):
    """Writes ``lr`` and ``train_<loss>`` per printed step, ``eval_<metric>`` per epoch, into ``folder``."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        try:
            from visualdl import LogWriter
        except ImportError as error:
            raise PpclsError(f"Global.use_visualdl needs visualdl ({error}); pip install visualdl", "output") from error
        self._plan = plan
        self._writer = LogWriter(logdir=str(folder))
        logging.getLogger("ppcls").info("watch the run with: visualdl --logdir %s", folder)

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if self._plan.prints(state.batch, len(output.ids)):
            self._writer.add_scalar(tag="lr", value=output.lr, step=state.step)
            for name, value in output.losses.items():
                self._writer.add_scalar(tag=f"train_{name}", value=float(value), step=state.step)

    def evaluated(self, state: TrainState, results: Mapping[str, float]) -> None:
        for name, value in results.items():
            self._writer.add_scalar(tag=f"eval_{name}", value=value, step=state.epoch)

    def train_end(self, state: TrainState) -> None:
        self._writer.close()

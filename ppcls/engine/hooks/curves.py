"""``curves.png`` beside the logs of a complete run."""

import logging
from pathlib import Path

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import TrainState
from ppcls.utils.curves import draw_curves, read_curve
from ppcls.utils.errors import PpclsError


class Curves(Hook):
    """Draws loss, learning rate and accuracy per epoch; without matplotlib the log says so and the run stays good."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def epoch_end(self, state: TrainState) -> None:
        if not state.is_complete:
            return
        target = self._folder / "curves.png"
        try:
            draw_curves([read_curve(self._folder)], target)
        except PpclsError as error:
            logging.getLogger("ppcls").warning("%s was not drawn: %s", target, error)

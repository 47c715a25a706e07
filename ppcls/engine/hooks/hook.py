"""What a hook is: the six moments of a run at which others than the training step may act."""

from collections.abc import Mapping

from ppcls.engine.state import StepOutput, TrainState


class Hook:
    """Watches, saves or stops; what changes the numbers belongs into the training step.

    The loop it lives in::

        train_begin
        for each epoch:
            epoch_begin
            for each update:
                train_step
                step_end
            evaluate, when due
            evaluated
            epoch_end
        train_end            # always, also after an error
    """

    def train_begin(self, state: TrainState) -> None:
        """Before the first epoch of this process; a resumed run has ``state.epoch > 0`` or ``state.batch > 0``."""

    def epoch_begin(self, state: TrainState) -> None:
        """``state.epoch`` epochs are done; the next begins at ``state.batch``."""

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        """After an update; reading ``output`` makes the host wait for the device."""

    def evaluated(self, state: TrainState, results: Mapping[str, float]) -> None:
        """After an evaluation; ``state.best`` already knows it."""

    def epoch_end(self, state: TrainState) -> None:
        """After an epoch and its evaluation; ``state.epoch`` counts it."""

    def train_end(self, state: TrainState) -> None:
        """Release what the hook holds; the run may be complete, stopped or failed."""

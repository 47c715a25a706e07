"""A running average of the weights, judged beside them."""

import paddle
from paddle import Tensor

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState


class Ema(Hook):
    """After every update ``average = decay * average + (1 - decay) * weight``, batch norm's statistics included.

    All in float32, also where the network computes in float16: there it follows the master weights.
    ``state.average`` is a network of its own, which starts as a copy or as what a checkpoint held: nothing is swapped
    in for an evaluation, so nothing has to be swapped back.

    Args:
        decay: share of the old average that an update keeps, in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay

    @paddle.no_grad()
    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if output.left_out:
            return
        weights = state.precision.weights(state.network)
        for name, mean in state.average.state_dict().items():
            _move(mean, weights[name], self._decay)


def _move(mean: Tensor, weight: Tensor, decay: float) -> None:
    """In place, on the device; a whole number, such as a counter, is copied."""
    paddle.assign(mean * decay + weight * (1.0 - decay) if mean.is_floating_point() else weight, output=mean)

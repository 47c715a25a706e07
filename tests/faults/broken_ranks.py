"""``python broken_ranks.py train -c ... -o 'Hooks=[Misbehave: {...}]'``: ``ppcls`` with a hook that breaks one rank."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import conftest  # noqa: F401  the environment of all tests, before paddle
from paddle import Tensor, nn

from ppcls.cli import main
from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import DATASETS, HOOKS
from ppcls.utils import dist
from ppcls.utils.checkpoint import CheckpointStore
from ppcls.utils.errors import DataError


def misbehave(how: str) -> None:
    """What a rank does when its moment has come."""
    if how == "raise":
        raise DataError("train.txt:17 a.jpg: spoiled on purpose")
    if how == "bug":
        raise KeyError("a mistake of ours")
    if how == "exit 3":
        os._exit(3)
    if how == "leave with 0":
        os._exit(0)
    if how == "exit politely":
        sys.exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "kill the launcher":
        os.kill(os.getppid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(600)


def before_judging(state: TrainState, act: Callable[[], object]) -> None:
    """Act before every batch of an evaluation."""

    def look(network: nn.Layer, inputs: tuple[Tensor, ...]) -> None:
        if not network.training:
            act()

    state.network.register_forward_pre_hook(look)


@HOOKS.register
class Misbehave(Hook):
    """Breaks rank ``rank`` after update ``step``, or ``during`` the evaluation after it."""

    def __init__(self, how: str, step: int = 2, rank: int = 1, during: str = "training") -> None:
        self._how, self._step, self._is_mine, self._during = how, step, dist.rank() == rank, during

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if not self._is_mine or state.step != self._step:
            return
        if self._how == "poison":
            bias = state.network.parameters()[-1]
            bias.set_value(bias * float("nan"))
        elif self._during == "training":
            misbehave(self._how)
        else:
            before_judging(state, lambda: misbehave(self._how))


@HOOKS.register
class Slow(Hook):
    """Makes every checkpoint take ``seconds`` longer on rank 0, and every evaluation on rank ``judge``."""

    def __init__(self, seconds: float, judge: int = -1) -> None:
        self._seconds = seconds
        self._judge = judge

    def train_begin(self, state: TrainState) -> None:
        save = CheckpointStore.save
        seconds = self._seconds

        def slow(*args: object, **kwargs: object) -> object:
            time.sleep(seconds)
            return save(*args, **kwargs)

        CheckpointStore.save = slow
        if dist.rank() == self._judge:
            before_judging(state, lambda: time.sleep(seconds))


@DATASETS.register(accepts=ImageNetDataset)
class StuckDataset(ImageNetDataset):
    """As its parent, but on rank ``rank`` no picture from the ``stuck``-th on is ever read."""

    def __init__(self, stuck: int, rank: int, **arguments: object) -> None:
        super().__init__(**arguments)
        self._stuck = stuck if dist.rank() == rank else len(self)

    def __getitem__(self, index: int) -> object:
        if index >= self._stuck:
            time.sleep(600)
        return super().__getitem__(index)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

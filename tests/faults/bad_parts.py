"""Data sets, ops, metrics and hooks that misbehave at a chosen place; importing this registers them for a YAML."""

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import bent
import numpy as np
from paddle import Tensor

from ppcls.data.dataloader.bad_samples import ReadRule
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.dataloader.values import Item
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import DATASETS, HOOKS, METRICS, OPS

CLASSES = 4
_ERRORS = {"ValueError": ValueError("too large"), "KeyError": KeyError("hue"), "StopIteration": StopIteration()}
_ERRORS |= {"SystemExit": SystemExit(3), "MemoryError": MemoryError()}


def misbehave(how: str) -> None:
    """Raise an error by its name, send a signal by its name, ``exit 3``, or ``sleep 1``."""
    word, _, number = how.partition(" ")
    if word in _ERRORS:
        raise _ERRORS[word]
    if word == "exit":
        os._exit(int(number))
    if word == "sleep":
        time.sleep(float(number))
    else:
        os.kill(os.getpid(), getattr(signal, word))


@OPS.register
class SpoilSample:
    """Spoils one picture of the synthetic data set, which it knows by its pixels, wherever it stands.

    Args:
        at: the sample's index.
        how: as ``misbehave``; or ``nan``, ``wide``, ``grey`` for what comes out.
        in_worker: leave it alone in the main process.
    """

    def __init__(self, at: int, how: str, in_worker: bool = False) -> None:
        self._at, self._how, self._in_worker = at, how, in_worker

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        original = SyntheticDataset(CLASSES, side=image.shape[0]).pixels(self._at)
        is_meant = np.array_equal(image[:, :, ::-1], original) or np.array_equal(image, original)
        if not is_meant or (self._in_worker and multiprocessing.parent_process() is None):
            return image
        results: dict[str, Callable[[], np.ndarray]] = {
            "nan": lambda: np.float32(image) * np.float32(np.nan),
            "wide": lambda: np.repeat(image, 2, axis=1),
            "grey": lambda: image[:, :, 0],
        }
        if self._how in results:
            return results[self._how]()
        misbehave(self._how)
        return image


@DATASETS.register(accepts=ReadRule)
class SpoiledDataset(SyntheticDataset):
    """The synthetic data set, one sample of which cannot be read without an accident."""

    def __init__(self, class_num: int, at: int, how: str, samples: int = 22, side: int = 40, **reading: object) -> None:
        super().__init__(class_num, samples, side, **reading)
        self._at, self._how = at, how

    def __getitem__(self, index: int) -> Item:
        if index == self._at:
            misbehave(self._how)
        return super().__getitem__(index)


@METRICS.register
class Falling:
    """0.9 at the first evaluation of a process, half as much at every other."""

    def __init__(self, class_num: int) -> None:
        self._value = 1.8

    def reset(self) -> None:
        """The next evaluation."""
        self._value /= 2

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Nothing is counted."""

    def names(self) -> list[str]:
        """One number."""
        return ["falling"]

    def compute(self) -> dict[str, float]:
        """The number."""
        return {"falling": self._value}

    local = compute

    def state(self) -> list[float]:
        """Nothing to keep."""
        return []

    def restore(self, state: list[float]) -> None:
        """Nothing to take back."""


@HOOKS.register
class SpoilRun(Hook):
    """Spoils what surrounds a run after a step.

    Args:
        what: ``remove`` or ``protect`` the folder ``target``; ``infinite``: a weight becomes so; else as ``misbehave``.
    """

    def __init__(self, step: int, what: str, target: str = "") -> None:
        self._step, self._what, self._target = step, what, target

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if state.step != self._step:
            return
        if self._what == "remove":
            shutil.rmtree(Path(self._target))
        elif self._what == "protect":
            bent.read_only(self._target)
        elif self._what == "infinite":
            weight = state.network.parameters()[-1]
            weight.set_value(np.full(weight.shape, np.inf, "float32"))
        else:
            misbehave(self._what)

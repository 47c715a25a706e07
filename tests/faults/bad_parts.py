"""Samples, metrics and hooks that misbehave at a chosen place; importing this registers what a YAML may name."""

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
from sizes import CLASSES, TRAINED

from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.dataloader.values import Item
from ppcls.data.preprocess.ops import opening
from ppcls.data.preprocess.ops.decode import DecodeImage
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import HOOKS, METRICS

_ERRORS = {"ValueError": ValueError("too large"), "KeyError": KeyError("hue"), "StopIteration": StopIteration()}
_ERRORS |= {"SystemExit": SystemExit(3), "MemoryError": MemoryError()}


def misbehave(how: str) -> None:
    """Deeds, by commas: raise an error by its name, send a signal by its name, ``exit 3``, ``sleep 1``.

    ``group SIGTERM`` is a signal to all processes of this one's group.
    """
    for deed in how.split(","):
        word, _, argument = deed.partition(" ")
        if word in _ERRORS:
            raise _ERRORS[word]
        if word == "exit":
            os._exit(int(argument))
        elif word == "sleep":
            time.sleep(float(argument))
        elif word == "group":
            os.killpg(0, getattr(signal, argument))
        else:
            os.kill(os.getpid(), getattr(signal, word))


def spoil_sample(at: int, how: str, side: int = TRAINED, in_worker: bool = False) -> None:
    """One picture of the synthetic data set, known by its pixels, is spoilt where it is decoded, wherever that is.

    Args:
        how: as ``misbehave``; or ``nan``, ``wide``, ``grey`` for what comes out.
        side: of the data set's pictures; those of another one are let alone.
        in_worker: so is the main process.
    """
    alone, joined = DecodeImage.__call__, opening.decode_bgr
    pixels = SyntheticDataset(CLASSES, side=side).pixels(at)
    results: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "nan": lambda image: np.float32(image) * np.float32(np.nan),
        "wide": lambda image: np.repeat(image, 2, axis=1),
        "grey": lambda image: image[:, :, 0],
    }

    def spoilt(image: np.ndarray, expected: np.ndarray) -> np.ndarray:
        if not np.array_equal(image, expected) or (in_worker and multiprocessing.parent_process() is None):
            return image
        if how in results:
            return results[how](image)
        misbehave(how)
        return image

    def decode(op: DecodeImage, data: bytes, rng: np.random.Generator) -> np.ndarray:
        return spoilt(alone(op, data, rng), pixels[:, :, ::-1])

    def decode_bgr(data: bytes, factor: int = 1) -> np.ndarray:
        return spoilt(joined(data, factor), pixels)

    DecodeImage.__call__, opening.decode_bgr = decode, decode_bgr


def spoil_reading(at: int, how: str) -> None:
    """A sample of the training data set cannot be read without an accident."""
    original = SyntheticDataset.__getitem__

    def read(dataset: SyntheticDataset, index: int) -> Item:
        if index == at and dataset.side == TRAINED:
            misbehave(how)
        return original(dataset, index)

    SyntheticDataset.__getitem__ = read


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

"""Randomness as a function of where it is used: no draw depends on what was drawn before, or on who draws."""

import secrets
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a generator is for: the first element of its path, so that no two uses share numbers."""

    SAMPLE = 1  # path (epoch, index): the crop, flip, ... of one picture
    BATCH = 2  # path (epoch, batch number, rank): mixup and its kind
    ORDER = 3  # path (epoch,): the shuffle
    INIT = 4  # path (): initial weights
    FRAMEWORK = 5  # path (rank, step): paddle's own generator, for dropout


def generator(seed: int, *path: int) -> np.random.Generator:
    """A numpy generator that depends on ``seed`` and ``path`` alone; every element is at least 0."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))


def derive(seed: int, *path: int) -> int:
    """A number in [0, 2**31) for a library that wants a seed of its own."""
    return int(generator(seed, *path).integers(2**31))


def draw_seed() -> int:
    """A fresh seed from the operating system, for a run that asked for none; in [0, 2**31)."""
    return secrets.randbelow(2**31)

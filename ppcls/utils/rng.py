"""The state of Paddle's own random generators as whole numbers, which a checkpoint can hold."""

from collections.abc import Sequence
from typing import Any

import paddle

RngState = list[list[Any]]


def rng_state() -> RngState:
    """A row of numbers per generator of the device in use: device, seed, offset and, on Paddle 3, the engine."""
    return [list(generator.__getstate__()) for generator in paddle.get_rng_state()]


def set_rng_state(state: Sequence[Sequence[Any]]) -> None:
    """Continue exactly where ``rng_state`` was taken.

    Raises:
        ValueError: taken with another number of generators, so on another device.
    """
    if len(state) != len(paddle.get_rng_state()):
        raise ValueError(f"random state of {len(state)} generators; this device has {len(paddle.get_rng_state())}")
    paddle.set_rng_state([_generator_state(row) for row in state])


def is_exact(state: Sequence[Sequence[Any]]) -> bool:
    """Whether ``state`` restores every later number.

    Paddle 2.6 leaves the engine of its CPU generator out; a GPU's numbers follow from seed and offset alone.
    """
    return all(len(row) > 3 or row[0] >= 0 for row in state)


def _generator_state(row: Sequence[Any]) -> Any:
    kind = type(paddle.get_rng_state()[0])
    state = kind.__new__(kind)  # __setstate__ on a state that is in use gives wrong numbers
    state.__setstate__(tuple(row))
    return state

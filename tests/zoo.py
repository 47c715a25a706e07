"""The networks of the project, and one of each file for what takes too long with all of them."""

import functools
import math

import paddle

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.registry import BACKBONES

CLASSES = 10


@functools.cache
def shapes(name: str, alpha: float) -> list[list[int]]:
    """Of all that the network holds; it is built without values, in a moment whatever its size."""
    with paddle.LazyGuard():
        model = BACKBONES.get(name)(class_num=CLASSES, alpha=alpha)
    return [list(value.shape) for value in model.state_dict().values()]


def numbers(name: str, alpha: float) -> int:
    """How many the network holds."""
    return sum(math.prod(shape) for shape in shapes(name, alpha))


def networks() -> list[str]:
    """Those of the project: tests register some of their own."""
    return [name for name in BACKBONES.names() if BACKBONES.get(name).__module__.startswith("ppcls.")]


def smallest_of_each_file() -> list[str]:
    """One network a file: the others there differ from it in numbers alone, and some take seconds for one image."""
    by_size = sorted(networks(), key=lambda name: -numbers(name, 0.5))
    return sorted({BACKBONES.get(name).__module__: name for name in by_size}.values())

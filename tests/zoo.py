"""The networks of the project, and one of each file for what takes too long with all of them."""

import functools
import math

import numpy as np
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


def calibrate(network: paddle.nn.Layer, side: int) -> None:
    """Give batch norms that differ in each channel and fit the network's maps; leaves it in evaluation mode.

    Drawn statistics leave logits that overflow, or that no picture changes. Those of a batch, with variances half as
    large again, give logits that depend on the picture and to which an error of rounding is one.
    """
    draw = np.random.default_rng(5)
    norms = [layer for layer in network.sublayers() if isinstance(layer, paddle.nn.BatchNorm2D)]
    momentums = [norm._momentum for norm in norms]
    for norm in norms:
        norm.weight.set_value(draw.uniform(0.6, 1.4, norm.weight.shape).astype("f4"))
        norm.bias.set_value(draw.normal(0, 0.2, norm.bias.shape).astype("f4"))
        norm._momentum = 0.0  # keep nothing of the statistics before
    network.train()
    with paddle.no_grad():
        network(paddle.to_tensor(draw.standard_normal((8, 3, side, side), dtype="f4")))
    for norm, momentum in zip(norms, momentums, strict=True):
        norm._variance.set_value(norm._variance * 1.5)
        norm._momentum = momentum
    network.eval()

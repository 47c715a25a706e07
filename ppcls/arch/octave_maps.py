"""What an octave network makes of a picture: its maps in two octaves, and what each path costs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.octave import Octave
from ppcls.arch.summary import evaluating, macs_per_output

PATHS = ("h2h", "h2l", "l2h", "l2l")


@dataclass(frozen=True)
class OctaveMaps:
    """The output of one octave convolution: ``high [C_h, H, W]``, ``low [C_l, H / 2, W / 2]``, float32."""

    layer: str
    high: np.ndarray
    low: np.ndarray


@dataclass
class Trace:
    """``maps`` holds the last output with both parts at each resolution, from the largest to the smallest; ``macs``
    the multiply-adds of each path, and ``plain`` for convolutions and linear layers that are not in an octave layer."""

    maps: list[OctaveMaps] = field(default_factory=list)
    macs: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*PATHS, "plain"), 0))


def trace_octaves(network: nn.Layer, image: Tensor) -> Trace:
    """Run one picture through the network in eval mode.

    Args:
        image: float32 ``[1, C, H, W]``; the network computes in NCHW.
    Raises:
        ValueError: no map of the network is in two octaves.
    """
    trace = Trace()
    last: dict[tuple[int, ...], OctaveMaps] = {}

    def keep(name: str, output: Octave) -> None:
        if output.high is not None and output.low is not None:
            maps = OctaveMaps(name, output.high[0].numpy(), output.low[0].numpy())
            last[maps.high.shape[1:]] = maps

    with _watched(network, keep, trace.macs), evaluating(network), paddle.no_grad():
        network(image)
    trace.maps = [last[size] for size in sorted(last, reverse=True)]
    if not trace.maps:
        raise ValueError("no map of this network is in two octaves; give it an alpha above 0")
    return trace


def spectrum(maps: np.ndarray) -> np.ndarray:
    """Mean over channels of the magnitude of the 2D Fourier transform, each map less its mean, zero frequency centred.

    Shape:
        ``[C, H, W]`` -> ``[H, W]``.
    """
    deviation = maps - maps.mean(axis=(1, 2), keepdims=True)
    return np.fft.fftshift(np.abs(np.fft.fft2(deviation)).mean(axis=0))


@contextmanager
def _watched(network: nn.Layer, keep: Callable[[str, Octave], None], macs: dict[str, int]) -> Iterator[None]:
    """Within it, every octave layer's output goes to ``keep``, and every convolution is counted."""
    hooks, paths = [], {}
    for name, layer in network.named_sublayers():
        if isinstance(layer, OctConv2D):
            hooks.append(layer.register_forward_post_hook(lambda _, __, output, name=name: keep(name, output)))
            paths |= {id(getattr(layer, f"conv_{path}")): path for path in PATHS}
        elif isinstance(layer, nn.Conv2D | nn.Linear):
            path = paths.get(id(layer), "plain")
            hooks.append(layer.register_forward_post_hook(_counter(macs, path)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _counter(macs: dict[str, int], path: str) -> Callable[[nn.Layer, tuple[object, ...], Tensor], None]:
    def count(layer: nn.Layer, _inputs: tuple[object, ...], output: Tensor) -> None:
        macs[path] += math.prod(output.shape[1:]) * macs_per_output(layer)

    return count

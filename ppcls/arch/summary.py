"""How large a network is: parameters, multiply-adds, activations."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import paddle
from paddle import Tensor, nn

from ppcls.arch.layers.depthwise import DepthwiseConv2D


@dataclass(frozen=True)
class Summary:
    """Sizes of a network at one image size.

    ``params`` counts trainable numbers, ``state`` those of the weight file (with running statistics). ``macs`` counts
    multiply-adds of convolutions and linear layers for one image, ``activations`` the numbers these put out.
    """

    params: int
    state: int
    macs: int
    activations: int


def summarize(model: nn.Layer, image_shape: Sequence[int]) -> Summary:
    """Let one image of ``image_shape``, ``[C, H, W]``, through in eval mode, and count.

    Convolutions, linear layers and batch norms answer with zeros of the right shape instead of computing, and so need
    no values: ``build_lazily`` saves most of the time.

    ``paddle.flops`` is not used: it counts pooling and norms in, and misses layers that it does not know.

    Raises:
        ValueError: a layer is given a map of other channels than it has.
    """
    macs: list[int] = []
    activations: list[int] = []

    def count(layer: nn.Layer, _inputs: tuple[object, ...], output: Tensor) -> None:
        activations.append(math.prod(output.shape))
        macs.append(math.prod(output.shape) * macs_per_output(layer))

    counted = [layer for layer in model.sublayers(include_self=True) if isinstance(layer, nn.Conv2D | nn.Linear)]
    hooks = [layer.register_forward_post_hook(count) for layer in counted]
    try:
        with evaluating(model), paddle.no_grad(), _stand_ins(model.sublayers(include_self=True)):
            model(paddle.zeros([1, *image_shape]))
    finally:
        for hook in hooks:
            hook.remove()
    return Summary(
        params=sum(math.prod(p.shape) for p in model.parameters() if not p.stop_gradient),
        state=sum(math.prod(value.shape) for value in model.state_dict().values()),
        macs=sum(macs),
        activations=sum(activations),
    )


def build_lazily(build: Callable[[], nn.Layer]) -> nn.Layer:
    """The network, without values if its constructor does without them: for names, shapes and ``summarize``."""
    try:
        with paddle.LazyGuard():
            return build()
    except RuntimeError:  # Paddle's for a parameter that has no values yet: this one computes with them
        return build()


@contextmanager
def _stand_ins(layers: Sequence[nn.Layer]) -> Iterator[None]:
    """While it lasts, the ``forward`` of layers whose output shape is plain to see gives zeros."""
    replaced = []
    try:
        for layer in layers:
            stand_in = _stand_in(layer)
            if stand_in is not None:
                layer.forward = stand_in
                replaced.append(layer)
            else:
                for parameter in layer.parameters(include_sublayers=False):
                    _give_values(parameter)
        yield
    finally:
        for layer in replaced:
            del layer.forward


def _stand_in(layer: nn.Layer) -> Callable[[Tensor], Tensor] | None:
    # The exact kinds: what others make of their input, only they know.
    if type(layer) in (nn.Conv2D, DepthwiseConv2D) and isinstance(layer._padding, int) and layer._data_format == "NCHW":
        return partial(_convolved, layer)
    if type(layer) is nn.Linear:
        return lambda x: paddle.zeros([*x.shape[:-1], layer.weight.shape[1]])
    return (lambda x: x) if type(layer) is nn.BatchNorm2D else None


def _convolved(layer: nn.Conv2D, x: Tensor) -> Tensor:
    """Zeros ``[N, C, H, W]`` in the shape of the convolution's output."""
    if x.shape[1] != layer._in_channels:
        raise ValueError(f"a convolution of {layer._in_channels} channels is given a map of {x.shape[1]}")
    steps = zip(x.shape[2:], layer._kernel_size, layer._stride, layer._dilation, strict=True)
    sides = [(side + 2 * layer._padding - dilation * (k - 1) - 1) // stride + 1 for side, k, stride, dilation in steps]
    return paddle.zeros([x.shape[0], layer._out_channels, *sides])


def _give_values(parameter: Tensor) -> None:
    """Draw what ``paddle.LazyGuard`` has put off."""
    if not parameter._is_initialized():
        parameter.initialize()


@contextmanager
def evaluating(model: nn.Layer) -> Iterator[None]:
    """Eval mode within the block; afterwards every layer is in the mode it was in."""
    before = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    model.eval()
    try:
        yield
    finally:
        for layer, was_training in before:
            layer.training = was_training


def macs_per_output(layer: nn.Layer) -> int:
    """Multiply-adds for one number of the layer's output; the bias is not counted."""
    if isinstance(layer, nn.Linear):
        return layer.weight.shape[0]  # [in, out]
    return math.prod(layer.weight.shape[1:])  # [out, in / groups, k, k]

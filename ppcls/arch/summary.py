"""How large a network is: parameters, multiply-adds, activations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import paddle
from paddle import Tensor, nn


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
    """Run one black image of ``image_shape``, ``[C, H, W]``, in eval mode, and count.

    ``paddle.flops`` is not used: it counts pooling and norms in, and misses layers that it does not know.
    """
    macs: list[int] = []
    activations: list[int] = []

    def count(layer: nn.Layer, _inputs: tuple[object, ...], output: Tensor) -> None:
        activations.append(math.prod(output.shape))
        macs.append(math.prod(output.shape) * _macs_per_output(layer))

    layers = model.sublayers(include_self=True)
    was_training = [layer.training for layer in layers]
    counted = [layer for layer in layers if isinstance(layer, nn.Conv2D | nn.Linear)]
    hooks = [layer.register_forward_post_hook(count) for layer in counted]
    try:
        model.eval()
        with paddle.no_grad():
            model(paddle.zeros([1, *image_shape]))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in zip(layers, was_training, strict=True):
            layer.training = training
    return Summary(
        params=sum(math.prod(p.shape) for p in model.parameters() if not p.stop_gradient),
        state=sum(math.prod(value.shape) for value in model.state_dict().values()),
        macs=sum(macs),
        activations=sum(activations),
    )


def _macs_per_output(layer: nn.Layer) -> int:
    """Multiply-adds for one number of the layer's output; the bias is not counted."""
    if isinstance(layer, nn.Linear):
        return layer.weight.shape[0]  # [in, out]
    return math.prod(layer.weight.shape[1:])  # [out, in / groups, k, k]

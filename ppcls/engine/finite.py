"""What ``on_nan: skip`` asks of an update: is it finite, and what was there before it?"""

from collections.abc import Iterable, Mapping

import paddle
from paddle import Tensor, nn

from ppcls.utils import dist


def is_finite(losses: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> bool:
    """Whether losses and the gradients of ``parameters`` are finite on every rank; one read of the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flags = [paddle.isfinite(value).all() for value in (*losses.values(), *gradients)]
    is_bad = not bool(paddle.stack(flags).all())
    return not dist.all_max([float(is_bad)])[0]


def first_bad_gradient(network: nn.Layer) -> str:
    """The name of the first parameter whose gradient is not finite; reads the device for every one before it."""
    named = [(name, parameter.grad) for name, parameter in network.named_parameters() if parameter.grad is not None]
    return next((name for name, gradient in named if not bool(paddle.isfinite(gradient).all())), "")


def statistics(network: nn.Layer) -> list[tuple[Tensor, Tensor]]:
    """What a forward pass changes by itself, the running statistics of batch norm: each tensor, and a copy."""
    return [(tensor, tensor.clone()) for tensor in network.state_dict().values() if tensor.stop_gradient]


@paddle.no_grad()
def put_back(copies: list[tuple[Tensor, Tensor]]) -> None:
    """Give every tensor of ``statistics`` its values back."""
    for tensor, copy in copies:
        paddle.assign(copy, output=tensor)

"""Ranks: who am I, how many are we, sums over all of us, and what rank 0 gives to all.

Every function that exchanges something is called by all ranks or by none, in the same order.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import paddle
import paddle.distributed
from paddle import Tensor, nn

from ppcls.utils import compat
from ppcls.utils.errors import PpclsError, RankError

Answer = TypeVar("Answer")
_MEETING = "ppcls/meeting"
_PATIENCE_S = 1800.0  # as long as NCCL waits; gloo, on a CPU, gives up after 30 s inside an exchange


def rank() -> int:
    """This process's number, from 0; 0 outside the launcher."""
    return int(os.environ.get("PADDLE_TRAINER_ID", "0") or 0)


def world_size() -> int:
    """How many processes train together; 1 outside the launcher."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1") or 1)


def is_main() -> bool:
    """Whether this is the rank that writes files."""
    return rank() == 0


def start() -> None:
    """Join the other ranks; does nothing for one rank. Call once, after the device is chosen."""
    if world_size() > 1 and not paddle.distributed.is_initialized():
        if paddle.get_device() == "cpu":
            os.environ.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
        paddle.distributed.init_parallel_env()


def wrap(model: nn.Layer) -> nn.Layer:
    """The model to train; every rank begins with rank 0's weights.

    On GPUs its backward pass averages the gradients over ranks, while it computes the next. Otherwise it is the model
    itself, for ``average_gradients``: an error of gloo inside a backward pass aborts the process in C++.
    """
    if world_size() > 1 and paddle.get_device().startswith("gpu"):
        return paddle.DataParallel(model)
    share(model.state_dict().values())
    return model


def averages_by_itself(model: nn.Layer) -> bool:
    """Whether the backward pass of what ``wrap`` gave averages the gradients over ranks."""
    return isinstance(model, paddle.DataParallel)


@paddle.no_grad()
def average_gradients(model: nn.Layer) -> None:
    """Replace every gradient by its mean over ranks, in one exchange for each dtype; does nothing for one rank."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for dtype in sorted({str(gradient.dtype) for gradient in gradients}):
        group = [gradient for gradient in gradients if str(gradient.dtype) == dtype]
        total = paddle.concat([gradient.flatten() for gradient in group])
        paddle.distributed.all_reduce(total)
        parts = paddle.split(total / world_size(), [gradient.size for gradient in group])
        for gradient, part in zip(group, parts, strict=True):
            paddle.assign(part.reshape(gradient.shape), output=gradient)


def all_sum(values: Sequence[float]) -> list[float]:
    """Element-wise sums over all ranks, in float64."""
    return _reduce(values, paddle.distributed.ReduceOp.SUM)


def all_max(values: Sequence[float]) -> list[float]:
    """Element-wise maxima over all ranks, in float64."""
    return _reduce(values, paddle.distributed.ReduceOp.MAX)


def meet() -> None:
    """Wait until all ranks are here, for half an hour at most.

    What one rank does alone, or slower than the others, ends in a meeting: an exchange would give up on it too early.

    Raises:
        RankError: they did not come.
    """
    if world_size() == 1:
        return
    store = compat.rank_store()
    # The n-th arrival belongs to meeting (n - 1) // world: nobody comes to the next one before all came to this.
    complete = (store.add(_MEETING, 1) - 1) // world_size() * world_size() + world_size()
    deadline = time.monotonic() + _PATIENCE_S
    while store.add(_MEETING, 0) < complete:
        if time.monotonic() > deadline:
            raise RankError(f"rank {rank()} waited {_PATIENCE_S:g} s for other ranks; look at their logs")
        time.sleep(0.01)


def from_main(function: Callable[[], Answer]) -> Answer:
    """What the call gives on rank 0, which alone makes it and may take its time; the others wait for it.

    Raises:
        PpclsError: as rank 0's call, on every rank: so all leave with one exit code.
    """
    if world_size() == 1:
        return function()
    answer, error = None, None
    if is_main():
        try:
            answer = function()
        except PpclsError as caught:
            error = caught
    meet()
    shared = [answer, error]
    paddle.distributed.broadcast_object_list(shared, src=0)
    answer, error = shared
    if error is not None:
        raise error
    return answer


def gather(value: Answer) -> list[Answer]:
    """The values of all ranks, by rank; plain Python values."""
    if world_size() == 1:
        return [value]
    values: list[Answer] = []
    paddle.distributed.all_gather_object(values, value)
    return values


def share(tensors: Iterable[Tensor]) -> None:
    """Overwrite these tensors with rank 0's."""
    if world_size() == 1:
        return
    for tensor in tensors:
        paddle.distributed.broadcast(tensor, src=0)


def share_statistics(model: nn.Layer) -> None:
    """Give rank 0's running statistics of batch norm to all, before judging and saving.

    Paddle keeps them as parameters without gradient, not as buffers; what else has no gradient is equal anyway.
    """
    share(tensor for tensor in model.state_dict().values() if tensor.stop_gradient)


def require_equal(value: int, what: str) -> None:
    """RankError unless all ranks have the same whole number; unequal ones would wait for each other for ever."""
    high, negated_low = all_max([value, -value])
    if high != -negated_low:
        raise RankError(f"{what} differs between ranks (rank {rank()}: {value}); give all ranks the same data")


def _reduce(values: Sequence[float], how: int) -> list[float]:
    numbers = [float(value) for value in values]
    if world_size() == 1:
        return numbers
    total = paddle.to_tensor(numbers, dtype="float64")
    paddle.distributed.all_reduce(total, op=how)
    return [float(value) for value in total.numpy()]

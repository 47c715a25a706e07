"""Ranks: who am I, how many are we, sums over all of us, and what rank 0 gives to all.

Every function that exchanges something is called by all ranks or by none, in the same order.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import paddle
import paddle.distributed
from paddle import Tensor, nn

from ppcls.utils.errors import PpclsError, WorkerError

Answer = TypeVar("Answer")


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
    """The model whose gradients are averaged over ranks; the model itself for one rank."""
    return paddle.DataParallel(model) if world_size() > 1 else model


def all_sum(values: Sequence[float]) -> list[float]:
    """Element-wise sums over all ranks, in float64."""
    return _reduce(values, paddle.distributed.ReduceOp.SUM)


def all_max(values: Sequence[float]) -> list[float]:
    """Element-wise maxima over all ranks, in float64."""
    return _reduce(values, paddle.distributed.ReduceOp.MAX)


def from_main(function: Callable[[], Answer]) -> Answer:
    """What the call gives on rank 0, which alone makes it; the others wait for it, for half a minute at most on a CPU.

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
    """WorkerError unless all ranks have the same whole number; unequal ones would wait for each other for ever."""
    high, negated_low = all_max([value, -value])
    if high != -negated_low:
        raise WorkerError(
            f"{what} differs between ranks (rank {rank()}: {value}); give all ranks the same data", "rank"
        )


def _reduce(values: Sequence[float], how: int) -> list[float]:
    numbers = [float(value) for value in values]
    if world_size() == 1:
        return numbers
    total = paddle.to_tensor(numbers, dtype="float64")
    paddle.distributed.all_reduce(total, op=how)
    return [float(value) for value in total.numpy()]

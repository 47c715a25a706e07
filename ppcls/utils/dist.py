"""Ranks: who am I, how many are we, and sums over all of us."""

import os
from collections.abc import Sequence

import paddle
import paddle.distributed
from paddle import nn

from ppcls.utils.errors import WorkerError


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


def share_buffers(model: nn.Layer) -> None:
    """Give rank 0's buffers (the running statistics of batch norm) to all, before judging and saving."""
    if world_size() == 1:
        return
    for buffer in model.buffers():
        paddle.distributed.broadcast(buffer, src=0)


def require_equal(value: int, what: str) -> None:
    """WorkerError unless all ranks have the same whole number; unequal ones would wait for each other for ever."""
    total, squares = all_sum([value, value * value])
    if total != value * world_size() or squares != value * value * world_size():
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

"""A CPU that claims to compute in float16: Paddle's own loss scaler runs, and nothing is cast."""

from types import SimpleNamespace

import paddle
import paddle.amp.grad_scaler
import pytest
from paddle import Tensor

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import TrainState
from ppcls.registry import HOOKS
from ppcls.utils import compat, dist


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recipe with AMP have its scaler, which Paddle switches off on a CPU, and what is around it do nothing."""
    cast = paddle.amp.auto_cast
    tracer = SimpleNamespace(_expected_place=SimpleNamespace(is_gpu_place=lambda: True))
    monkeypatch.setattr(compat, "low_precision_problem", lambda dtype: None)
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda enable=True, **how: cast(enable=False))
    monkeypatch.setattr(paddle.amp.grad_scaler, "_dygraph_tracer", lambda: tracer)


@HOOKS.register
class OverflowFrom(Hook):
    """Makes the last parameter's gradients infinite, with a loss that stays as it is.

    Args:
        update: the first, from 0.
        count: how many updates.
        rank: the only rank on which they are.
    """

    def __init__(self, update: int, count: int = 1, rank: int = 0) -> None:
        self._updates = range(update, update + count) if rank == dist.rank() else range(0)

    def train_begin(self, state: TrainState) -> None:
        def spoil(gradient: Tensor) -> Tensor:
            return gradient * float("inf") if state.step in self._updates else gradient

        state.network.parameters()[-1].register_hook(spoil)

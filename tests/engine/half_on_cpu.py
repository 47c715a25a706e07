"""A CPU that claims to compute in float16 or bfloat16: Paddle's own scaler and casting of weights run on it."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import paddle
import paddle.amp.grad_scaler
import paddle.nn.functional as F
import pytest
from paddle import Tensor, _C_ops, nn

from ppcls.arch.layers.depthwise import DepthwiseConv2D
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


def pretend_low_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let level O2 in bfloat16 train: Paddle's ``decorate`` casts the weights, and what no CPU has computes wider.

    Convolutions, linear layers and the update of the optimizer take bfloat16 weights as float32.
    """
    pretend(monkeypatch)
    place = SimpleNamespace(is_gpu_place=lambda: True, is_xpu_place=lambda: False, is_custom_place=lambda: False)
    casting = sys.modules["paddle.amp.auto_cast"]
    monkeypatch.setattr(casting, "_dygraph_tracer", lambda: SimpleNamespace(_expected_place=place))
    monkeypatch.setattr(compat, "has_kernel", lambda operator, dtype: True)
    monkeypatch.setattr(casting, "_is_gpu_bfloat16_supported", lambda: True)
    monkeypatch.setattr(paddle.amp, "auto_cast", Cast)
    for layer in (nn.Conv2D, DepthwiseConv2D):
        monkeypatch.setattr(layer, "forward", _convolve)
    monkeypatch.setattr(nn.Linear, "forward", _multiply)
    update = _C_ops.merged_momentum_

    def wider(weights: list[Tensor], gradients: list[Tensor], *rest: Any) -> Any:
        moments, rates, masters, mu, nesterov, methods, decays, is_low, factor = rest
        if not is_low:
            return update(weights, gradients, *rest)
        wide = [gradient.astype("float32") for gradient in gradients]
        done = update(masters, wide, moments, rates, None, mu, nesterov, methods, decays, False, factor)
        for weight, master in zip(weights, masters, strict=True):
            paddle.assign(master.astype(weight.dtype), output=weight)
        return done

    monkeypatch.setattr(_C_ops, "merged_momentum_", wider)


class Cast(nullcontext):
    """A context that casts nothing, and counts how often it was entered to compute at level O2."""

    entered = 0

    def __init__(self, enable: bool = True, level: str = "O1", **how: object) -> None:
        super().__init__()
        type(self).entered += level == "O2"


def _convolve(self: nn.Conv2D, x: Tensor) -> Tensor:
    where = {"stride": self._stride, "padding": self._updated_padding, "groups": self._groups}
    bias = None if self.bias is None else self.bias.astype(x.dtype)
    return F.conv2d(x, self.weight.astype(x.dtype), bias, **where)


def _multiply(self: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, self.weight.astype(x.dtype), self.bias.astype(x.dtype))

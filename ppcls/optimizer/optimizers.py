"""The update rules that YAML may name.

The letters: ``g`` gradient, ``w`` weight, ``v`` velocity. L1 and L2 decay are coupled: ``g`` becomes ``g + coeff * w``
for L2 and ``g + coeff * sign(w)`` for L1, after clipping and before the rule. AdamW alone decays decoupled.
"""

from typing import Any, NamedTuple

import paddle
from paddle.nn import ClipGradByNorm

from ppcls.registry import OPTIMIZERS
from ppcls.utils import compat


class Common(NamedTuple):
    """What every rule is given by ``build_optimizer``.

    ``parameters`` are Paddle's groups, ``{"params": [...], "weight_decay": ...}``; ``grad_clip`` acts on each gradient
    tensor alone; ``learning_rate`` is a number that ``set_lr`` replaces before every update. ``lowered`` is the type
    that the parameters will be cast to, such as ``bfloat16``; None where they stay.
    """

    learning_rate: float
    parameters: list[dict[str, Any]]
    grad_clip: ClipGradByNorm | None
    lowered: str | None = None

    def arguments(self) -> dict[str, Any]:
        """What every optimizer of Paddle takes."""
        return {"learning_rate": self.learning_rate, "parameters": self.parameters, "grad_clip": self.grad_clip}

    def can_merge(self, operator: str) -> bool:
        """Whether Paddle can update all parameters of a group in one call, which it has for no float64."""
        kinds = {parameter.dtype for group in self.parameters for parameter in group["params"]}
        return kinds == {paddle.float32} and (self.lowered is None or compat.has_kernel(operator, self.lowered))


@OPTIMIZERS.register
def Momentum(
    common: Common, momentum: float, use_nesterov: bool = False, multi_precision: bool = True
) -> paddle.optimizer.Optimizer:
    """``v = momentum * v + g``, ``w -= lr * v``, with Nesterov ``w -= lr * (g + momentum * v)``; no dampening."""
    check_range("momentum", momentum, end=1.0)
    return paddle.optimizer.Momentum(
        momentum=momentum,
        use_nesterov=use_nesterov,
        multi_precision=multi_precision,
        use_multi_tensor=common.can_merge("merged_momentum"),
        **common.arguments(),
    )


@OPTIMIZERS.register
def SGD(common: Common, multi_precision: bool = True) -> paddle.optimizer.Optimizer:
    """``w -= lr * g``."""
    return paddle.optimizer.SGD(multi_precision=multi_precision, **common.arguments())


@OPTIMIZERS.register
def Adam(
    common: Common,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    multi_precision: bool = True,
) -> paddle.optimizer.Optimizer:
    """Kingma and Ba, arXiv 1412.6980, algorithm 1."""
    check_range("beta1", beta1, end=1.0)
    check_range("beta2", beta2, end=1.0)
    check_range("epsilon", epsilon)
    return paddle.optimizer.Adam(
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        multi_precision=multi_precision,
        use_multi_tensor=common.can_merge("merged_adam"),
        **common.arguments(),
    )


@OPTIMIZERS.register
def AdamW(
    common: Common,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    multi_precision: bool = True,
) -> paddle.optimizer.Optimizer:
    """Loshchilov and Hutter, arXiv 1711.05101: ``w *= 1 - lr * weight_decay``, then Adam's update.

    Raises:
        ValueError: a regularizer, which would be coupled.
    """
    check_range("beta1", beta1, end=1.0)
    check_range("beta2", beta2, end=1.0)
    check_range("epsilon", epsilon)
    for group in common.parameters:
        # Paddle's own default is 0.01: null has to be said as 0.
        group["weight_decay"] = group["weight_decay"] or 0.0
        if not isinstance(group["weight_decay"], float):
            raise ValueError("AdamW decays decoupled: give weight_decay instead of regularizer")
    return paddle.optimizer.AdamW(
        beta1=beta1, beta2=beta2, epsilon=epsilon, multi_precision=multi_precision, **common.arguments()
    )


@OPTIMIZERS.register
def RMSProp(
    common: Common, rho: float = 0.95, epsilon: float = 1e-6, momentum: float = 0.0
) -> paddle.optimizer.Optimizer:
    """``r = rho * r + (1 - rho) * g^2``, ``v = momentum * v + lr * g / sqrt(r + epsilon)``, ``w -= v``."""
    check_range("rho", rho, end=1.0)
    check_range("momentum", momentum, end=1.0)
    check_range("epsilon", epsilon)
    return paddle.optimizer.RMSProp(rho=rho, epsilon=epsilon, momentum=momentum, **common.arguments())


def check_range(name: str, value: float, end: float = float("inf")) -> None:
    """ValueError unless ``0 <= value < end``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < end:
        raise ValueError(f"{name} is a number in [0, {end:g}); got {value!r}")

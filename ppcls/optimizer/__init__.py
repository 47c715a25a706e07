"""How weights move: ``build_optimizer`` gives the update rule and the learning rate of every step.

``optimizer.set_lr(schedule(step))`` before each update is all that joins them.
"""

import dataclasses
import logging
from typing import Any, Protocol

import paddle
from paddle import nn

from ppcls.optimizer import optimizers, schedules  # noqa: F401  registers their names
from ppcls.optimizer.optimizers import Common
from ppcls.optimizer.param_groups import describe_exempt, split_by_decay
from ppcls.optimizer.schedule import Schedule, describe
from ppcls.registry import OPTIMIZERS, SCHEDULES, Buildable
from ppcls.utils import compat
from ppcls.utils.errors import ConfigError

__all__ = ["Schedule", "build_optimizer", "build_schedule", "describe"]

_log = logging.getLogger("ppcls")


class Penalty(Protocol):
    """``Optimizer.regularizer``: ``L1`` or ``L2``, and its coefficient."""

    name: str
    coeff: float


class OptimizerSettings(Protocol):
    """The section ``Optimizer``; ``ppcls.config.OptimizerConfig`` is one."""

    component: Buildable
    lr: Buildable
    regularizer: Penalty | None
    weight_decay: float | None
    no_weight_decay_name: str
    one_dim_param_no_weight_decay: bool
    clip_norm: float | None
    multi_precision: bool | None


def build_optimizer(
    config: OptimizerSettings,
    model: nn.Layer,
    *,
    epochs: int,
    step_each_epoch: int,
    scale: float = 1.0,
    lowered: str | None = None,
) -> tuple[paddle.optimizer.Optimizer, Schedule]:
    """The update rule over the model's trainable parameters, and the schedule of its rate.

    Decay reaches every parameter, norms and biases included, but for what ``no_weight_decay_name`` and
    ``one_dim_param_no_weight_decay`` exempt. ``clip_norm`` bounds the norm of each gradient tensor on its own, not the
    norm of all together.

    Args:
        step_each_epoch: updates, not batches: with accumulation there are fewer.
        scale: factor on every learning rate, such as global batch / ``base_batch_size``.
        lowered: the type, such as ``bfloat16``, that the model's weights will be cast to before the first update.
    Raises:
        ConfigError: an unknown name or argument, or a value out of range, under its dotted key; or a rule that Paddle
            does not have for lowered weights.
    """
    schedule = build_schedule(config.lr, epochs=epochs, step_each_epoch=step_each_epoch, scale=scale)
    _log.info("%s", describe(schedule))
    known: dict[str, Any] = {"common": Common(schedule(0), _groups(config, model), _clip(config), lowered)}
    if config.multi_precision is not None:
        known["multi_precision"] = config.multi_precision
    rule = OPTIMIZERS.build(config.component, **known)
    operator = getattr(rule, "type", None)  # Paddle's own have it; whoever registers another knows its operators
    if lowered and operator and not compat.has_kernel(operator, lowered):
        raise ConfigError(
            f"Optimizer.name: Paddle {compat.paddle_version()} has no {config.component.name} for {lowered} weights, "
            "which AMP.level O2 makes; use AMP.level O1, or another optimizer, such as AdamW"
        )
    return rule, schedule


def build_schedule(component: Buildable, *, epochs: int, step_each_epoch: int, scale: float = 1.0) -> Schedule:
    """The schedule that ``Optimizer.lr`` names.

    A ``step_each_epoch`` in the YAML, as four published recipes have it, is overruled by the one given here.

    Raises:
        ConfigError: an unknown name or argument, or a value out of range, under its dotted key.
    """
    arguments = {name: value for name, value in component.kwargs.items() if name != "step_each_epoch"}
    for name, instead in (("epochs", "Global.epochs"), ("scale", "Optimizer.lr.base_batch_size")):
        if name in arguments:
            raise ConfigError(f"{component.key}: {name} is no argument of a schedule; use {instead}")
    trimmed = dataclasses.replace(component, kwargs=arguments)
    return SCHEDULES.build(trimmed, epochs=epochs, step_each_epoch=step_each_epoch, scale=scale)


def _groups(config: OptimizerSettings, model: nn.Layer) -> list[dict[str, Any]]:
    """At most two groups: what decays, and what does not."""
    try:
        split = split_by_decay(model, config.no_weight_decay_name.split(), config.one_dim_param_no_weight_decay)
    except ValueError as error:
        raise ConfigError(f"Optimizer: {error}") from error
    decay = _decay(config)
    if split.exempt and decay is not None:
        _log.info("%s", describe_exempt(model, split))
    pairs = ((split.decaying, decay), (split.exempt, None))
    return [{"params": parameters, "weight_decay": decay} for parameters, decay in pairs if parameters]


def _decay(config: OptimizerSettings) -> Any:
    """What Paddle takes as ``weight_decay``: a number is L2, an ``L1Decay`` is L1, None is none."""
    if config.regularizer is None:
        return float(config.weight_decay) if config.weight_decay else None
    if config.weight_decay:
        _log.warning(
            "Optimizer.weight_decay %g has no effect beside Optimizer.regularizer, which wins", config.weight_decay
        )
    coeff = float(config.regularizer.coeff)
    if config.regularizer.name == "L1":
        return paddle.regularizer.L1Decay(coeff)
    if config.regularizer.name == "L2":
        return paddle.regularizer.L2Decay(coeff)
    raise ConfigError(f"Optimizer.regularizer.name is L1 or L2; got {config.regularizer.name!r}")


def _clip(config: OptimizerSettings) -> nn.ClipGradByNorm | None:
    if config.clip_norm is None:
        return None
    if config.clip_norm <= 0:
        raise ConfigError(f"Optimizer.clip_norm is a number above 0, or null; got {config.clip_norm}")
    return nn.ClipGradByNorm(float(config.clip_norm))

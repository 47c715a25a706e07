"""Mixed precision: the few calls of a training step that do nothing where it is off."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import paddle
from paddle import Tensor, nn, optimizer

from ppcls.config.schema import AMPConfig
from ppcls.utils import compat

_LOG = logging.getLogger("ppcls")
_GROWS_AFTER = 2000
_LARGEST = 2.0**127  # that float32 holds, in which Paddle keeps the scale
_LOW = (paddle.float16, paddle.bfloat16)
MASTER = "_fp32_master_0"  # what Paddle's optimizers append to a parameter's name for its master weight


class Overflow(NamedTuple):
    """Gradients that float16 could not hold at loss scale ``scale``, which is ``next_scale`` from here on.

    ``where``: the first parameter with such a gradient, where no lower scale may cure it.
    """

    scale: float
    next_scale: float
    where: str = ""

    @property
    def is_cured(self) -> bool:
        """Whether the lower scale may be all it takes: it fell, and not below 1, where nothing is scaled up."""
        return 1.0 <= self.next_scale < self.scale


class LossScale:
    """Paddle's ``GradScaler`` with a scale that lives on the host: scaled losses, unscaled and guarded updates.

    Paddle's own way of moving the scale prints lines, and breaks with numpy 2.4 at the first overflow.

    Args:
        grows: whether an overflow halves the scale, and 2000 updates in a row without one double it.
    """

    def __init__(self, first: float, grows: bool) -> None:
        self.value = first
        self._grows = grows
        self._good = 0  # updates since the scale last moved, or would have
        self._scaler = paddle.amp.GradScaler(init_loss_scaling=first, use_dynamic_loss_scaling=False)

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to differentiate."""
        return self._scaler.scale(loss)

    def update(self, rule: optimizer.Optimizer) -> Overflow | None:
        """Unscale the gradients, then one step of ``rule``; none where they are not finite. Reads the device once."""
        self._scaler.step(rule)
        before = self.value
        if compat.was_skipped(rule):
            self._move(before / 2 if self._grows else before)
            return Overflow(before, self.value)
        self._good += 1
        if self._good == _GROWS_AFTER:
            self._move(min(before * 2, _LARGEST) if self._grows else before)
        return None

    def state(self) -> dict[str, float]:
        """The scale and its counter, for a checkpoint."""
        return {"scale": self.value, "good": self._good}

    def restore(self, stored: Mapping[str, float]) -> None:
        """Go on with a stored scale; a fixed one is what the config says."""
        if stored and self._grows:
            self._move(stored["scale"])
            self._good = int(stored["good"])

    def _move(self, value: float) -> None:
        self._good = 0
        if value != self.value:
            self.value = value
            self._scaler.set_init_loss_scaling(value)


class Precision:
    """In which precision a network computes, and the loss scale that float16 gradients need.

    O1 casts the inputs of operators, O2 the weights too, but for norms; the optimizer then moves float32 master
    weights, which are what is averaged and saved. Loss and softmax are float32 at both.

    Args:
        config: None is off.
        trains: an evaluation of its own has no loss to scale, and its weights stay float32.
        keeps_masters: whether the optimizer moves float32 master weights.
    """

    def __init__(self, config: AMPConfig | None = None, *, trains: bool = True, keeps_masters: bool = True) -> None:
        self._config = config or AMPConfig(use_amp=False)
        self._trains = trains
        self._keeps_masters = keeps_masters
        wanted = self._config.use_amp and (trains or self._config.use_fp16_test)
        self._problem = compat.low_precision_problem(self._config.dtype) if wanted else None
        self._is_on = wanted and self._problem is None
        is_scaled = self._is_on and trains and self._config.dtype == "float16"
        first, grows = self._config.scale_loss, self._config.use_dynamic_loss_scaling
        self._scale = LossScale(first, grows) if is_scaled else None
        self._masters: dict[str, Tensor] = {}  # Paddle's name of a parameter -> its float32 master

    def announce(self) -> None:
        """One line: on or off, level, kind of numbers, loss scale; a warning where the device cannot."""
        config = self._config
        if self._problem is not None:
            level = f"AMP.use_amp asks for level {config.level}"
            _LOG.warning("AMP: off, although %s: %s; this run computes in float32", level, self._problem)
        elif not self._is_on:
            _LOG.info("AMP: off")
        else:
            _LOG.info("AMP: on, level %s, %s%s", config.level, config.dtype, self._describe_scale())

    def autocast(self) -> AbstractContextManager[None]:
        """The context of a forward pass."""
        if not self._is_on:
            return nullcontext()
        config = self._config
        return paddle.amp.auto_cast(level=config.level, dtype=config.dtype, use_promote=config.use_promote)

    def judging(self) -> AbstractContextManager[None]:
        """The context of a forward pass in an evaluation; at O2 a training has low weights alone to judge."""
        is_low = self._config.use_fp16_test or (self._trains and self._config.level == "O2")
        return self.autocast() if is_low else nullcontext()

    @property
    def lowered(self) -> str | None:
        """The type that ``lower`` casts weights to; None where it casts none."""
        return self._config.dtype if self._is_on and self._config.level == "O2" else None

    def lower(self, network: nn.Layer, rule: optimizer.Optimizer) -> None:
        """At O2 cast the network's weights, once it has those it starts from; before it is wrapped for many ranks."""
        if self.lowered is None:
            return
        wide = {parameter.name: parameter.detach().clone() for parameter in network.parameters()}
        paddle.amp.decorate(network, rule, level="O2", dtype=self._config.dtype, master_weight=self._keeps_masters)
        if not self._keeps_masters:
            return
        # Not Paddle's own masters, which it makes of the weights after they have lost their digits.
        lowered = [parameter.name for parameter in network.parameters() if parameter.dtype in _LOW]
        self._masters = {name: wide[name] for name in lowered}
        for name, master in self._masters.items():
            master.name = name + MASTER
        rule.set_state_dict({"master_weights": self._masters})

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, scaled."""
        scaled = loss if self._scale is None else self._scale.scale(loss)
        scaled.backward()

    def update(self, rule: optimizer.Optimizer) -> Overflow | None:
        """One update from the gradients, unscaled before they are clipped; none where float16 could not hold them.

        Reads the device once where there is a loss scale, and never else.

        Returns:
            What went wrong, on every rank alike: their gradients are equal by now.
        """
        if self._scale is not None:
            return self._scale.update(rule)
        rule.step()
        return None

    def unguarded(self, network: nn.Layer) -> list[Tensor]:
        """The parameters whose gradients ``update`` does not look at: none where there is a loss scale, else all."""
        return [] if self._scale is not None else network.parameters()

    def weights(self, network: nn.Layer) -> dict[str, Tensor]:
        """The network's state dict with float32 in place of what was lowered, on the device; not to be written to."""
        return {name: self._wide(tensor) for name, tensor in network.state_dict().items()}

    def kept_as(self, name: str) -> str:
        """The name under which the optimizer keeps its state for the parameter that Paddle calls ``name``."""
        return self._masters[name].name if name in self._masters else name

    def state(self) -> dict[str, Any]:
        """The loss scale and its counters, for a checkpoint; empty where there is no scale."""
        return {} if self._scale is None else self._scale.state()

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Go on with what ``state`` gave."""
        if self._scale is not None:
            self._scale.restore(stored)

    def _wide(self, tensor: Tensor) -> Tensor:
        if tensor.name in self._masters:
            return self._masters[tensor.name]
        return tensor.astype("float32") if tensor.dtype in _LOW else tensor

    def _describe_scale(self) -> str:
        if self._scale is None:
            return ", no loss scale" if self._trains else ""
        kind = "dynamic" if self._config.use_dynamic_loss_scaling else "fixed"
        return f", loss scale {self._config.scale_loss:g}, {kind}"


def in_float32(logits: Tensor) -> Tensor:
    """Logits as loss and metrics take them: float16 and bfloat16 become float32."""
    return logits.astype("float32") if logits.dtype in _LOW else logits

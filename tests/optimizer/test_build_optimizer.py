"""Update rules, decay and clipping, against numpy in float64."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls.optimizer import build_optimizer
from ppcls.optimizer.optimizers import Common
from ppcls.utils.errors import ConfigError

# Paddle's kernels take their constants as float32.
MU, RHO, SMALL = (float(np.float32(value)) for value in (0.9, 0.95, 1e-6))
STEPS = 4
Rule = Callable[[np.ndarray, list[np.ndarray], float], np.ndarray]


@dataclass(frozen=True)
class Named:
    """Stands for ``ppcls.config.Component``."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = "Optimizer"


@dataclass(frozen=True)
class Penalty:
    """Stands for ``ppcls.config.RegularizerConfig``."""

    name: str
    coeff: float


@dataclass(frozen=True)
class Settings:
    """Stands for ``ppcls.config.OptimizerConfig``."""

    component: Named
    lr: Named = Named("Linear", {"learning_rate": 0.1}, "Optimizer.lr")
    regularizer: Penalty | None = None
    weight_decay: float | None = None
    no_weight_decay_name: str = ""
    one_dim_param_no_weight_decay: bool = False
    clip_norm: float | None = None
    multi_precision: bool | None = None


class Net(nn.Layer):
    """Two matrices, their biases and a norm, in float64 unless told."""

    def __init__(self, dtype: str = "float64") -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.last = nn.Linear(4, 2)
        rng = np.random.default_rng(5)
        for parameter in self.parameters():
            parameter.set_value(rng.normal(size=parameter.shape).astype(parameter.numpy().dtype))
        self.to(dtype=dtype)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.last(self.norm(self.first(x)))


def momentum(w: np.ndarray, gradients: list[np.ndarray], decay: float, nesterov: bool = False) -> np.ndarray:
    v = np.zeros_like(w)
    for step, gradient in enumerate(gradients):
        g = gradient + decay * w
        v = MU * v + g
        w = w - rate(step) * (g + MU * v if nesterov else v)
    return w


def nesterov(w: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    return momentum(w, gradients, decay, nesterov=True)


def sgd(w: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    for step, gradient in enumerate(gradients):
        w = w - rate(step) * (gradient + decay * w)
    return w


def adam(w: np.ndarray, gradients: list[np.ndarray], decay: float, decoupled: bool = False) -> np.ndarray:
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, gradient in enumerate(gradients):
        g = gradient if decoupled else gradient + decay * w
        w = w * (1 - rate(step) * decay) if decoupled else w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        corrected = np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8
        w = w - rate(step) * m / (1 - 0.9 ** (step + 1)) / corrected
    return w


def adamw(w: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    return adam(w, gradients, decay, decoupled=True)


def rmsprop(w: np.ndarray, gradients: list[np.ndarray], decay: float) -> np.ndarray:
    r, v = np.zeros_like(w), np.zeros_like(w)
    for step, gradient in enumerate(gradients):
        g = gradient + decay * w
        r = RHO * r + (1 - RHO) * g * g
        v = MU * v + rate(step) * g / np.sqrt(r + SMALL)
        w = w - v
    return w


def rate(step: int) -> float:
    return 0.1 * (1 - step / STEPS)


def train(settings: Settings, dtype: str = "float64") -> dict[str, tuple[np.ndarray, list[np.ndarray], np.ndarray]]:
    """Name -> the weight before, its gradients, the weight after ``STEPS`` updates as the engine does them."""
    net = Net(dtype)
    optimizer, schedule = build_optimizer(settings, net, epochs=1, step_each_epoch=STEPS)
    before = {name: parameter.numpy() for name, parameter in net.named_parameters()}
    gradients: dict[str, list[np.ndarray]] = {name: [] for name in before}
    x = paddle.to_tensor(np.random.default_rng(6).normal(size=(5, 3)).astype(dtype))
    for step in range(STEPS):
        optimizer.set_lr(schedule(step))
        (net(x) ** 2).mean().backward()
        for name, parameter in net.named_parameters():
            gradients[name].append(parameter.grad.numpy())
        optimizer.step()
        optimizer.clear_grad()
    return {name: (before[name], gradients[name], p.numpy()) for name, p in net.named_parameters()}


MOMENTUM = Named("Momentum", {"momentum": 0.9})
RULES = [
    (MOMENTUM, momentum),
    (Named("Momentum", {"momentum": 0.9, "use_nesterov": True}), nesterov),
    (Named("SGD"), sgd),
    (Named("Adam"), adam),
    (Named("RMSProp", {"momentum": 0.9}), rmsprop),
]
L2 = Penalty("L2", 0.125)  # exact in float32


@pytest.mark.parametrize(("component", "rule"), RULES, ids=[rule.__name__ for _, rule in RULES])
@pytest.mark.parametrize("settings", [{}, {"regularizer": L2}, {"weight_decay": 0.125}], ids=["none", "L2", "decay"])
def test_a_rule_with_l2_on_every_parameter_equals_numpy(component: Named, rule: Rule, settings: dict[str, Any]) -> None:
    for name, (before, gradients, after) in train(Settings(component, **settings)).items():
        wanted = rule(before, gradients, 0.125 if settings else 0.0)
        np.testing.assert_allclose(after, wanted, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("decay", [None, 0.125])
def test_adamw_decays_decoupled_and_null_is_none(decay: float | None) -> None:
    for name, (before, gradients, after) in train(Settings(Named("AdamW"), weight_decay=decay)).items():
        np.testing.assert_allclose(after, adamw(before, gradients, decay or 0), rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("clip_norm", [None, 0.25])
@pytest.mark.parametrize("exempt", [False, True])
@pytest.mark.parametrize(
    ("component", "tolerance"),
    [(MOMENTUM, 0), (Named("Momentum", {"momentum": 0.9, "use_nesterov": True}), 0), (Named("Adam"), 2e-6)],
)
def test_one_call_for_all_parameters_gives_what_a_call_for_each_does(
    component: Named, tolerance: float, exempt: bool, clip_norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(component, weight_decay=0.125, one_dim_param_no_weight_decay=exempt, clip_norm=clip_norm)
    found = train(settings, "float32")
    monkeypatch.setattr(Common, "can_merge", lambda common, operator: False)
    for name, (before, _, after) in train(settings, "float32").items():
        np.testing.assert_allclose(found[name][2], after, rtol=tolerance, atol=tolerance, err_msg=name)
        assert np.abs(after - before).max() > 1e-3


@pytest.mark.parametrize("component", [MOMENTUM, Named("Adam")])
def test_float32_parameters_are_updated_in_one_call_a_group_and_float64_ones_are_not(
    component: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def watched(update: Callable[..., Any], *given: Any) -> Any:
        calls.append(len(given[0]))
        return update(*given)

    for name in ("merged_momentum_", "merged_adam_"):
        monkeypatch.setattr(paddle._C_ops, name, partial(watched, getattr(paddle._C_ops, name)))
    train(Settings(component, weight_decay=0.125, one_dim_param_no_weight_decay=True))
    assert calls == []
    train(Settings(component, weight_decay=0.125, one_dim_param_no_weight_decay=True), "float32")
    assert calls == [2, 4] * STEPS


def test_l1_adds_the_sign_of_the_weight() -> None:
    for before, gradients, after in train(Settings(Named("SGD"), regularizer=Penalty("L1", 0.125))).values():
        w = before
        for step, gradient in enumerate(gradients):
            w = w - rate(step) * (gradient + 0.125 * np.sign(w))
        np.testing.assert_allclose(after, w, rtol=1e-12)


@pytest.mark.parametrize(("component", "rule"), [*RULES, (Named("AdamW"), adamw)])
@pytest.mark.parametrize(
    ("settings", "exempt"),
    [
        ({"one_dim_param_no_weight_decay": True}, {"first.bias", "norm.weight", "norm.bias", "last.bias"}),
        ({"no_weight_decay_name": "norm last"}, {"norm.weight", "norm.bias", "last.weight", "last.bias"}),
        (
            {"no_weight_decay_name": "first.w", "one_dim_param_no_weight_decay": True},
            {"first.weight", "first.bias", "norm.weight", "norm.bias", "last.bias"},
        ),
    ],
    ids=["one dim", "names", "both"],
)
def test_exempt_parameters_do_not_decay_and_the_others_do(
    component: Named, rule: Rule, settings: dict[str, Any], exempt: set[str]
) -> None:
    for name, (before, gradients, after) in train(Settings(component, weight_decay=0.125, **settings)).items():
        wanted = rule(before, gradients, 0.0 if name in exempt else 0.125)
        np.testing.assert_allclose(after, wanted, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("exempt", [False, True])
def test_clip_norm_bounds_each_tensor_alone_before_decay(exempt: bool) -> None:
    settings = Settings(Named("SGD"), weight_decay=0.125, clip_norm=0.25, one_dim_param_no_weight_decay=exempt)
    clipped = 0
    for name, (before, gradients, after) in train(settings, "float32").items():  # Paddle clips no float64 on a CPU
        norms = [np.linalg.norm(gradient) for gradient in gradients]
        clipped += sum(norm > 0.25 for norm in norms)
        short = [gradient * min(1, 0.25 / norm) for gradient, norm in zip(gradients, norms, strict=True)]
        decay = 0.0 if exempt and before.ndim == 1 else 0.125
        np.testing.assert_allclose(after, sgd(before, short, decay), rtol=1e-5, atol=1e-6, err_msg=name)
    assert 0 < clipped < STEPS * 6


def test_parameters_come_in_at_most_two_groups_and_the_exempt_are_counted_by_layer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    settings = Settings(MOMENTUM, regularizer=L2, one_dim_param_no_weight_decay=True)
    optimizer, _ = build_optimizer(settings, Net(), epochs=1, step_each_epoch=STEPS)
    assert [len(group["params"]) for group in optimizer._param_groups] == [2, 4]
    assert "no weight decay on 4 of 6 parameters: 2 of Linear, 2 of LayerNorm" in caplog.text


def test_frozen_parameters_stay_and_take_no_decay() -> None:
    net = Net()
    net.first.weight.stop_gradient = True
    before = net.first.weight.numpy()
    optimizer, _ = build_optimizer(Settings(MOMENTUM, regularizer=L2), net, epochs=1, step_each_epoch=STEPS)
    net(paddle.ones([2, 3], dtype="float64")).mean().backward()
    optimizer.step()
    np.testing.assert_array_equal(net.first.weight.numpy(), before)
    assert [len(group["params"]) for group in optimizer._param_groups] == [5]


def test_the_regularizer_wins_over_weight_decay_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    both = train(Settings(MOMENTUM, regularizer=L2, weight_decay=0.5))
    for name, (_, _, after) in train(Settings(MOMENTUM, regularizer=L2)).items():
        np.testing.assert_array_equal(both[name][2], after)
    assert "Optimizer.weight_decay 0.5 has no effect beside Optimizer.regularizer" in caplog.text


def test_the_start_up_line_describes_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    build_optimizer(Settings(MOMENTUM), Net(), epochs=3, step_each_epoch=STEPS, scale=2.0)
    assert "lr: Linear, 3 epochs of 4 updates; every rate times 2; 0.2 -> 0.01667" in caplog.text


def test_the_optimizer_starts_at_the_first_rate_of_the_schedule() -> None:
    warm = Named("Cosine", {"learning_rate": 0.5, "warmup_epoch": 1, "warmup_start_lr": 0.125}, "Optimizer.lr")
    optimizer, schedule = build_optimizer(Settings(MOMENTUM, lr=warm), Net(), epochs=2, step_each_epoch=STEPS)
    assert (optimizer.get_lr(), schedule(0)) == (0.125, 0.125)


def test_a_rule_that_paddle_does_not_have_for_lowered_weights_is_refused() -> None:
    how = {"epochs": 1, "step_each_epoch": STEPS, "lowered": "bfloat16"}
    build_optimizer(Settings(Named("SGD")), Net(), **how)  # of Paddle's on a CPU the only one that there is
    with pytest.raises(
        ConfigError, match=r"Optimizer\.name: .* has no Momentum for bfloat16 weights, which AMP\.level O2"
    ):
        build_optimizer(Settings(MOMENTUM), Net(), **how)


def test_float32_weights_are_updated_in_one_call_unless_they_will_be_lowered_to_what_that_cannot() -> None:
    net = Net().to(dtype="float32")
    common = Common(0.1, [{"params": net.parameters()}], None)
    assert common.can_merge("merged_momentum")
    assert not common._replace(lowered="bfloat16").can_merge("merged_momentum")
    assert common._replace(lowered="bfloat16").can_merge("sgd")


REFUSED = [
    (Settings(Named("Momentum")), "Optimizer: Momentum needs momentum"),
    (Settings(Named("Momentum", {"momentum": 1.0})), "momentum is a number in [0, 1); got 1.0"),
    (Settings(Named("Adam", {"beta2": "0.9"})), "beta2 is a number in [0, 1); got '0.9'"),
    (Settings(Named("SGD", {"warmup_decay": 1e-4})), "SGD has no argument 'warmup_decay'"),
    (Settings(Named("Momentun", {"momentum": 0.9})), "unknown optimizer 'Momentun'; did you mean 'Momentum'?"),
    (Settings(Named("AdamW"), regularizer=L2), "AdamW decays decoupled: give weight_decay instead of regularizer"),
    (Settings(MOMENTUM, regularizer=Penalty("L3", 0.1)), "Optimizer.regularizer.name is L1 or L2; got 'L3'"),
    (Settings(MOMENTUM, clip_norm=0.0), "Optimizer.clip_norm is a number above 0, or null; got 0.0"),
    (Settings(MOMENTUM, no_weight_decay_name="bn"), "no_weight_decay_name: 'bn' is part of no parameter's name"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_bad_setting_is_refused_under_its_key(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_optimizer(settings, Net(), epochs=1, step_each_epoch=STEPS)
    assert str(caught.value).startswith("Optimizer")
    assert message in str(caught.value)


def test_a_model_without_trainable_parameters_is_refused() -> None:
    net = Net()
    for parameter in net.parameters():
        parameter.stop_gradient = True
    with pytest.raises(ConfigError, match="the model has no trainable parameter"):
        build_optimizer(Settings(MOMENTUM), net, epochs=1, step_each_epoch=STEPS)

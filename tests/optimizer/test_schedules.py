"""Learning rate schedules, against formulas worked out by hand and against Paddle's own schedulers."""

import math
from dataclasses import dataclass, field
from typing import Any

import paddle
import pytest

from ppcls.optimizer import Schedule, build_schedule, describe
from ppcls.registry import SCHEDULES
from ppcls.utils.errors import ConfigError

S = 626


@dataclass(frozen=True)
class Named:
    """Stands for ``ppcls.config.Component``."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = "Optimizer.lr"


def make(name: str, epochs: int, steps: int = S, **arguments: Any) -> Schedule:
    return build_schedule(Named(name, arguments), epochs=epochs, step_each_epoch=steps)


STAGE1 = {"learning_rate": 0.5, "warmup_epoch": 5, "eta_min": 0.25}


@pytest.mark.parametrize(
    ("epoch", "iteration", "rate"),
    [
        (1, 0, 0.0),
        (1, 600, 0.0958466),
        (5, 0, 0.4),
        (5, 600, 0.4958466),
        (6, 0, 0.5),
        (6, 600, 0.4999851),
        (50, 0, 0.4698871),
        (50, 600, 0.4686193),
        (100, 0, 0.3820447),
        (100, 600, 0.3801168),
        (190, 0, 0.2519578),
        (190, 600, 0.2516322),
        (200, 0, 0.2500162),
        (200, 600, 0.2500000),
    ],
)
def test_stage_1_applies_the_published_rates(epoch: int, iteration: int, rate: float) -> None:
    schedule = make("Cosine", 200, **STAGE1)
    assert schedule((epoch - 1) * S + iteration) == pytest.approx(rate, abs=5.1e-8)


@pytest.mark.parametrize(
    ("epoch", "iteration", "rate"),
    [
        (1, 0, 0.25),
        (1, 600, 0.2499858),
        (5, 0, 0.2497533),
        (50, 600, 0.2134460),
        (190, 0, 0.0018613),
        (200, 0, 1.54e-5),
    ],
)
def test_stage_2_applies_the_published_rates(epoch: int, iteration: int, rate: float) -> None:
    schedule = make("Cosine", 200, learning_rate=0.25, warmup_epoch=0)
    assert schedule((epoch - 1) * S + iteration) == pytest.approx(rate, abs=5.1e-8)


def test_cosine_ends_at_eta_min_and_stays() -> None:
    schedule = make("Cosine", 3, 10, learning_rate=1.0, eta_min=0.1)
    assert [schedule(step) for step in (30, 31, 45)] == pytest.approx([0.1, 0.1, 0.1])


def test_warmup_climbs_in_a_straight_line_from_its_start() -> None:
    schedule = make("ConstLR", 4, 10, learning_rate=0.5, warmup_epoch=2, warmup_start_lr=0.1)
    assert [schedule(step) for step in (0, 5, 15, 19, 20, 39)] == pytest.approx([0.1, 0.2, 0.4, 0.48, 0.5, 0.5])


def test_a_fraction_of_an_epoch_of_warmup_is_rounded_to_updates() -> None:
    schedule = make("Cosine", 4, 10, learning_rate=1.0, warmup_epoch=0.37)
    assert (schedule.warmup_ticks, schedule.inner_ticks) == (4, 36)
    assert schedule(3) == 0.75
    assert schedule(4) == 1.0
    assert schedule(22) == pytest.approx(0.5)


def test_step_falls_after_the_warmup_and_its_epochs() -> None:
    schedule = make("Step", 120, 10, learning_rate=0.1, step_size=30, gamma=0.1, warmup_epoch=5)
    rates = [schedule(10 * epoch + part) for epoch, part in ((35, -1), (35, 0), (65, -1), (65, 0), (119, 9))]
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001, 0.0001])
    assert schedule.effective_epochs() == [35, 65, 95]


def test_a_step_of_a_fraction_of_an_epoch_is_cut_to_whole_updates() -> None:
    schedule = make("Step", 12, 10, learning_rate=1.0, step_size=2.49, gamma=0.5)
    assert [schedule(step) for step in (23, 24, 47, 48)] == [1.0, 0.5, 0.5, 0.25]


def test_piecewise_holds_each_value_until_its_epoch() -> None:
    schedule = make("Piecewise", 120, 10, decay_epochs=[30, 60, 90], values=[0.1, 0.01, 0.001, 0.0001])
    assert [schedule(step) for step in (0, 299, 300, 599, 600, 900, 1199)] == [0.1, 0.1, 0.01, 0.01, 0.001, 1e-4, 1e-4]


def test_piecewise_warms_up_to_its_first_value_and_shifts_by_the_warmup() -> None:
    schedule = make("Piecewise", 120, 10, decay_epochs=[30, 60, 90], values=[0.1, 0.01, 0.001, 0.0001], warmup_epoch=5)
    assert [schedule(step) for step in (25, 349, 350)] == pytest.approx([0.05, 0.1, 0.01])
    assert schedule.effective_epochs() == [35, 65, 95]


def test_piecewise_lists_win_over_learning_rate_and_a_disagreement_is_said(caplog: pytest.LogCaptureFixture) -> None:
    agreeing = make("Piecewise", 9, decay_epochs=[3], values=[0.1, 0.01], learning_rate=0.1)
    assert not caplog.records
    other = make("Piecewise", 9, decay_epochs=[3], values=[0.1, 0.01], learning_rate=0.4)
    assert (agreeing(0), other(0)) == (0.1, 0.1)
    assert "learning_rate 0.4 has no effect, values start at 0.1" in caplog.text


def test_multi_step_multiplies_at_each_milestone_and_ignores_its_own_step_each_epoch() -> None:
    schedule = make("MultiStepDecay", 100, 10, learning_rate=1.0, milestones=[30, 60], gamma=0.5, step_each_epoch=999)
    assert [schedule(step) for step in (299, 300, 599, 600, 999)] == [1.0, 0.5, 0.5, 0.25, 0.25]


def test_multi_step_takes_a_warmup() -> None:
    schedule = make("MultiStepDecay", 100, 10, learning_rate=1.0, milestones=[30, 60], warmup_epoch=5)
    assert [schedule(step) for step in (5, 50, 349, 350, 650)] == pytest.approx([0.1, 1.0, 1.0, 0.1, 0.01])


def test_linear_is_a_polynomial_down_to_its_end() -> None:
    straight = make("Linear", 10, 10, learning_rate=1.0, end_lr=0.2)
    curved = make("Linear", 12, 10, learning_rate=1.0, end_lr=0.2, power=2.0, warmup_epoch=2)
    assert [straight(step) for step in (0, 50, 100, 120)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert [curved(step) for step in (10, 20, 70, 120)] == pytest.approx([0.5, 1.0, 0.2 + 0.8 * 0.25, 0.2])


def test_by_epoch_keeps_one_rate_for_an_epoch() -> None:
    schedule = make("Cosine", 6, 10, learning_rate=1.0, warmup_epoch=2, by_epoch=True)
    rates = [schedule(10 * epoch) for epoch in range(6)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, *((1 + math.cos(math.pi * u / 4)) / 2 for u in (1, 2, 3))])
    assert [schedule(step) for step in (11, 19)] == [0.5, 0.5]


PADDLES = {
    "Cosine": (
        {"learning_rate": 0.4, "eta_min": 0.01},
        lambda: paddle.optimizer.lr.CosineAnnealingDecay(0.4, T_max=80, eta_min=0.01),
    ),
    "Linear": (
        {"learning_rate": 0.4, "end_lr": 0.1, "power": 1.5},
        lambda: paddle.optimizer.lr.PolynomialDecay(0.4, decay_steps=80, end_lr=0.1, power=1.5),
    ),
    "Step": (
        {"learning_rate": 0.4, "step_size": 3, "gamma": 0.3},
        lambda: paddle.optimizer.lr.StepDecay(0.4, step_size=30, gamma=0.3),
    ),
    "Piecewise": (
        {"decay_epochs": [3, 7], "values": [0.4, 0.2, 0.1]},
        lambda: paddle.optimizer.lr.PiecewiseDecay([30, 70], [0.4, 0.2, 0.1]),
    ),
    "MultiStepDecay": (
        {"learning_rate": 0.4, "milestones": [3, 7], "gamma": 0.3},
        lambda: paddle.optimizer.lr.MultiStepDecay(0.4, [30, 70], gamma=0.3),
    ),
    "ConstLR": ({"learning_rate": 0.4}, lambda: 0.4),
}


@pytest.mark.parametrize("name", sorted(SCHEDULES.names()))
def test_every_schedule_equals_paddles_own_under_its_warmup(name: str) -> None:
    arguments, inner = PADDLES[name]
    theirs = paddle.optimizer.lr.LinearWarmup(inner(), warmup_steps=20, start_lr=0.05, end_lr=0.4)
    ours = make(name, 10, 10, warmup_epoch=2, warmup_start_lr=0.05, **arguments)
    for step in range(100):
        assert ours(step) == pytest.approx(theirs(), rel=1e-9), f"step {step}"
        theirs.step()


@pytest.mark.parametrize("name", sorted(SCHEDULES.names()))
def test_a_schedule_depends_on_the_step_alone(name: str) -> None:
    schedule = make(name, 10, 10, warmup_epoch=2, **PADDLES[name][0])
    forward = [schedule(step) for step in range(100)]
    assert [schedule(step) for step in reversed(range(100))] == forward[::-1]


def test_a_scale_multiplies_every_rate() -> None:
    plain = make("Cosine", 10, 10, warmup_epoch=1, learning_rate=0.5, eta_min=0.25)
    component = Named("Cosine", {"warmup_epoch": 1, "learning_rate": 0.5, "eta_min": 0.25})
    scaled = build_schedule(component, epochs=10, step_each_epoch=10, scale=0.125)
    assert [scaled(step) for step in range(100)] == pytest.approx([plain(step) / 8 for step in range(100)])


@pytest.mark.parametrize("name", ["Cosine", "Linear", "ConstLR"])
def test_a_warmup_longer_than_the_run_is_cut_to_it_and_said(name: str, caplog: pytest.LogCaptureFixture) -> None:
    schedule = make(name, 2, 10, learning_rate=0.5, warmup_epoch=5)
    assert [schedule(step) for step in (0, 10, 19, 20)] == pytest.approx([0.0, 0.25, 0.475, 0.5])
    assert "all of the run is warm-up, from 0 to 0.475 in its last step; it does not reach 0.5" in caplog.text


def test_the_description_says_what_really_happens() -> None:
    step = make("Step", 90, learning_rate=0.1, step_size=30, gamma=0.1, warmup_epoch=5)
    assert describe(step) == (
        "lr: Step, 90 epochs of 626 updates; warm-up 0 -> 0.1 in 5 epochs; then 0.1 -> 0.001; "
        "jumps after epochs 35, 65 (the recipe's and the warm-up's)"
    )
    cosine = make("Cosine", 200, learning_rate=0.25)
    assert describe(cosine) == "lr: Cosine, 200 epochs of 626 updates; 0.25 -> 3.935e-11"


REFUSED = [
    ("Cosine", {"learning_rate": 0.1, "eta_min": 0.2}, "eta_min 0.2 is above learning_rate 0.1"),
    ("Cosine", {"learning_rate": -0.1}, "learning_rate is a number of at least 0; got -0.1"),
    ("Cosine", {"learning_rate": "0.1"}, "learning_rate is a number of at least 0; got '0.1'"),
    ("Cosine", {"learning_rate": float("nan")}, "learning_rate is a number"),
    ("Cosine", {"learning_rate": True}, "learning_rate is a number"),
    ("Cosine", {"learning_rate": None}, "learning_rate is a number of at least 0; got None"),
    ("Cosine", {}, "Cosine needs learning_rate"),
    ("Cosine", {"learning_rate": 0.1, "warmup_epoch": 2, "warmup_start_lr": 0.1}, "warmup_start_lr 0.1 is not below"),
    ("Cosine", {"learning_rate": 0.1, "warmup_epoch": -1}, "warmup_epoch is a number of at least 0"),
    ("Cosine", {"learning_rate": 0.1, "last_epoch": 3}, "last_epoch and verbose are accepted as -1 and False alone"),
    ("Cosine", {"learning_rate": 0.1, "eta_mim": 0.2}, "no argument 'eta_mim'; did you mean 'eta_min'?"),
    ("Cosine", {"learning_rate": 0.1, "epochs": 3}, "epochs is no argument of a schedule; use Global.epochs"),
    ("Cosin", {"learning_rate": 0.1}, "unknown learning rate schedule 'Cosin'; did you mean 'Cosine'?"),
    ("Linear", {"learning_rate": 0.1, "cycle": True}, "cycle is accepted as False alone"),
    ("Linear", {"learning_rate": 0.1, "power": 0}, "power is a number above 0"),
    ("Step", {"learning_rate": 0.1, "step_size": 0.001, "gamma": 0.1}, "step_size 0.001 is shorter than one of 626"),
    ("Step", {"learning_rate": 0.1, "step_size": 30, "gamma": 0}, "gamma is a number above 0"),
    (
        "Piecewise",
        {"decay_epochs": [30, 60], "values": [0.1, 0.01]},
        "values has one entry more than decay_epochs; got",
    ),
    ("Piecewise", {"decay_epochs": [60, 30], "values": [3, 2, 1]}, "decay_epochs must rise; got [60, 30]"),
    ("Piecewise", {"decay_epochs": 30, "values": [0.1, 0.01]}, "decay_epochs is a list of epochs; got 30"),
    ("Piecewise", {"decay_epochs": [30], "values": 0.1}, "values is a list of rates; got 0.1"),
    ("MultiStepDecay", {"learning_rate": 0.1, "milestones": [0, 3]}, "each of milestones is a number above 0; got 0"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_a_bad_value_is_refused_under_its_key(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_schedule(Named(name, arguments), epochs=10, step_each_epoch=S)
    assert str(caught.value).startswith("Optimizer.lr: ")
    assert message in str(caught.value)

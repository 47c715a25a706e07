"""Several losses as one."""

from dataclasses import dataclass, field
from typing import Any

import paddle
import pytest

from ppcls.loss import build_loss
from ppcls.utils.errors import ConfigError

LOGITS = paddle.to_tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]], dtype="float64")
LABELS = paddle.to_tensor([0, 1])


@dataclass(frozen=True)
class Named:
    """Stands for ``ppcls.config.Component``."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = "Loss.Train.0.CELoss"


def values(*components: Named) -> dict[str, float]:
    return {name: float(value) for name, value in build_loss(components)(LOGITS, LABELS).items()}


def test_a_single_loss_is_weighted_too() -> None:
    plain = values(Named("CELoss", {"weight": 1.0}))
    half = values(Named("CELoss", {"weight": 0.5}))
    assert plain.keys() == {"CELoss", "loss"}
    assert plain["loss"] == plain["CELoss"]
    assert half == {name: value / 2 for name, value in plain.items()}


def test_without_a_weight_it_is_one() -> None:
    assert values(Named("CELoss")) == values(Named("CELoss", {"weight": 1}))


def test_losses_of_one_name_are_both_kept_and_summed() -> None:
    first = values(Named("CELoss", {"weight": 0.25}))["loss"]
    second = values(Named("CELoss", {"weight": 2.0, "epsilon": 0.1}))["loss"]
    both = values(Named("CELoss", {"weight": 0.25}), Named("CELoss", {"weight": 2.0, "epsilon": 0.1}))
    assert both == {"CELoss": first, "CELoss_1": second, "loss": pytest.approx(first + second, rel=1e-15)}
    assert list(both) == ["CELoss", "CELoss_1", "loss"]


def test_the_gradient_is_that_of_the_sum() -> None:
    logits = paddle.to_tensor(LOGITS.numpy(), stop_gradient=False)
    build_loss([Named("CELoss", {"weight": 0.5}), Named("CELoss", {"weight": 1.5})])(logits, LABELS)["loss"].backward()
    once = paddle.to_tensor(LOGITS.numpy(), stop_gradient=False)
    build_loss([Named("CELoss")])(once, LABELS)["loss"].backward()
    assert paddle.allclose(logits.grad, 2 * once.grad, rtol=1e-12)


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Named("CELoss", {"weight": "big"}), "Loss.Train.0.CELoss: weight is a number of at least 0; got 'big'"),
        (Named("CELoss", {"weight": None}), "weight is a number of at least 0; got None"),
        (Named("CELoss", {"weight": -1}), "weight is a number of at least 0; got -1"),
        (Named("CELoss", {"reduction": "sum"}), "Loss.Train.0.CELoss: reduction is 'mean'"),
        (Named("CELoss", {"eps": 0.1}), "CELoss has no argument 'eps'"),
        (Named("CEloss"), "unknown loss 'CEloss'; did you mean 'CELoss'?"),
    ],
)
def test_a_bad_entry_is_refused_under_its_key(component: Named, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_loss([component])
    assert message in str(caught.value)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="Loss: the list is empty; give at least one entry"):
        build_loss([])

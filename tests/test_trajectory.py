"""Six training steps of the published network equal the released reproduction's, in float64.

The golden file holds what its model, optimizer, loss and mixup gave with weights and data that a formula defines.
"""

import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import pytest

from ppcls.arch import build_model
from ppcls.config import load_run
from ppcls.data.preprocess.batch_ops.mixup import mixup
from ppcls.engine.state import TrainState
from ppcls.engine.train import train_step
from ppcls.loss import build_loss
from ppcls.optimizer import build_optimizer

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = json.loads((ROOT / "tests/golden/train_trajectory.json").read_text(encoding="utf-8"))


class Mixed(NamedTuple):
    """A batch as the loader gives it."""

    images: paddle.Tensor  # float64 [N, 3, H, W]
    labels: paddle.Tensor  # float64 [N, class_num]
    id: object = None


class Result(NamedTuple):
    """The loss of each step, and the state dict after the last."""

    losses: list[float]
    weights: dict[str, np.ndarray]


def formula(key: str, shape: list[int]) -> np.ndarray:
    draw = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith("_variance"):
        value = draw.uniform(0.5, 1.5, shape)
    elif key.endswith(("_mean", "bias")):
        value = 0.1 * draw.randn(*shape)
    elif len(shape) == 1:
        value = 1 + 0.1 * draw.randn(*shape)
    else:
        value = draw.randn(*shape) * np.sqrt(GOLDEN["gain"] / np.prod(shape[1:]))
    return value.astype("float32").astype("float64")


def mixed_batches() -> list[Mixed]:
    steps, batch, side, classes = (GOLDEN[name] for name in ("steps", "batch", "image", "classes"))
    draw = np.random.RandomState(GOLDEN["seed"])
    images = draw.standard_normal((steps, batch, 3, side, side)).astype("float32").astype("float64")
    labels = np.eye(classes)[draw.randint(0, classes, (steps, batch))]
    permutations = [draw.permutation(batch) for _ in range(steps)]
    ratios = draw.beta(0.2, 0.2, steps)
    return [
        Mixed(*mixup(paddle.to_tensor(images[t]), paddle.to_tensor(labels[t]), float(ratios[t]), permutations[t]))
        for t in range(steps)
    ]


@pytest.fixture(scope="module")
def result() -> Result:
    config = load_run(ROOT / "configs" / "train1.yaml", [], "train").stages[0].config
    network = build_model(config.Arch)
    network.to(dtype="float64")
    network.set_state_dict({key: formula(key, list(value.shape)) for key, value in network.state_dict().items()})
    network.train()
    optimizer, _ = build_optimizer(config.Optimizer, network, epochs=1, step_each_epoch=GOLDEN["steps"])
    state = TrainState(
        network=network,
        model=network,
        loss=build_loss(config.Loss.Train),
        optimizer=optimizer,
        schedule=GOLDEN["lr"].__getitem__,
        seed=0,
        epochs=1,
        epoch_batches=GOLDEN["steps"],
        epoch_updates=GOLDEN["steps"],
    )
    losses = [float(train_step(state, [batch]).losses["loss"]) for batch in mixed_batches()]
    return Result(losses, {key: value.numpy() for key, value in network.state_dict().items()})


def test_every_loss_equals_the_released_reproduction(result: Result) -> None:
    assert result.losses == pytest.approx(GOLDEN["losses"], rel=1e-9)


@pytest.mark.parametrize("key", GOLDEN["sums_and_abs_sums"])
def test_a_tensor_after_six_steps_equals_the_released_reproduction(result: Result, key: str) -> None:
    value = result.weights[key]
    assert [value.sum(), np.abs(value).sum()] == pytest.approx(GOLDEN["sums_and_abs_sums"][key], rel=1e-9)

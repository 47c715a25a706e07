"""mixup, CutMix and OpSampler against their formulas in numpy, with the same generator."""

import logging
from typing import Any, NamedTuple

import numpy as np
import paddle
import pytest

from ppcls.data.preprocess.batch_ops.cutmix import Box, CutmixOperator, cutmix, draw_box
from ppcls.data.preprocess.batch_ops.mixup import MixupOperator, mixup
from ppcls.data.preprocess.batch_ops.op_sampler import OpSampler
from ppcls.registry import BATCH_OPS
from ppcls.utils.errors import ConfigError

N, C, H, W, CLASSES = 5, 3, 6, 8, 4
IMAGES = np.random.default_rng(0).standard_normal([N, C, H, W])
LABELS = np.array([0, 3, 1, 3, 2])
ONEHOT = np.eye(CLASSES)[LABELS]
EXACT = {"float32": 1e-6, "float64": 1e-15}


class _Component(NamedTuple):
    name: str
    kwargs: dict[str, Any]
    key: str


def _run(op: Any, seed: int, dtype: str = "float32", labels: np.ndarray = LABELS) -> tuple[np.ndarray, np.ndarray]:
    tensors = paddle.to_tensor(IMAGES.astype(dtype)), paddle.to_tensor(labels)
    images, soft = op(*tensors, np.random.default_rng(seed))
    return images.numpy(), soft.numpy()


def _mixup(seed: int, alpha: float, onehot: np.ndarray = ONEHOT) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    permutation, ratio = rng.permutation(N), rng.beta(alpha, alpha)
    return (
        ratio * IMAGES + (1 - ratio) * IMAGES[permutation],
        ratio * onehot + (1 - ratio) * onehot[permutation],
    )


def _cutmix(seed: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    permutation, ratio = rng.permutation(N), rng.beta(alpha, alpha)
    height, width = int(H * np.sqrt(1 - ratio)), int(W * np.sqrt(1 - ratio))
    row, column = rng.integers(H), rng.integers(W)
    mixed = IMAGES.copy()
    area = 0
    for y in range(max(row - height // 2, 0), min(row + height // 2, H)):
        for x in range(max(column - width // 2, 0), min(column + width // 2, W)):
            mixed[:, :, y, x] = IMAGES[permutation][:, :, y, x]
            area += 1
    ratio = 1 - area / (H * W)
    return mixed, ratio * ONEHOT + (1 - ratio) * ONEHOT[permutation]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(3))
def test_mixup_is_one_ratio_and_one_permutation_a_batch(seed: int, dtype: str) -> None:
    images, labels = _run(MixupOperator(CLASSES, alpha=0.8), seed, dtype)
    expected_images, expected_labels = _mixup(seed, 0.8)
    assert images.dtype == labels.dtype == dtype
    np.testing.assert_allclose(images, expected_images, atol=EXACT[dtype])
    np.testing.assert_allclose(labels, expected_labels, atol=EXACT[dtype])


def test_the_pure_mixup_by_hand() -> None:
    images = paddle.to_tensor(np.array([[[[0.0]]], [[[8.0]]]]))
    onehot = paddle.to_tensor(np.array([[1.0, 0.0], [0.0, 1.0]]))
    mixed, labels = mixup(images, onehot, 0.75, np.array([1, 0]))
    np.testing.assert_array_equal(mixed.numpy().ravel(), [2.0, 6.0])
    np.testing.assert_array_equal(labels.numpy(), [[0.75, 0.25], [0.25, 0.75]])


def test_soft_labels_are_mixed_as_they_are() -> None:
    soft = np.random.default_rng(1).dirichlet(np.ones(CLASSES), N).astype(np.float32)
    _, labels = _run(MixupOperator(CLASSES), 0, labels=soft)
    np.testing.assert_allclose(labels, _mixup(0, 1.0, soft)[1], atol=1e-6)


def test_soft_labels_of_another_width_name_class_num() -> None:
    with pytest.raises(ValueError, match=r"soft labels have 7 classes, Arch\.class_num is 4"):
        _run(MixupOperator(CLASSES), 0, labels=np.zeros([N, 7], np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(6))
def test_cutmix_pastes_one_box_and_weighs_labels_by_its_true_area(seed: int, dtype: str) -> None:
    images, labels = _run(CutmixOperator(CLASSES, alpha=1.0), seed, dtype)
    expected_images, expected_labels = _cutmix(seed, 1.0)
    assert images.dtype == labels.dtype == dtype
    np.testing.assert_array_equal(images, expected_images.astype(dtype))
    np.testing.assert_allclose(labels, expected_labels, atol=EXACT[dtype])


def test_the_pure_cutmix_by_hand() -> None:
    images = paddle.to_tensor(np.stack([np.zeros([1, 2, 4]), np.ones([1, 2, 4])]))
    onehot = paddle.to_tensor(np.eye(2))
    mixed, labels = cutmix(images, onehot, Box(top=1, bottom=2, left=1, right=3), np.array([1, 0]))
    np.testing.assert_array_equal(mixed.numpy()[0, 0], [[0, 0, 0, 0], [0, 1, 1, 0]])
    np.testing.assert_array_equal(labels.numpy(), [[0.75, 0.25], [0.25, 0.75]])
    assert images.numpy()[0].sum() == 0, "the batch handed in stays as it is"


def test_cutmix_boxes_reach_every_border_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_box(H, W, 0.5, rng) for _ in range(500)]
    assert min(box.top for box in boxes) == 0 == min(box.left for box in boxes)
    assert max(box.bottom for box in boxes) == H
    assert max(box.right for box in boxes) == W


@pytest.mark.parametrize("op", [MixupOperator(CLASSES), CutmixOperator(CLASSES)])
def test_a_batch_of_one_mixes_with_itself(op: Any) -> None:
    images, labels = op(paddle.to_tensor(IMAGES[:1]), paddle.to_tensor(LABELS[:1]), np.random.default_rng(0))
    np.testing.assert_allclose(images.numpy(), IMAGES[:1], atol=1e-15)
    np.testing.assert_allclose(labels.numpy(), ONEHOT[:1], atol=1e-15)


def test_half_precision_images_get_single_precision_labels() -> None:
    images, labels = _run(OpSampler(CLASSES, MixupOperator={"prob": 0.0}), 0, "float16")
    assert (images.dtype, labels.dtype) == (np.float16, np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_op_sampler_chooses_by_one_number_and_labels_are_always_soft(seed: int) -> None:
    op = OpSampler(CLASSES, MixupOperator={"alpha": 0.8, "prob": 0.3}, CutmixOperator={"alpha": 1.0, "prob": 0.4})
    rng = np.random.default_rng(seed)
    number = rng.random()
    images, labels = paddle.to_tensor(IMAGES), paddle.to_tensor(LABELS)
    if number < 0.3:
        images, labels = MixupOperator(CLASSES, 0.8)(images, labels, rng)
    elif number < 0.7:
        images, labels = CutmixOperator(CLASSES, 1.0)(images, labels, rng)
    else:
        labels = paddle.to_tensor(ONEHOT)
    actual_images, actual_labels = _run(op, seed, "float64")
    np.testing.assert_array_equal(actual_images, images.numpy())
    np.testing.assert_array_equal(actual_labels, labels.numpy())


def test_op_sampler_chooses_each_op_as_often_as_its_prob_says() -> None:
    op = OpSampler(2, MixupOperator={"prob": 0.3})
    images, labels, rng = paddle.zeros([4, 1, 1, 1]), paddle.to_tensor([0, 1, 0, 1]), np.random.default_rng(0)
    mixed = 0
    for _ in range(400):
        before = np.random.default_rng()
        before.bit_generator.state = rng.bit_generator.state
        op(images, labels, rng)
        before.random()
        mixed += before.bit_generator.state != rng.bit_generator.state  # mixup draws more
    assert 90 < mixed < 150


def test_shares_of_one_leave_no_batch_out() -> None:
    op = OpSampler(CLASSES, MixupOperator={"prob": 0.1}, CutmixOperator={"prob": 0.9})
    for seed in range(50):
        images, _ = _run(op, seed)
        assert images.shape == IMAGES.shape


def test_op_sampler_is_built_from_what_yaml_says() -> None:
    arguments = {"MixupOperator": {"alpha": 0.2, "prob": 0.5}, "CutmixOperator": {"alpha": 1.0, "prob": 0.5}}
    component = _Component("OpSampler", arguments, "batch_transform_ops.0.OpSampler")
    _, labels = _run(BATCH_OPS.build(component, class_num=CLASSES), 0)
    assert labels.shape == (N, CLASSES)
    assert arguments["MixupOperator"] == {"alpha": 0.2, "prob": 0.5}, "building leaves the config as it is"


def test_an_op_without_prob_is_never_chosen_and_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="ppcls"):
        op = OpSampler(CLASSES, CutmixOperator={"alpha": 1.0})
    assert "OpSampler: CutmixOperator has no prob and is never chosen" in caplog.text
    np.testing.assert_array_equal(_run(op, 0)[1], ONEHOT)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "MixupOperator",
            {"alpha": 0},
            r"MixupOperator alpha is the parameter of Beta\(alpha, alpha\), above 0; got 0",
        ),
        ("CutmixOperator", {"alpha": -1.0}, "CutmixOperator alpha .* got -1.0"),
        ("MixupOperator", {"class_num": 0}, "MixupOperator class_num is at least 1; got 0"),
        ("OpSampler", {}, "OpSampler needs at least one of MixupOperator, CutmixOperator"),
        ("OpSampler", {"MixupOperator": {"prob": 1.5}}, r"prob of MixupOperator is in \[0, 1\]; got 1.5"),
        ("OpSampler", {"MixupOperator": {"prob": "0.5"}}, r"prob of MixupOperator is in \[0, 1\]; got '0.5'"),
        (
            "OpSampler",
            {"MixupOperator": {"prob": 0.6}, "CutmixOperator": {"prob": 0.5}},
            "the prob of its ops add up to 1.1; at most 1 is possible",
        ),
        (
            "OpSampler",
            {"MixupOperator": {"prob": 0.6, "alfa": 1.0}},
            "MixupOperator: MixupOperator has no argument 'alfa'; did you mean 'alpha'",
        ),
        ("OpSampler", {"FmixOperator": {"prob": 1}}, "OpSampler has no argument 'FmixOperator'"),
    ],
)
def test_bad_arguments_name_the_key(name: str, arguments: dict[str, Any], message: str) -> None:
    component = _Component(name, arguments, f"batch_transform_ops.0.{name}")
    with pytest.raises(ConfigError, match=rf"batch_transform_ops\.0\.{name}: .*{message}"):
        BATCH_OPS.build(component, class_num=CLASSES)

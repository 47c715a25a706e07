"""Cross entropy, against numpy in float64."""

import numpy as np
import paddle
import pytest

from ppcls.loss.celoss import CELoss

RNG = np.random.default_rng(7)
LOGITS = RNG.normal(scale=3, size=(6, 5))
IDS = np.array([0, 4, 2, 2, 1, 3])
SOFT = RNG.dirichlet(np.ones(5), size=6)


def expected(logits: np.ndarray, targets: np.ndarray, epsilon: float) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    smoothed = (1 - epsilon) * targets + epsilon / logits.shape[1]
    return float(-(smoothed * log_p).sum(axis=1).mean())


def loss(logits: np.ndarray, labels: np.ndarray, epsilon: float | None = None) -> paddle.Tensor:
    return CELoss(epsilon=epsilon)(paddle.to_tensor(logits), paddle.to_tensor(labels))


@pytest.mark.parametrize("epsilon", [None, 0.1, 0.9])
def test_class_ids_equal_the_formula(epsilon: float | None) -> None:
    value = loss(LOGITS, IDS, epsilon)
    assert value.shape == []
    assert float(value) == pytest.approx(expected(LOGITS, np.eye(5)[IDS], epsilon or 0), rel=1e-12)


@pytest.mark.parametrize("epsilon", [None, 0.1])
def test_soft_labels_equal_the_formula(epsilon: float | None) -> None:
    assert float(loss(LOGITS, SOFT, epsilon)) == pytest.approx(expected(LOGITS, SOFT, epsilon or 0), rel=1e-12)


def test_soft_labels_are_used_as_given() -> None:
    value = loss(np.array([[2.0, 0.0, 0.0, -1.0]]), np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert float(value) == pytest.approx(0.278, abs=5e-4)  # 1.502 after another softmax


def test_float32_labels_serve_float64_logits() -> None:
    narrow = SOFT.astype("float32")
    value = loss(LOGITS, narrow, 0.1)
    assert value.dtype == paddle.float64
    assert float(value) == pytest.approx(expected(LOGITS, narrow.astype("float64"), 0.1), rel=1e-12)


def test_a_column_of_ids_equals_a_row_of_ids() -> None:
    assert float(loss(LOGITS, IDS[:, None], 0.1)) == float(loss(LOGITS, IDS, 0.1))


def test_the_dtype_says_what_labels_are_even_for_one_class() -> None:
    logits = np.array([[3.0], [-2.0]])
    assert float(loss(logits, np.array([[0], [0]]))) == 0.0
    assert float(loss(logits, np.array([[1.0], [1.0]]))) == 0.0


def test_the_gradient_is_softmax_minus_target_over_n() -> None:
    logits = paddle.to_tensor(LOGITS, stop_gradient=False)
    CELoss(epsilon=0.1)(logits, paddle.to_tensor(IDS)).backward()
    softmax = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    target = 0.9 * np.eye(5)[IDS] + 0.1 / 5
    np.testing.assert_allclose(logits.grad.numpy(), (softmax - target) / 6, atol=1e-12)


def test_a_confident_mistake_costs_what_it_should() -> None:
    assert float(loss(np.array([[1e4, -1e4]], "float32"), np.array([1]))) == 2e4


@pytest.mark.parametrize("labels", [IDS, SOFT.astype("float32")], ids=["hard", "soft"])
def test_the_loss_of_half_logits_is_computed_in_float32(labels: np.ndarray) -> None:
    logits = paddle.to_tensor(LOGITS.astype("float32")).astype("bfloat16")
    rounded = logits.astype("float32").numpy().astype("float64")
    value = CELoss(epsilon=0.1)(logits, paddle.to_tensor(labels))
    targets = labels if labels.ndim == 2 else np.eye(5)[labels]
    assert value.dtype == paddle.float32
    assert float(value) == pytest.approx(expected(rounded, targets, 0.1), rel=1e-6)


@pytest.mark.parametrize("epsilon", [-0.5, 1, 1.5])
def test_an_epsilon_outside_its_range_smooths_nothing_and_is_said(
    epsilon: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert float(loss(LOGITS, IDS, epsilon)) == float(loss(LOGITS, IDS))
    assert f"epsilon {epsilon} is outside (0, 1): no label smoothing" in caplog.text


@pytest.mark.parametrize("epsilon", [0, 0.0, None])
def test_an_epsilon_of_nothing_is_silent(epsilon: float | None, caplog: pytest.LogCaptureFixture) -> None:
    assert CELoss(epsilon=epsilon).epsilon == 0.0
    assert not caplog.records


@pytest.mark.parametrize("epsilon", ["0.1", True])
def test_an_epsilon_that_is_no_number_is_refused(epsilon: object) -> None:
    with pytest.raises(ValueError, match=r"epsilon is a number in \(0, 1\) or null; got"):
        CELoss(epsilon=epsilon)


def test_a_reduction_other_than_the_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction is 'mean', the only one offered; got 'sum'"):
        CELoss(reduction="sum")


def test_soft_labels_of_another_width_are_refused_and_class_num_is_named() -> None:
    with pytest.raises(ValueError, match=r"soft labels of shape \[6, 4\] do not fit .* \[6, 5\]; class_num .* equal"):
        loss(LOGITS, SOFT[:, :4])


@pytest.mark.parametrize("labels", [IDS[:5], np.eye(5, dtype="int64")[IDS]], ids=["too few", "integer vectors"])
def test_labels_that_fit_no_shape_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"class ids have shape \[6\], vectors of width class_num must be float"):
        loss(LOGITS, labels)

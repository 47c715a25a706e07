"""Top-k accuracy, against a stable sort in numpy."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
import pytest

from ppcls.metric import build_metrics
from ppcls.metric.topk_acc import TopkAcc
from ppcls.utils import dist
from ppcls.utils.errors import ConfigError


@dataclass(frozen=True)
class Named:
    """Stands for ``ppcls.config.Component``."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    key: str = "Metric.Eval.0.TopkAcc"


def expected(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((order == labels[:, None]).any(axis=1).mean())


def judge(metric: TopkAcc, logits: np.ndarray, labels: np.ndarray, batch: int) -> dict[str, float]:
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update(paddle.to_tensor(logits[part]), paddle.to_tensor(labels[part]))
    return metric.compute()


@pytest.mark.parametrize("batch", [1, 7, 16, 50])
def test_batches_of_any_size_give_the_accuracy_of_all_samples(batch: int) -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(50, 10)).astype("float32"), rng.integers(0, 10, 50)
    result = judge(TopkAcc(10, topk=[1, 3, 10]), logits, labels, batch)
    assert result == {f"top{k}": expected(logits, labels, k) for k in (1, 3, 10)}
    assert result["top10"] == 1.0


def test_ties_go_to_the_lower_class_as_in_a_stable_sort() -> None:
    rng = np.random.default_rng(4)
    logits, labels = rng.integers(0, 3, size=(200, 8)).astype("float32"), rng.integers(0, 8, 200)
    result = judge(TopkAcc(8, topk=[1, 2, 5]), logits, labels, 33)
    assert result == {f"top{k}": expected(logits, labels, k) for k in (1, 2, 5)}


def test_a_constant_answer_is_as_good_as_guessing_one_class() -> None:
    labels = np.arange(100) % 10
    assert judge(TopkAcc(10, topk=1), np.zeros((100, 10), "float32"), labels, 16) == {"top1": 0.1}


def test_nan_logits_score_nothing() -> None:
    logits = np.full((4, 3), np.nan, "float32")
    logits[3] = [np.nan, 5.0, 1.0]
    result = judge(TopkAcc(3, topk=[1, 2, 3]), logits, np.array([0, 1, 2, 1]), 4)
    assert result == {"top1": 0.0, "top2": 0.25, "top3": 0.25}


def test_a_label_that_is_no_class_counts_as_wrong() -> None:
    logits = np.array([[5.0, 0, 0], [0, 0, 5.0], [5.0, 0, 0]], "float32")
    assert judge(TopkAcc(3, topk=[1, 3]), logits, np.array([-1, 3, 0]), 3) == {"top1": 1 / 3, "top3": 1 / 3}


def test_ids_in_a_column_and_int32_ids_are_taken() -> None:
    logits = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
    assert judge(TopkAcc(2, topk=1), logits, np.array([[1], [1]], "int32"), 2) == {"top1": 0.5}


def test_half_floats_are_compared_exactly() -> None:
    metric = TopkAcc(3, topk=1)
    metric.update(paddle.to_tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]).astype("bfloat16"), paddle.to_tensor([2, 2]))
    assert metric.compute() == {"top1": 0.5}


def test_a_k_above_class_num_is_left_out_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metric = TopkAcc(4, topk=[1, 5, 10])
    assert caplog.messages == ["TopkAcc: top5, top10 left out, there are 4 classes"]
    assert judge(metric, np.eye(4, dtype="float32"), np.arange(4), 4) == {"top1": 1.0}


def test_reset_forgets() -> None:
    metric = TopkAcc(2, topk=1)
    judge(metric, np.array([[0.0, 1.0]], "float32"), np.array([0]), 1)
    metric.reset()
    assert judge(metric, np.array([[0.0, 1.0]], "float32"), np.array([1]), 1) == {"top1": 1.0}


def test_ranks_are_weighted_by_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = TopkAcc(2, topk=1), TopkAcc(2, topk=1)
    here.update(paddle.to_tensor([[0.0, 1.0]]), paddle.to_tensor([1]))
    there.update(paddle.to_tensor([[0.0, 1.0]] * 3), paddle.to_tensor([0, 0, 1]))
    sent: list[list[float]] = []
    monkeypatch.setattr(dist, "all_sum", lambda values: sent.append(list(values)) or list(values))
    there.compute()
    monkeypatch.setattr(dist, "all_sum", lambda values: [a + b for a, b in zip(values, sent[0], strict=True)])
    assert here.compute() == {"top1": 2 / 4}
    assert here.local() == {"top1": 1.0}


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="TopkAcc has seen no sample since its last reset"):
        TopkAcc(10).compute()


def test_the_metrics_of_a_list_answer_together_and_the_first_comes_first() -> None:
    metrics = build_metrics([Named("TopkAcc", {"topk": 2}), Named("TopkAcc", {"topk": [1, 2]})], class_num=3)
    metrics.update(paddle.to_tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), paddle.to_tensor([1, 2]))
    assert list(metrics.compute().items()) == [("top2", 0.5), ("top1", 0.0)]
    assert metrics.local() == metrics.compute()
    assert metrics.names() == ["top2", "top1"]
    metrics.reset()
    metrics.update(paddle.to_tensor([[3.0, 2.0, 1.0]]), paddle.to_tensor([0]))
    assert metrics.compute() == {"top2": 1.0, "top1": 1.0}


def test_no_metric_answers_nothing() -> None:
    metrics = build_metrics([], class_num=3)
    metrics.update(paddle.to_tensor([[3.0, 2.0, 1.0]]), paddle.to_tensor([0]))
    assert (len(metrics), metrics.names(), metrics.compute(), metrics.local()) == (0, [], {}, {})


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Named("TopkAcc", {"topk": 0}), "topk is a whole number of at least 1, or a list of them; got 0"),
        (Named("TopkAcc", {"topk": []}), "topk is a whole number of at least 1, or a list of them; got []"),
        (Named("TopkAcc", {"topk": [1, True]}), "topk is a whole number of at least 1"),
        (Named("TopkAcc", {"topk": [5]}), "topk [5] asks for more than the 3 classes of class_num; give topk: [1]"),
        (Named("TopkAcc", {"top": 1}), "TopkAcc has no argument 'top'; did you mean 'topk'?"),
        (Named("TopAcc"), "unknown metric 'TopAcc'; did you mean 'TopkAcc'?"),
    ],
)
def test_a_bad_entry_is_refused_under_its_key(component: Named, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_metrics([component], class_num=3)
    assert str(caught.value).startswith("Metric.Eval.0.TopkAcc: ")
    assert message in str(caught.value)

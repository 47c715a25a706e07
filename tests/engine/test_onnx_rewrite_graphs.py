"""The rewritings on small graphs that no network here has: exact where they act, and silent where they must not."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ppcls.engine.onnx_graph import Graph
from ppcls.engine.onnx_rewrite import fold_batch_norms, regroup_sums, resize_at_once

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from made_graph import Made, rewritten


def kinds(graph: Graph) -> Counter[str]:
    return Counter(node.op_type for node in graph.nodes)


def resize(made: Made, x: str, times: int) -> str:
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return made.node("Resize", x, "", made.fixed(np.array([1, 1, times, times], "f4")), **how)


def mean(made: Made, x: str, factor: int) -> str:
    return made.node("AveragePool", x, kernel_shape=[factor, factor], strides=[factor, factor])


def test_a_convolutions_own_bias_is_scaled_with_its_weight(tmp_path: Path) -> None:
    made = Made()
    y = made.node("Relu", made.norm(made.conv("x", 3, 4), 4))
    assert kinds(rewritten(made, fold_batch_norms, tmp_path, y)) == {"Conv": 1, "Relu": 1}


def test_a_shift_goes_into_the_low_path(tmp_path: Path) -> None:
    made = Made()
    low = resize(made, made.conv(mean(made, "x", 2), 3, 4), 2)
    y = made.node("Relu", made.norm(made.node("Add", made.conv("x", 3, 4), low), 4))
    assert "BatchNormalization" not in kinds(rewritten(made, fold_batch_norms, tmp_path, y))


@pytest.mark.parametrize("read", ["by the answer", "twice"])
def test_what_somebody_else_reads_is_not_scaled(read: str, tmp_path: Path) -> None:
    made = Made()
    conv = made.conv("x", 3, 4)
    y = made.node("Relu", made.norm(conv, 4))
    outputs = [y, conv] if read == "by the answer" else [made.node("Add", y, conv)]
    assert kinds(rewritten(made, fold_batch_norms, tmp_path, *outputs))["BatchNormalization"] == 1


def test_a_norm_that_is_the_answer_stays(tmp_path: Path) -> None:
    made = Made()
    y = made.norm(made.conv("x", 3, 4), 4)
    assert kinds(rewritten(made, fold_batch_norms, tmp_path, y))["BatchNormalization"] == 1


def test_a_norm_in_training_mode_stays(tmp_path: Path) -> None:
    made = Made(opset=14)
    y = made.node("Relu", made.norm(made.conv("x", 3, 4), 4, training_mode=1))
    made.save(tmp_path / "trains.onnx", y)
    graph = Graph(tmp_path / "trains.onnx")
    fold_batch_norms(graph)
    assert kinds(graph)["BatchNormalization"] == 1


def test_a_norm_of_some_channels_stays(tmp_path: Path) -> None:
    made = Made()
    bounds = [made.fixed(np.array([number])) for number in (0, 2, 1)]
    y = made.node("Relu", made.norm(made.node("Slice", made.conv("x", 3, 4), *bounds), 2))
    assert kinds(rewritten(made, fold_batch_norms, tmp_path, y))["BatchNormalization"] == 1


@pytest.mark.parametrize("times", [2, 4])
def test_sums_are_regrouped_around_upsampling_by_two_alone(times: int, tmp_path: Path) -> None:
    made = Made(side=8)
    low = mean(made, "x", times)
    terms = [resize(made, made.conv(low, 3, 4), times) for _ in range(2)]
    y = made.node("Relu", made.node("Add", made.node("Add", made.conv("x", 3, 4), terms[0]), terms[1]))
    assert kinds(rewritten(made, regroup_sums, tmp_path, y))["Resize"] == (1 if times == 2 else 2)


@pytest.mark.parametrize("counts", [[1, 1, 1, 2, 1, 2], [1, 1, 1, 4, 1, 1]])
def test_only_a_repetition_in_both_directions_becomes_a_resize(counts: list[int], tmp_path: Path) -> None:
    made = Made()
    first = made.node("Reshape", made.conv("x", 3, 4), made.fixed(np.array([0, 0, 6, 1, 6, 1])))
    expanded = made.node("Expand", first, made.fixed(np.array(counts)))
    y = made.node("Relu", made.node("Reshape", expanded, made.fixed(np.array([0, 0, 12, 12]))))
    found = kinds(rewritten(made, resize_at_once, tmp_path, y))
    assert (found["Resize"], found["Reshape"]) == ((1, 0) if counts[-1] == 2 else (0, 2))

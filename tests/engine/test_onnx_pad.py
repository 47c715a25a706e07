"""Zero channels in an ONNX graph: only where each reader and writer can bear them, and never in an answer."""

from pathlib import Path

import numpy as np
import pytest

from ppcls.engine.onnx_pad import pad_channels

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from made_graph import Made, rewritten  # noqa: E402  which needs both


def padded(made: Made, output: str, folder: Path) -> list[tuple[int, int]]:
    """Pad to multiples of 8 and compare answers; channels out and in of each convolution's weight afterwards."""
    graph = rewritten(made, lambda graph: pad_channels(graph, 8), folder, made.node("Flatten", output))
    weights = [graph.constants.get(node.input[1]) for node in graph.nodes if node.op_type == "Conv"]
    return [weight.shape[:2] for weight in weights if weight is not None]


def test_what_works_on_each_channel_alone_is_padded(tmp_path: Path) -> None:
    made = Made()
    y = made.node("Relu", made.conv("x", 3, 5))
    y = made.conv(y, 5, 5, group=5)
    y = made.node("BatchNormalization", y, *(made.constant(5) for _ in range(4)))
    gate = made.node("Sigmoid", made.conv(made.node("GlobalAveragePool", y), 5, 5))
    y = made.node("Mul", made.node("Add", y, y), gate)
    y = made.node("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    assert padded(made, made.conv(y, 5, 7), tmp_path) == [(8, 3), (8, 1), (8, 8), (7, 8)]


@pytest.mark.parametrize(
    "kind",
    [
        "grouped",
        "concat",
        "reshape",
        "read twice",
        "scaled by a constant",
        "resized to sizes",
        "gated by one channel",
        "a computed weight",
    ],
)
def test_what_others_read_keeps_its_channels(kind: str, tmp_path: Path) -> None:
    made = Made()
    first = made.conv("x", 3, 6)
    if kind == "grouped":
        y = made.conv(first, 6, 6, group=2)
    elif kind == "concat":
        y = made.node("Concat", first, first, axis=1)
    elif kind == "reshape":
        y = made.node("Flatten", first)
    elif kind == "read twice":
        y = made.node("Flatten", made.node("Add", first, made.conv(first, 6, 6)))
    elif kind == "resized to sizes":
        y = made.conv(made.node("Resize", first, "", "", made.fixed(np.array([2, 6, 3, 3])), mode="nearest"), 6, 2)
    elif kind == "gated by one channel":
        y = made.conv(made.node("Mul", first, made.node("Sigmoid", made.conv("x", 3, 1))), 6, 2)
    elif kind == "a computed weight":
        weight = made.node("Exp", made.constant(4, 6, 1, 1))
        y = made.node("Conv", first, weight)
    else:
        y = made.node("Add", first, made.constant(1, 6, 1, 1))
    assert (6, 3) in padded(made, made.node("Relu", y), tmp_path)


def test_what_enters_is_not_padded(tmp_path: Path) -> None:
    made = Made()
    assert padded(made, made.conv(made.node("Relu", "x"), 3, 4), tmp_path) == [(4, 3)]


def test_one_constant_of_two_layers_is_padded_for_each(tmp_path: Path) -> None:
    made = Made()
    shared = made.constant(5, 5, 1, 1)
    y = made.conv("x", 3, 5)
    for _ in range(2):
        y = made.node("Relu", made.node("Conv", y, shared))
    assert padded(made, made.conv(y, 5, 2), tmp_path) == [(8, 3), (8, 8), (8, 8), (2, 8)]

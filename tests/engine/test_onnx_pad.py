"""Zero channels in an ONNX graph: only where each reader and writer can bear them, and never in an answer."""

from pathlib import Path

import numpy as np
import pytest

from ppcls.engine.onnx_graph import Graph
from ppcls.engine.onnx_pad import pad_channels

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

DRAW = np.random.default_rng(0)


class Made:
    """A graph in the making; every constant is drawn."""

    def __init__(self) -> None:
        self.nodes, self.constants = [], []

    def constant(self, *shape: int) -> str:
        name = f"c{len(self.constants)}"
        values = DRAW.uniform(0.5, 1.5, shape).astype("f4")  # positive, as variances are
        self.constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, channels_in: int, channels_out: int, group: int = 1) -> str:
        weight = self.constant(channels_out, channels_in // group, 1, 1)
        return self.node("Conv", x, weight, self.constant(channels_out), group=group)

    def save(self, path: Path, output: str) -> None:
        value = onnx.helper.make_tensor_value_info
        float32 = onnx.TensorProto.FLOAT
        ends = [value("x", float32, ["N", 3, 6, 6])], [value(self.node("Flatten", output), float32, ["N", "values"])]
        graph = onnx.helper.make_graph(self.nodes, "made", *ends, self.constants)
        onnx.save(
            onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), str(path)
        )


def padded(made: Made, output: str, folder: Path) -> list[tuple[int, int]]:
    """Pad to multiples of 8 and compare answers; channels out and in of each convolution's weight afterwards."""
    paths = [folder / "before.onnx", folder / "after.onnx"]
    made.save(paths[0], output)
    graph = Graph(paths[0])
    pad_channels(graph, 8)
    graph.save(paths[1])
    images = DRAW.standard_normal((2, 3, 6, 6), dtype="f4")
    before, after = (onnxruntime.InferenceSession(str(path)).run(None, {"x": images})[0] for path in paths)
    np.testing.assert_allclose(after, before, rtol=1e-5)
    shapes = {tensor.name: tensor.dims for tensor in onnx.load(str(paths[1])).graph.initializer}
    return [tuple(shapes[node.input[1]][:2]) for node in graph.nodes if node.op_type == "Conv"]


def test_what_works_on_each_channel_alone_is_padded(tmp_path: Path) -> None:
    made = Made()
    y = made.node("Relu", made.conv("x", 3, 5))
    y = made.conv(y, 5, 5, group=5)
    y = made.node("BatchNormalization", y, *(made.constant(5) for _ in range(4)))
    gate = made.node("Sigmoid", made.conv(made.node("GlobalAveragePool", y), 5, 5))
    y = made.node("Mul", made.node("Add", y, y), gate)
    y = made.node("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    assert padded(made, made.conv(y, 5, 7), tmp_path) == [(8, 3), (8, 1), (8, 8), (7, 8)]


@pytest.mark.parametrize("kind", ["grouped", "concat", "reshape", "read twice", "scaled by a constant"])
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

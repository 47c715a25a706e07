"""Small ONNX graphs, and the answers of ONNX Runtime before and after they are rewritten."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ppcls.engine.onnx_graph import Graph

DRAW = np.random.default_rng(0)


class Made:
    """A graph in the making, whose input is ``x``, ``[N, 3, side, side]``; every constant is drawn."""

    def __init__(self, side: int = 6, opset: int = 13) -> None:
        self.side, self.opset = side, opset
        self.nodes, self.constants = [], []

    def constant(self, *shape: int) -> str:
        return self.fixed(DRAW.uniform(0.5, 1.5, shape).astype("f4"))  # positive, as variances are

    def fixed(self, values: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, channels_in: int, channels_out: int, group: int = 1) -> str:
        weight = self.constant(channels_out, channels_in // group, 1, 1)
        return self.node("Conv", x, weight, self.constant(channels_out), group=group)

    def norm(self, x: str, channels: int, **attributes: object) -> str:
        return self.node("BatchNormalization", x, *(self.constant(channels) for _ in range(4)), **attributes)

    def save(self, path: Path, *outputs: str) -> None:
        value = onnx.helper.make_tensor_value_info
        float32 = onnx.TensorProto.FLOAT
        ranks = [["N", "values"] if name.startswith("Flatten") else ["N", "C", "H", "W"] for name in outputs]
        ends = [value(name, float32, rank) for name, rank in zip(outputs, ranks, strict=True)]
        start = value("x", float32, ["N", 3, self.side, self.side])
        graph = onnx.helper.make_graph(self.nodes, "made", [start], ends, self.constants)
        opset = onnx.helper.make_opsetid("", self.opset)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))


def rewritten(made: Made, rewriting: Callable[[Graph], None], folder: Path, *outputs: str) -> Graph:
    """The graph afterwards, once it is clear that it answers as before."""
    paths = [folder / "before.onnx", folder / "after.onnx"]
    made.save(paths[0], *outputs)
    graph = Graph(paths[0])
    rewriting(graph)
    graph.save(paths[1])
    images = DRAW.standard_normal((2, 3, made.side, made.side), dtype="f4")
    before, after = (onnxruntime.InferenceSession(str(path)).run(None, {"x": images}) for path in paths)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)
    return graph

"""An ONNX graph that can be rewritten: nodes in order, constants by name."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class Graph:
    """What an ONNX file computes; constants are arrays, and no node only passes a value on.

    Input and output names and the free batch size stay as they are. Needs the onnx package.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self._model: ModelProto = onnx.load(str(path))
        self.constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in self._model.graph.initializer}
        self.outputs = {value.name for value in self._model.graph.output}
        self.nodes: list[NodeProto] = []
        same: dict[str, str] = {}
        for node in self._model.graph.node:
            node.input[:] = [same.get(name, name) for name in node.input]
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
            elif node.op_type == "Identity" and node.output[0] not in self.outputs:
                same[node.output[0]] = node.input[0]
            else:
                self.nodes.append(node)

    def save(self, path: Path) -> None:
        """Write what the outputs depend on, checked by onnx's own checker."""
        import onnx

        model = self._as_model()
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))

    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Shapes as far as onnx infers them; a free size is a text, and an unknown one is ``""``."""
        import onnx

        graph = onnx.shape_inference.infer_shapes(self._as_model()).graph
        values = (*graph.value_info, *graph.output)
        return {
            value.name: tuple(size.dim_param or size.dim_value or "" for size in value.type.tensor_type.shape.dim)
            for value in values
        }

    def producer(self, name: str, op_type: str) -> "NodeProto | None":
        """The node of this type that writes a value."""
        return next((node for node in self.nodes if node.op_type == op_type and name in node.output), None)

    def sole(self, name: str) -> "NodeProto | None":
        """The node that writes a value which exactly one node reads, once, and nobody outside."""
        if name in self.outputs or sum(list(node.input).count(name) for node in self.nodes) != 1:
            return None
        return next((node for node in self.nodes if name in node.output), None)

    def is_crop(self, node: "NodeProto") -> bool:
        """Whether a node is a Slice that leaves all channels."""
        axes = self.constants.get(node.input[3]) if node.op_type == "Slice" and len(node.input) > 3 else None
        return axes is not None and set(axes.tolist()) <= {2, 3}

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant, under a longer name where that one is taken; its name."""
        while name in self.constants and not np.array_equal(self.constants[name], value):
            name += "_"
        self.constants[name] = value
        return name

    def replace(self, old: "NodeProto", new: list["NodeProto"]) -> None:
        """Put nodes in the place of one; the last of them writes what that one wrote."""
        at = next(index for index, node in enumerate(self.nodes) if node is old)
        self.nodes[at : at + 1] = new

    def bypass(self, node: "NodeProto") -> None:
        """Take a node out; who read its output reads its first input."""
        self.nodes = [other for other in self.nodes if other is not node]
        for other in self.nodes:
            other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]

    def prune(self) -> None:
        """Take out what no output depends on."""
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in needed}

    def _as_model(self) -> "ModelProto":
        import onnx

        self.prune()
        model = type(self._model)()
        model.CopyFrom(self._model)
        for field in ("node", "initializer", "value_info"):
            model.graph.ClearField(field)
        model.graph.node.extend(self.nodes)
        tensors = [onnx.numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        model.graph.initializer.extend(tensors)
        return model

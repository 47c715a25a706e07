"""Channels of an ONNX graph zero-padded to whole vectors of a processor, which changes no answer.

ONNX Runtime computes in blocks of 8 channels (AVX2) or 16 (AVX-512) and falls back to slower code, with a reordering
before and after, where an operator in a row has another number; OpenVINO handles any, and only has more to compute.

A convolution makes a padded channel from zero weights and reads it with zero weights; what stands between works on each
channel alone. Values that something else reads or writes keep their channels, as do the graph's inputs and outputs.
"""

from typing import TYPE_CHECKING

import numpy as np

from ppcls.engine.onnx_graph import Graph

if TYPE_CHECKING:
    from onnx import NodeProto

# Operators that treat each channel alone, by how many values they read besides constants.
_ONE = (
    *("AveragePool", "BatchNormalization", "Clip", "GlobalAveragePool", "HardSigmoid", "MaxPool", "Relu", "Resize"),
    "Sigmoid",
)
_TWO = ("Add", "Mul")


def pad_channels(graph: Graph, multiple: int) -> None:
    """Pad each value ``[N, C, H, W]`` that only convolutions and channel-wise operators touch to a multiple."""
    groups = _Groups(graph, multiple)
    for node in graph.nodes:
        more = groups.more(node.output[0])
        if node.op_type == "BatchNormalization" and more:
            _replace_constants(graph, node, [[more]] * 4, fillers=(0, 0, 0, 1))
        elif node.op_type == "Conv" and all(name in graph.constants for name in node.input[1:]):
            more_in = 0 if _is_depthwise(graph, node) else groups.more(node.input[0])
            if more or more_in:
                _pad_convolution(graph, node, more, more_in)


def _pad_convolution(graph: Graph, conv: "NodeProto", more: int, more_in: int) -> None:
    is_depthwise = _is_depthwise(graph, conv)
    _replace_constants(graph, conv, [[more, more_in], [more]], fillers=(0, 0))
    for attribute in conv.attribute:
        if attribute.name == "group" and is_depthwise:
            attribute.i += more


def _replace_constants(graph: Graph, node: "NodeProto", more: list[list[int]], fillers: tuple[float, ...]) -> None:
    """Lengthen the first axes of a node's constants; others that read them keep theirs."""
    for at, name in enumerate(node.input[1:], start=1):
        array = _padded(graph.constants[name], more[at - 1], fillers[at - 1])
        node.input[at] = graph.constant(f"{node.output[0]}.padded.{at}", array)


def _padded(array: np.ndarray, more: list[int], filler: float = 0.0) -> np.ndarray:
    """``array`` with ``more`` entries at the end of its first axes."""
    widths = [(0, count) for count in more] + [(0, 0)] * (array.ndim - len(more))
    return np.pad(array, widths, constant_values=filler)


def _group(conv: "NodeProto") -> int:
    return next((attribute.i for attribute in conv.attribute if attribute.name == "group"), 1)


def _is_depthwise(graph: Graph, conv: "NodeProto") -> bool:
    return 1 < _group(conv) == len(graph.constants[conv.input[1]])


def _values(graph: Graph, node: "NodeProto") -> int:
    """How many values a channel-wise operator reads and writes; 0 for any other."""
    if node.op_type in _TWO:
        return 3
    if node.op_type == "Resize" and len(node.input) > 3:
        return 0  # its sizes name the channels
    return 2 if node.op_type in _ONE or graph.is_crop(node) else 0


class _Groups:
    """Values that must have the same channels, and whether those may be padded."""

    def __init__(self, graph: Graph, multiple: int) -> None:
        self._parents: dict[str, str] = {}
        shapes = graph.shapes()
        made = {name for node in graph.nodes for name in node.output}
        pinned = set(graph.outputs)
        widths: dict[str, set[int]] = {}
        for node in graph.nodes:
            values = [name for name in (*node.input, *node.output) if name and name not in graph.constants]
            if not self._joins(graph, node, values):
                pinned.update(values)
            pinned.update(name for name in values if name not in made)
        for name in made:
            shape = shapes.get(name, ())
            if len(shape) == 4 and isinstance(shape[1], int):
                widths.setdefault(self._root(name), set()).add(shape[1])
            else:
                pinned.add(name)
        kept = {self._root(name) for name in pinned}
        self._more = {
            root: -min(found) % multiple for root, found in widths.items() if len(found) == 1 and root not in kept
        }

    def more(self, name: str) -> int:
        """How many channels are added to a value."""
        return self._more.get(self._root(name), 0)

    def _joins(self, graph: Graph, node: "NodeProto", values: list[str]) -> bool:
        """Whether the values of a node may be padded; joins those that it reads and writes channel by channel."""
        if node.op_type == "Conv":
            if any(name not in graph.constants for name in node.input[1:]):
                return False
            if not _is_depthwise(graph, node):
                return _group(node) == 1
        elif len(values) != _values(graph, node):
            return False
        for name in values[1:]:
            one, other = self._root(name), self._root(values[0])
            if one != other:
                self._parents[one] = other
        return True

    def _root(self, name: str) -> str:
        while name in self._parents:
            name = self._parents[name]
        return name

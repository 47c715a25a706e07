"""Exact rewritings of an exported ONNX graph, after which engines have fewer and cheaper operators.

Only the order of summation changes. With U nearest upsampling by 2 and a batch norm that scales by s and shifts by b:

* ``s (W_hh h + U(W_lh l)) + b = (s W_hh) h + U((s W_lh) l + b)``: no batch norm, and a shift of a quarter the size;
* U as one Resize with constant scales, where Paddle exports a reshape, an expansion and a reshape;
* ``x + (h + U(l))`` becomes ``(x + U(l)) + h``, as engines add to what a convolution writes and apply the activation
  in the same pass; in it ``U(l) + U(m)`` becomes ``U(l + m)``.
"""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ppcls.engine.onnx_graph import Graph
from ppcls.engine.onnx_pad import pad_channels
from ppcls.utils.errors import PpclsError

if TYPE_CHECKING:
    from onnx import NodeProto

OPSET = 13  # where the rewritten Resize needs no region
_SCALES = np.array([1, 1, 2, 2], np.float32)
_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def rewrite(path: Path, multiple: int = 1) -> None:
    """Rewrite an ONNX file in its place.

    Args:
        multiple: pad channels with zeros to multiples of this.
    Raises:
        PpclsError: the onnx package is missing.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise PpclsError(f"--optimize needs onnx ({error}); pip install onnx", "output") from error
    graph = Graph(path)
    resize_at_once(graph)
    fold_batch_norms(graph)
    regroup_sums(graph)
    if multiple > 1:
        pad_channels(graph, multiple)
    graph.save(path)


def resize_at_once(graph: Graph) -> None:
    """Each ``[N, C, H, W]`` -> ``[N, C, H, 1, W, 1]`` -> ``[N, C, H, 2, W, 2]`` -> ``[N, C, 2H, 2W]`` as a Resize."""
    shapes = graph.shapes()
    for last in [node for node in graph.nodes if node.op_type == "Reshape"]:
        expand = graph.producer(last.input[0], "Expand")
        first = graph.producer(expand.input[0], "Reshape") if expand else None
        if first is None or not _doubles(graph, [first, expand, last], shapes.get(first.input[0], ())):
            continue
        graph.replace(last, [_resize(graph, first.input[0], last.output[0])])
    graph.prune()  # the sizes are computed from values that a batch norm needs for itself


def _doubles(graph: Graph, nodes: "list[NodeProto]", shape: tuple[int | str, ...]) -> bool:
    """Whether reshape, expansion and reshape of a value ``[N, C, H, W]`` repeat each pixel in both directions."""
    first, expand, last = nodes
    inner, outer = (graph.constants.get(node.input[1], np.zeros(0)).tolist() for node in (first, last))
    if len(shape) != 4 or not all(isinstance(size, int) for size in shape[2:]):
        return False
    height, width = shape[2:]
    if inner != [0, 0, height, 1, width, 1] or outer != [0, 0, 2 * height, 2 * width]:
        return False
    times = _constants_behind(graph, expand.input[1])
    return len(times) == 1 and np.abs(times[0]).tolist() == [1, 1, 1, 2, 1, 2]


def _constants_behind(graph: Graph, name: str) -> list[np.ndarray]:
    """The constants that a shape is the maximum of: -1, for a size that stays, becomes it so."""
    if name in graph.constants:
        return [graph.constants[name]]
    node = graph.producer(name, "Cast") or graph.producer(name, "Max")
    return [constant for source in (node.input if node else ()) for constant in _constants_behind(graph, source)]


def _resize(graph: Graph, source: str, target: str) -> "NodeProto":
    from onnx import helper

    inputs = [source, "", graph.constant("upsample.scales", _SCALES)]
    return helper.make_node("Resize", inputs, [target], name=f"{target}.resize", **_NEAREST)


def _is_double(graph: Graph, node: "NodeProto | None") -> bool:
    """Whether a node is a Resize as ``_resize`` makes it."""
    if node is None or node.op_type != "Resize" or len(node.input) != 3 or node.input[2] not in graph.constants:
        return False
    how = {attribute.name: attribute.s.decode() for attribute in node.attribute}
    return how == _NEAREST and graph.constants[node.input[2]].tolist() == _SCALES.tolist()


class _Source(NamedTuple):
    """A convolution whose output, upsampled where it ``is_low``, is a term of a sum."""

    conv: "NodeProto"
    is_low: bool


def fold_batch_norms(graph: Graph) -> None:
    """Fold each batch norm whose input is a sum of nothing but convolutions, of which it is the only reader."""
    for norm in [node for node in graph.nodes if node.op_type == "BatchNormalization"]:
        sources = _sources(graph, norm.input[0], is_low=False)
        if norm.output[0] in graph.outputs or not sources or _trains(norm):
            continue
        weight, bias, mean, variance = (graph.constants[name].astype(np.float64) for name in norm.input[1:])
        (epsilon,) = [attribute.f for attribute in norm.attribute if attribute.name == "epsilon"] or [1e-5]
        scale = weight / np.sqrt(variance + epsilon)
        shifted = next((source for source in sources if source.is_low), sources[0])
        for source in sources:
            _scale(graph, source.conv, scale, bias - mean * scale if source is shifted else None)
        graph.bypass(norm)


def _trains(norm: "NodeProto") -> bool:
    return len(norm.output) > 1 or any(field.name == "training_mode" and field.i for field in norm.attribute)


def _sources(graph: Graph, name: str, *, is_low: bool) -> list[_Source]:
    """The convolutions whose sum a value is; none if something else is in it, or somebody else reads a part."""
    node = graph.sole(name)
    if node is None:
        return []
    if node.op_type == "Conv":
        is_known = all(constant in graph.constants for constant in node.input[1:])
        return [_Source(node, is_low)] if is_known else []
    if node.op_type == "Add":
        parts = [_sources(graph, part, is_low=is_low) for part in node.input]
        return list(chain(*parts)) if all(parts) else []
    if _is_double(graph, node) or graph.is_crop(node):
        return _sources(graph, node.input[0], is_low=is_low or node.op_type == "Resize")
    return []


def _scale(graph: Graph, conv: "NodeProto", scale: np.ndarray, shift: np.ndarray | None) -> None:
    """Scale what a convolution writes, channel by channel, and add ``shift``."""
    kept = graph.constants[conv.input[1]].dtype
    weight = graph.constants[conv.input[1]] * scale[:, None, None, None]
    bias = graph.constants[conv.input[2]] * scale if len(conv.input) > 2 else None
    if shift is not None:
        bias = shift if bias is None else bias + shift
    arrays = {"weight": weight} | ({} if bias is None else {"bias": bias})
    names = [graph.constant(f"{conv.output[0]}.{kind}", array.astype(kept)) for kind, array in arrays.items()]
    conv.input[:] = [conv.input[0], *names]


def regroup_sums(graph: Graph) -> None:
    """In sums of three terms or more with an upsampled one: upsample once, and add convolutions at last."""
    shapes = graph.shapes()
    for root in [node for node in graph.nodes if node.op_type == "Add"]:
        if not any(node is root for node in graph.nodes) or _is_inner(graph, root):
            continue
        terms = [term for name in root.input for term in _terms(graph, name)]
        full = shapes.get(root.output[0], ())
        is_plain = all(len(shapes.get(term, ())) == 4 and shapes[term][1:] == full[1:] for term in terms)
        if is_plain and len(terms) > 2:
            _regroup(graph, root, terms)


def _is_inner(graph: Graph, node: "NodeProto") -> bool:
    readers = [other.op_type for other in graph.nodes if node.output[0] in other.input]
    return graph.sole(node.output[0]) is not None and readers == ["Add"]


def _terms(graph: Graph, name: str) -> list[str]:
    node = graph.sole(name)
    if node is None or node.op_type != "Add":
        return [name]
    return [term for part in node.input for term in _terms(graph, part)]


def _regroup(graph: Graph, root: "NodeProto", terms: list[str]) -> None:
    from onnx import helper

    sole = {term: graph.sole(term) for term in terms}
    upsampled = [term for term in terms if _is_double(graph, sole[term])]
    if not upsampled:
        return
    target, new = root.output[0], []

    def total(names: list[str], result: str) -> str:
        """Add from left to right, the last sum under the name ``result``; the name of the sum."""
        left = names[0]
        for number, right in enumerate(names[1:], start=2):
            name = result if number == len(names) else f"{result}.{number}"
            new.append(helper.make_node("Add", [left, right], [name], name=f"{name}.add"))
            left = name
        return left

    convs = [term for term in terms if sole[term] is not None and sole[term].op_type == "Conv"]
    others = [term for term in terms if term not in (*upsampled, *convs)]
    is_all = len(upsampled) == len(terms)
    low = total([sole[term].input[0] for term in upsampled], f"{target}.low")
    new.append(_resize(graph, low, target if is_all else f"{target}.upsampled"))
    if not is_all:
        total([*others, f"{target}.upsampled", *convs], target)
    graph.replace(root, new)

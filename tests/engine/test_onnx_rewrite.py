"""Rewritten ONNX programs: the network's answers, from fewer and cheaper operators."""

from collections import Counter
from pathlib import Path

import numpy as np
import paddle
import pytest
from tiny_run import run, train
from zoo import calibrate

from ppcls.arch import build_model
from ppcls.config import Component
from ppcls.config.schema import ArchConfig
from ppcls.engine.export import ExportPlan, export
from ppcls.registry import BACKBONES
from ppcls.utils.runners import onnx_runner

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("paddle2onnx", reason="paddle2onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# The smallest network of each file, and the side of a picture; 72 makes maps of odd size.
SMALLEST = {
    "OctMobileNetV1_x0_75": ({}, 64),
    "OctMobileNetV2": ({"scale": 0.25, "alpha": 0.5}, 64),
    "OctResNet26": ({}, 64),
    "OctDenseNet121": ({}, 64),
    "ResNet18_vd": ({"alpha": 0.25}, 72),
    "MobileNetV2_x0_25": ({"alpha": 0.5}, 72),
}
OTHERS = {name: ({}, 64) for name in BACKBONES.names() if name.startswith("Oct") and name not in SMALLEST}
NORM_FIRST = ("OctDenseNet", "OctResNe", "OctSE_ResNet")  # some of their batch norms have no convolution before them


def network_of(name: str, arguments: dict[str, float], side: int) -> paddle.nn.Layer:
    """The network, with logits that depend on the picture."""
    paddle.seed(3)
    network = build_model(ArchConfig(component=Component(name, arguments, "Arch"), class_num=10))
    calibrate(network, side)
    return network


def check(name: str, arguments: dict[str, float], side: int, folder: Path) -> None:
    """Export with and without rewriting; compare answers and count operators."""
    network = network_of(name, arguments, side)
    graphs = {}
    for optimize in (False, True):
        target = folder / str(optimize)
        export(network, ExportPlan(target, (3, side, side), False, True, {}, optimize))
        graphs[optimize] = onnx.load(str(target / "inference.onnx")).graph
    run_program = onnx_runner(folder / "True" / "inference").run
    for batch in (1, 3):
        images = np.random.default_rng(batch).standard_normal((batch, 3, side, side), dtype="f4")
        with paddle.no_grad():
            expected = network(paddle.to_tensor(images)).numpy()
        assert np.abs(run_program(images) - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max()
    plain, rewritten = (Counter(node.op_type for node in graphs[optimize].node) for optimize in (False, True))
    assert plain["Expand"] >= rewritten["Resize"] > 0
    assert not {"Expand", "Constant"} & rewritten.keys()
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graphs[True].initializer}
    for node in graphs[True].node:
        if node.op_type == "Resize":
            assert constants[node.input[2]].tolist() == [1, 1, 2, 2]
            how = {field.name: field.s for field in node.attribute}
            assert (how["coordinate_transformation_mode"], how["nearest_mode"]) == (b"asymmetric", b"floor")
    makers = {output: node for node in graphs[True].node for output in node.output}
    readers = Counter(value for node in graphs[True].node for value in node.input)
    norms = [node for node in graphs[True].node if node.op_type == "BatchNormalization"]
    if not name.startswith(NORM_FIRST):
        assert not norms
    assert len(norms) < plain["BatchNormalization"]
    assert not [node for node in norms if makers[node.input[0]].op_type == "Conv" and readers[node.input[0]] == 1]


def test_the_last_term_of_a_sum_is_a_convolution(tmp_path: Path) -> None:
    network = network_of("OctMobileNetV2", {"scale": 0.125, "alpha": 0.5}, 32)
    export(network, ExportPlan(tmp_path / "program", (3, 32, 32), False, True, {}, True))
    nodes = onnx.load(str(tmp_path / "program" / "inference.onnx")).graph.node
    makers = {output: node for node in nodes for output in node.output}

    def terms(node: "onnx.NodeProto") -> list[str]:
        return [makers[name].op_type for name in node.input if name in makers]

    last = [node for node in nodes if node.op_type == "Add" and sorted(terms(node)) == ["Add", "Conv"]]
    inner = [terms(makers[name]) for node in last for name in node.input if makers[name].op_type == "Add"]
    # 1, 2, 3 and 2 blocks have a shortcut and octaves; the widths of their first blocks change.
    assert sum("Resize" in kinds for kinds in inner) == 8
    assert sum(node.op_type == "Resize" for node in nodes) == 13


@pytest.mark.parametrize("name", SMALLEST)
def test_the_smallest_network_of_a_file_answers_as_before(name: str, tmp_path: Path) -> None:
    check(name, *SMALLEST[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_octave_network_answers_as_before(name: str, tmp_path: Path) -> None:
    check(name, *OTHERS[name], tmp_path)


def test_the_command_writes_a_rewritten_program(tmp_path: Path) -> None:
    best = f"Global.pretrained_model={train(tmp_path, 'Global.epochs=1') / 'latest'}"
    assert run("export", tmp_path / "tiny.yaml", best, flags=("--onnx", "--optimize")) == 0
    kinds = Counter(node.op_type for node in onnx.load(str(tmp_path / "out/inference/inference.onnx")).graph.node)
    assert kinds["Resize"] > 0
    assert not kinds["BatchNormalization"]


def padded(name: str, arguments: dict[str, float], side: int, folder: Path) -> list[list[int]]:
    """Check the answers of an export with channels in multiples of 8; the shapes of its convolutions' weights."""
    network = network_of(name, arguments, side)
    export(network, ExportPlan(folder / "program", (3, side, side), False, True, {}, True, 8))
    images = np.random.default_rng(1).standard_normal((3, 3, side, side), dtype="f4")
    with paddle.no_grad():
        expected = network(paddle.to_tensor(images)).numpy()
    assert (
        np.abs(onnx_runner(folder / "program/inference").run(images) - expected).max() <= 1e-4 * np.abs(expected).max()
    )
    graph = onnx.load(str(folder / "program/inference.onnx")).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    return [shapes[node.input[1]] for node in graph.node if node.op_type == "Conv"]


@pytest.mark.parametrize("side", [64, 40])  # with 40, maps of odd size are cropped
def test_padded_channels_are_multiples_and_answers_stay(side: int, tmp_path: Path) -> None:
    shapes = padded("OctMobileNetV2", {"scale": 0.3, "alpha": 0.5}, side, tmp_path)
    assert all(shape[0] % 8 == 0 for shape in shapes[:-1])  # pooling and the classifier read the last
    assert all(shape[1] == 1 or shape[1] % 8 == 0 for shape in shapes[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OTHERS, "OctResNet26", "OctDenseNet121", "ResNeXt50_32x4d"])
def test_every_octave_network_answers_as_before_with_padded_channels(name: str, tmp_path: Path) -> None:
    padded(name, {"alpha": 0.25} if name == "ResNeXt50_32x4d" else {}, 64, tmp_path)


@pytest.mark.parametrize("word", ["8", "16"])
def test_padding_without_rewriting_is_a_wrong_word(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", tmp_path / "tiny.yaml", flags=("--onnx", "--pad-channels", word)) == 2
    expected = "error[usage]: --pad-channels is a part of the rewriting; add --optimize\n"
    assert capsys.readouterr().err == expected


def test_optimize_without_onnx_is_a_wrong_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", tmp_path / "tiny.yaml", flags=("--optimize",)) == 2
    assert capsys.readouterr().err == "error[usage]: --optimize rewrites the ONNX program; add --onnx\n"

"""eval and infer by an exported program: the answers of the network, whoever runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest
from tiny_run import NAME, ROOT, run, write_config
from zoo import calibrate

from ppcls.arch import build_model
from ppcls.config import Component
from ppcls.config.schema import ArchConfig
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.utils.exported import write_manifest

pytest.importorskip("paddle2onnx", reason="paddle2onnx is not installed")
ENGINES = ["paddle", "onnxruntime", "openvino"]
TINY = Component(NAME, {"scale": 0.125, "alpha": 0.5}, "Arch")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with which answers depend on pictures, their export and three pictures."""
    folder = tmp_path_factory.mktemp("run")
    paddle.seed(1)
    network = build_model(ArchConfig(component=TINY, class_num=4))
    calibrate(network, 32)
    paddle.save(network.state_dict(), str(folder / "weights.pdparams"))
    flags = ("--onnx", "--optimize") if find_spec("onnx") else ("--onnx",)
    assert run("export", write_config(folder), weights(folder), flags=flags) == 0
    (folder / "pictures").mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / "pictures" / f"{index}.png"), SyntheticDataset(class_num=4, side=50).pixels(index))
    return folder


def weights(home: Path) -> str:
    return f"Global.pretrained_model={home / 'weights'}"


def answers(home: Path, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """What ``infer`` writes; an exported program needs no weights."""
    words = [f"Infer.infer_imgs={home / 'pictures'}", *([] if flags else [weights(home)])]
    assert run("infer", home / "tiny.yaml", *words, flags=(*flags, "--json", str(folder / "a.json"))) == 0
    return json.loads((folder / "a.json").read_text())


@pytest.mark.parametrize("engine", ENGINES)
def test_infer_answers_as_the_network_does(engine: str, home: Path, tmp_path: Path) -> None:
    if engine != "paddle":
        pytest.importorskip(engine, reason=f"{engine} is not installed")
    expected, got = answers(home, tmp_path), answers(home, tmp_path, "--engine", engine)
    assert np.ptp([answer["scores"][0] for answer in expected]) > 0.01  # they depend on the picture
    for one, other in zip(expected, got, strict=True):
        assert (one["file_name"], one["class_ids"]) == (other["file_name"], other["class_ids"])
        assert one["scores"] == pytest.approx(other["scores"], abs=2e-5)


@pytest.mark.parametrize("add_softmax", [True, False])
def test_eval_gives_the_numbers_of_the_network(add_softmax: bool, home: Path, tmp_path: Path) -> None:
    there = f"Global.save_inference_dir={tmp_path / 'program'}"
    assert run("export", home / "tiny.yaml", weights(home), there, f"Arch.infer_add_softmax={add_softmax}") == 0
    numbers, judged = [], []
    for words, flags in (((weights(home),), ()), ((there,), ("--engine", "paddle"))):
        assert run("eval", home / "tiny.yaml", *words, flags=flags) == 0
        log = (home / "out" / NAME / "eval.log").read_text().splitlines()
        numbers.append([float(number) for number in re.findall(r": (\d+\.\d+)", log[-1].partition("[Avg]")[2])])
        judged.append([line.partition("judging ")[2] for line in log if "judging" in line][-1])
    assert len(numbers[0]) == 4
    assert numbers[1] == pytest.approx(numbers[0], abs=2e-5)
    assert judged[0] == str(home / "weights.pdparams")
    assert judged[1].startswith(f"{tmp_path}/program/inference by Paddle Inference ")


def test_pictures_are_prepared_as_the_export_says(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = answers(home, tmp_path)
    other = home / "other.yaml"
    other.write_text((home / "tiny.yaml").read_text().replace("ResizeImage: {size: 32}", "ResizeImage: {size: 48}"))
    words = [f"Infer.infer_imgs={home / 'pictures'}"]
    flags = ("--engine", "paddle", "--json", str(tmp_path / "b.json"))
    capsys.readouterr()
    assert run("infer", other, *words, flags=flags) == 0
    got = json.loads((tmp_path / "b.json").read_text())
    assert [answer["class_ids"] for answer in got] == [answer["class_ids"] for answer in expected]
    assert "Infer.transforms is ResizeImage {'size': 48}, in " in capsys.readouterr().err
    assert run("infer", other, *words, "Global.use_model_card=False", flags=flags) == 2


def test_weights_beside_an_engine_have_no_effect_and_that_is_said(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"Infer.infer_imgs={home / 'pictures'}", "Global.pretrained_model=/nowhere/w"]
    assert run("infer", home / "tiny.yaml", *words, flags=("--engine", "paddle")) == 0
    assert "Global.pretrained_model has no effect with --engine paddle, which runs " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"softmax": "false"}, "inference.manifest.json: softmax is missing or of another kind; export again"),
        ({"image_shape": 32}, "inference.manifest.json: image_shape is missing or of another kind; export again"),
        ({"preprocessing": [{"NoSuchOp": {}}]}, "NoSuchOp"),
        ({"image_shape": [3, 40, 40]}, "takes pictures of [3, 40, 40], these are [3, 32, 32]"),
    ],
)
def test_a_manifest_that_says_too_little_is_told_in_one_line(
    change: dict[str, Any], says: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "out" / "inference", tmp_path / "copy")
    path = tmp_path / "copy" / "inference.manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert spoilt(home, tmp_path / "copy", "paddle")[0] in (2, 4)
    last = capsys.readouterr().err.splitlines()[-1]
    assert says in last
    assert last.startswith("error[")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"no program", None])
def test_a_program_that_an_engine_cannot_read_is_told_in_one_line(
    engine: str, content: bytes | None, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    shutil.copytree(home / "out" / "inference", tmp_path / "copy")
    if content is None:
        content = without_inputs()
    prefix = tmp_path / "copy" / "inference"
    about = json.loads(Path(f"{prefix}.manifest.json").read_text())
    Path(f"{prefix}.onnx").write_bytes(content)
    write_manifest(prefix, {key: value for key, value in about.items() if key not in ("format", "files")})
    assert spoilt(home, tmp_path / "copy", engine)[0] == 4
    assert re.match(rf"error\[damaged\]: {prefix}.onnx cannot be run: ", capsys.readouterr().err.splitlines()[-1])


def without_inputs() -> bytes:
    """An ONNX program of one constant."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    value = onnx.numpy_helper.from_array(np.zeros([1, 4], np.float32))
    node = onnx.helper.make_node("Constant", [], ["y"], value=value)
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])
    graph = onnx.helper.make_graph([node], "constant", [], [output])
    opset = onnx.helper.make_opsetid("", 13)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def spoilt(home: Path, folder: Path, engine: str, *words: str) -> tuple[int, Path]:
    """Exit code of ``infer`` with the export in ``folder``."""
    there = [f"Global.save_inference_dir={folder}", f"Infer.infer_imgs={home / 'pictures'}", *words]
    return run("infer", home / "tiny.yaml", *there, flags=("--engine", engine)), folder


@pytest.mark.parametrize("engine", ENGINES)
def test_a_missing_export_is_told_in_one_line(
    engine: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = spoilt(home, tmp_path / "nowhere", engine)
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 4
    assert last == f"error[damaged]: Global.save_inference_dir: {folder} is no folder; run ppcls export first"


@pytest.mark.parametrize(("engine", "suffix"), [("paddle", "pdiparams"), ("onnxruntime", "onnx"), ("openvino", "onnx")])
def test_a_damaged_export_is_told_in_one_line(
    engine: str, suffix: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "out" / "inference", tmp_path / "copy")
    path = tmp_path / "copy" / f"inference.{suffix}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, _ = spoilt(home, tmp_path / "copy", engine)
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 4
    assert last.startswith(f"error[damaged]: {path} has {len(data)} bytes, sha256 ")


def test_an_export_without_onnx_says_how_to_get_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", home / "tiny.yaml", weights(home), f"Global.save_inference_dir={tmp_path / 'plain'}") == 0
    assert spoilt(home, tmp_path / "plain", "onnxruntime")[0] == 4
    assert "lists no .onnx; export again with --onnx" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(find_spec("openvino") is not None, reason="openvino is installed")
def test_a_missing_package_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = spoilt(home, home / "out" / "inference", "openvino")
    assert (code, "pip install openvino" in capsys.readouterr().err.splitlines()[-1]) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        "Arch={name: OctMobileNetV2, scale: 0.125, class_num: 4}",
        "Arch={name: OctMobileNetV2, scale: 0.125, class_num: 4, alpha: 0.5, dropout: 0.2}",
    ],
)
def test_an_argument_at_its_default_or_of_the_training_alone_makes_no_other_network(words: str, home: Path) -> None:
    assert spoilt(home, home / "out" / "inference", "paddle", words)[0] == 0


THREADS = """
import os, sys
import numpy as np
from pathlib import Path
from ppcls.utils.runners import onnx_runner
before = len(os.listdir("/proc/self/task"))
runner = onnx_runner(Path(sys.argv[1]))
runner.run(np.zeros([1, 3, 32, 32], np.float32))
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_onnx_runtime_computes_with_the_threads_that_the_user_set(threads: int, home: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    words = [sys.executable, "-c", "import onnxruntime" + THREADS, str(home / "out/inference/inference")]
    environ = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert int(done.stdout) == threads - 1  # beside the one that asks


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["Arch.class_num=5"],
            "is of another network: Arch.class_num is 4 there, 5 here; set Global.save_inference_dir",
        ),
        (["Arch.alpha=0.25"], "is of another network: Arch.alpha is 0.5 there, 0.25 here; set "),
        (["Arch.name=OctMobileNetV1"], "Arch.name is 'OctMobileNetV2' there, 'OctMobileNetV1' here"),
    ],
)
def test_a_program_of_another_network_is_refused(
    words: list[str], says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spoilt(home, home / "out" / "inference", "paddle", *words)[0] == 4
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error[mismatch]: ")
    assert says in last

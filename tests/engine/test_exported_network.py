"""eval and infer by an exported program: the answers of the network, whoever runs it."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest
from tiny_run import NAME, run, train

from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset

pytest.importorskip("paddle2onnx", reason="paddle2onnx is not installed")
ENGINES = ["paddle", "onnxruntime", "openvino"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network, its export and three pictures."""
    folder = tmp_path_factory.mktemp("run")
    best = f"Global.pretrained_model={train(folder) / 'best_model'}"
    flags = ("--onnx", "--optimize") if find_spec("onnx") else ("--onnx",)
    assert run("export", folder / "tiny.yaml", best, flags=flags) == 0
    (folder / "pictures").mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / "pictures" / f"{index}.png"), SyntheticDataset(class_num=4, side=50).pixels(index))
    return folder


def answers(home: Path, folder: Path, *flags: str) -> list[dict[str, list[float]]]:
    """What ``infer`` writes; an exported program needs no weights."""
    words = [f"Infer.infer_imgs={home / 'pictures'}", f"Global.save_inference_dir={home / 'out' / 'inference'}"]
    if not flags:
        words.append(f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}")
    assert run("infer", home / "tiny.yaml", *words, flags=(*flags, "--json", str(folder / "a.json"))) == 0
    return json.loads((folder / "a.json").read_text())


@pytest.mark.parametrize("engine", ENGINES)
def test_infer_answers_as_the_network_does(engine: str, home: Path, tmp_path: Path) -> None:
    if engine != "paddle":
        pytest.importorskip(engine, reason=f"{engine} is not installed")
    expected, got = answers(home, tmp_path), answers(home, tmp_path, "--engine", engine)
    for one, other in zip(expected, got, strict=True):
        assert (one["file_name"], one["class_ids"]) == (other["file_name"], other["class_ids"])
        assert one["scores"] == pytest.approx(other["scores"], abs=2e-5)


@pytest.mark.parametrize("add_softmax", [True, False])
def test_eval_gives_the_numbers_of_the_network(add_softmax: bool, home: Path, tmp_path: Path) -> None:
    best = f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}"
    there = f"Global.save_inference_dir={tmp_path / 'program'}"
    assert run("export", home / "tiny.yaml", best, there, f"Arch.infer_add_softmax={add_softmax}") == 0
    numbers = []
    for words, flags in (((best,), ()), ((there,), ("--engine", "paddle"))):
        assert run("eval", home / "tiny.yaml", *words, flags=flags) == 0
        line = (home / "out" / NAME / "eval.log").read_text().splitlines()[-1]
        numbers.append([float(number) for number in re.findall(r": (\d+\.\d+)", line.partition("[Avg]")[2])])
    assert len(numbers[0]) == 4
    assert numbers[1] == pytest.approx(numbers[0], abs=2e-5)


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
    assert last.startswith(f"error[damaged]: {folder}/inference.manifest.json is missing: ")


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
    best = f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}"
    assert run("export", home / "tiny.yaml", best, f"Global.save_inference_dir={tmp_path / 'plain'}") == 0
    assert spoilt(home, tmp_path / "plain", "onnxruntime")[0] == 4
    assert "lists no .onnx; export again with --onnx" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(find_spec("openvino") is not None, reason="openvino is installed")
def test_a_missing_package_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = spoilt(home, home / "out" / "inference", "openvino")
    assert (code, "pip install openvino" in capsys.readouterr().err.splitlines()[-1]) == (1, True)


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        ("Infer.transforms.1.ResizeImage.size=40", 2, "takes pictures of [3, 32, 32], these are [3, 40, 40]"),
        ("Arch.class_num=5", 4, "has 4 classes, Arch.class_num is 5"),
    ],
)
def test_a_program_of_other_sizes_is_refused(
    word: str, code: int, says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spoilt(home, home / "out" / "inference", "paddle", word)[0] == code
    assert says in capsys.readouterr().err.splitlines()[-1]

"""Pictures of odd sizes and names, and inputs smaller than a network's stride, through the real commands."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from bad_runs import TRAIN, ends, make_pictures
from paddle import nn
from tiny_run import NAME, run, train, write_config

from ppcls.arch import build_model
from ppcls.config import Component
from ppcls.config.schema import ArchConfig

ODD_NAMES = ["a cat.png", "tab\there.png", "é/ü ñ.png", "猫/子猫 2.png", "-o.png", "#1.png", "x" * 200 + ".png"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    train(folder, "Global.epochs=1")
    make_pictures(folder / "pictures")
    for number, name in enumerate(ODD_NAMES):  # each another picture: BatchNorm cannot train on copies of one
        (folder / "pictures" / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / f"pictures/{number}.png", folder / "pictures" / name)
    thin = {"1x1": [1, 1, 3], "1x5000": [1, 5000, 3], "5000x1": [5000, 1, 3]}
    for name, shape in thin.items():
        cv2.imwrite(str(folder / "pictures" / f"{name}.png"), np.full(shape, 77, np.uint8))
    return folder


def best(home: Path) -> str:
    return f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}"


def dataset(home: Path, folder: Path, split: str, names: list[str], resize: str) -> str:
    """The override that reads these pictures, and only these."""
    (folder / "list.txt").write_text("".join(f"{name} {k % 4}\n" for k, name in enumerate(names)), "utf-8")
    where = f"image_root: {home / 'pictures'}, cls_label_path: {folder / 'list.txt'}"
    ops = f"[DecodeImage: {{}}, {resize}, NormalizeImage: {{order: ''}}]"
    return f"DataLoader.{split}.dataset={{name: ImageNetDataset, {where}, transform_ops: {ops}}}"


THIN = ["1x1.png", "1x5000.png", "5000x1.png", "0.png"]


@pytest.mark.parametrize("resize", ["ResizeImage: {size: 32}", "RandCropImage: {size: 32}"])
def test_thin_pictures_train_and_evaluate(home: Path, tmp_path: Path, resize: str) -> None:
    given = [dataset(home, tmp_path, split, THIN, resize) for split in ("Train", "Eval")]
    assert run("train", write_config(tmp_path), *TRAIN, *given) == 0


def test_a_strip_that_would_be_scaled_to_a_billion_values_is_refused_by_name(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = dataset(home, tmp_path, "Eval", THIN, "ResizeImage: {resize_short: 256}")
    text = ends(capsys, 3, "bad-batch", "eval", write_config(tmp_path), best(home), given)
    assert (
        "list.txt:2 1x5000.png: ResizeImage would turn 5000x1 (width x height) into 1280000x256, over 50000000" in text
    )


def test_names_with_blanks_and_letters_of_all_kinds_train_and_evaluate(home: Path, tmp_path: Path) -> None:
    given = [dataset(home, tmp_path, split, ODD_NAMES, "ResizeImage: {size: 32}") for split in ("Train", "Eval")]
    assert run("train", write_config(tmp_path), *TRAIN, *given, "DataLoader.Train.dataset.on_error=stop") == 0


@pytest.mark.parametrize("by", ["folder", "list"])
def test_names_with_blanks_and_letters_of_all_kinds_are_answered_by_name(home: Path, tmp_path: Path, by: str) -> None:
    folder = tmp_path / "mes images é"
    paths = [folder / name for name in ODD_NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / "pictures/0.png", path)
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths), "utf-8")
    asked = f"Infer.infer_imgs={folder}" if by == "folder" else f"Infer.infer_list={tmp_path}/list.txt"
    answers = tmp_path / "answers.json"
    assert run("infer", write_config(tmp_path), best(home), asked, flags=("--json", str(answers))) == 0
    assert {row["file_name"] for row in json.loads(answers.read_text("utf-8"))} == {str(path) for path in paths}


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("arch", ["OctMobileNetV2", "MobileNetV2"])
def test_an_input_below_the_stride_trains_and_answers(tmp_path: Path, arch: str, size: int) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures/0.png"), np.full([5, 5, 3], 77, np.uint8))
    crop = f"[DecodeImage: {{}}, CropImage: {{size: {size}}}, NormalizeImage: {{order: ''}}]"
    given = (
        f"Arch={{name: {arch}, scale: 0.125, class_num: 4}}",
        f"DataLoader.Train.dataset.transform_ops.1.RandCropImage.size={size}",
        f"DataLoader.Eval.dataset.transform_ops={crop}",
        f"Infer.transforms.1.ResizeImage.size={size}",
        f"Global.image_shape=[3,{size},{size}]",
    )
    config = write_config(tmp_path)
    assert run("train", config, *given, *TRAIN) == 0
    weights = f"Global.pretrained_model={tmp_path / 'out' / arch / 'best_model'}"
    answers = tmp_path / "answers.json"
    asked = (weights, f"Infer.infer_imgs={tmp_path / 'pictures'}")
    assert run("eval", config, *given, weights) == 0
    assert run("infer", config, *given, *asked, flags=("--json", str(answers))) == 0
    (answer,) = json.loads(answers.read_text())
    assert len(answer["scores"]) == 2
    assert 0.5 <= sum(answer["scores"]) <= 1  # the upper two of four
    assert run("export", config, *given, weights) == 0


@pytest.mark.parametrize("arch", ["OctMobileNetV2", "MobileNetV2"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (1, 33)])
def test_no_layer_ever_gives_an_empty_map(arch: str, size: tuple[int, int]) -> None:
    network = build_model(ArchConfig(component=Component(arch, {"scale": 0.125}, "Arch"), class_num=4))
    network.eval()
    seen = []
    for layer in network.sublayers():
        if isinstance(layer, nn.Conv2D | nn.BatchNorm2D | nn.AdaptiveAvgPool2D | nn.AvgPool2D | nn.Linear):
            layer.register_forward_post_hook(lambda layer, given, output: seen.append(output.shape))
    logits = network(paddle.rand([2, 3, *size]))
    assert len(seen) > 50
    assert all(min(shape) > 0 for shape in seen)
    assert bool(paddle.isfinite(logits).all())

"""``ppcls bench-data``."""

import json
from pathlib import Path

import cv2
import pytest
import yaml

from ppcls.cli import main
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.speed import BATCH, Stage, cores_needed

NORMALIZE = {"NormalizeImage": {"scale": 1 / 255, "mean": [0.5] * 3, "std": [0.5] * 3, "order": ""}}
EVAL = [{"DecodeImage": {}}, {"ResizeImage": {"resize_short": 40}}, {"CropImage": {"size": 32}}, NORMALIZE]
TRAIN = [{"DecodeImage": {}}, {"RandCropImage": {"size": 32}}, {"RandFlipImage": {}}, NORMALIZE]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config over 24 JPEGs of 200 x 200."""
    pictures = SyntheticDataset(class_num=3, samples=24, side=200)
    lines = []
    for index in range(24):
        cv2.imwrite(str(tmp_path / f"{index}.jpg"), pictures.pixels(index))
        lines.append(f"{index}.jpg {index % 3}\n")
    (tmp_path / "list.txt").write_text("".join(lines))

    def split(ops: list) -> dict:
        lists = {"image_root": str(tmp_path), "cls_label_path": str(tmp_path / "list.txt")}
        dataset = {"name": "ImageNetDataset", **lists, "transform_ops": ops}
        return {"dataset": dataset, "sampler": {"batch_size": 6}, "loader": {"num_workers": 3}}

    document = {
        "Global": {"device": "cpu", "epochs": 1},
        "Arch": {"name": "MobileNetV1_x0_25", "class_num": 3},
        "Loss": {"Train": [{"CELoss": {"weight": 1.0}}], "Eval": [{"CELoss": {"weight": 1.0}}]},
        "Metric": {"Eval": [{"TopkAcc": {"topk": [1]}}]},
        "Optimizer": {"name": "Momentum", "momentum": 0.9, "lr": {"name": "Cosine", "learning_rate": 0.1}},
        "DataLoader": {"Train": split(TRAIN), "Eval": split(EVAL)},
    }
    document["DataLoader"]["Train"]["dataset"]["batch_transform_ops"] = [{"MixupOperator": {"alpha": 0.2}}]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.mark.parametrize(
    ("split", "ops"),
    [
        ("Train", ["DecodeImage", "RandCropImage", "RandFlipImage"]),
        ("Eval", ["DecodeImage", "ResizeImage", "CropImage"]),
    ],
)
def test_every_stage_and_number_of_workers_is_measured(
    config: Path, split: str, ops: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report_file = config.with_name("report.json")
    words = ["bench-data", "-c", str(config), "--split", split, "--json", str(report_file)]
    assert main([*words, "--images-per-second", "1000"]) == 0
    shown = capsys.readouterr().out
    report = json.loads(report_file.read_text())
    assert [stage["name"] for stage in report["stages"]] == ["read", *ops, "batch"]
    assert all(stage["seconds"] > 0 for stage in report["stages"])
    assert {0, 1, 3} <= {row["num_workers"] for row in report["loader"]}
    assert all(row["images_per_second"] > 0 for row in report["loader"])
    busy = sum(stage["seconds"] for stage in report["stages"][:-1])
    assert report["cores_needed"] == pytest.approx(1000 * busy)
    assert f"1000 images/s keep {report['cores_needed']:.1f} cores busy" in shown
    for name in ("read", *ops, "batch", "whole loader"):
        assert name in shown


def test_fast_decode_is_in_what_is_measured(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = config.with_name("report.json")
    words = ["bench-data", "-c", str(config), "-o", "DataLoader.Train.dataset.fast_decode=True", "--json", str(report)]
    assert main(words) == 0
    assert json.loads(report.read_text())["fast_decode"] is True
    document = yaml.safe_load(config.read_text())
    del document["DataLoader"]["Train"]["dataset"]["transform_ops"][1]
    config.write_text(yaml.safe_dump(document))
    assert main(words) == 2  # as a training would end: no op after decoding says what it needs
    assert "fast_decode needs DecodeImage" in capsys.readouterr().err


def test_pictures_that_cannot_be_read_are_left_out_and_none_is_an_error(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = ["-o", "DataLoader.Train.dataset.max_bad_ratio=1.0"]
    (config.parent / "3.jpg").write_bytes(b"no picture")
    assert main(["bench-data", "-c", str(config), *allowed]) == 0
    for index in range(24):
        (config.parent / f"{index}.jpg").write_bytes(b"no picture")
    assert main(["bench-data", "-c", str(config), *allowed]) == 3
    assert "error[bad-image]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("side", "ops", "message"),
    [
        (201, [{"DecodeImage": {}}, NORMALIZE], "pictures of one batch differ: list.txt:"),
        (20, [{"DecodeImage": {}}, {"CropImage": {"size": 32}}, NORMALIZE], ".jpg: CropImage cannot take 32x32"),
    ],
)
def test_a_picture_that_no_batch_takes_is_named(
    config: Path, side: int, ops: list, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = SyntheticDataset(class_num=3, samples=24, side=side)
    for index in range(6, 24):  # after the first batch, which the loader is timed with
        cv2.imwrite(str(config.parent / f"{index}.jpg"), pictures.pixels(index))
    words = ["--split", "Eval", "--pictures", "6", "-o", f"DataLoader.Eval.dataset.transform_ops={json.dumps(ops)}"]
    assert main(["bench-data", "-c", str(config), *words]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error[bad-batch]: ")
    assert message in last


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pictures", "0"], "--pictures is at least 1; got 0"),
        (["--images-per-second", "-5"], "--images-per-second is above 0; got -5.0"),
        (["--images-per-second", "nan"], "--images-per-second is above 0; got nan"),
        (["--json", "."], ". is a folder; name a file to write"),
    ],
)
def test_words_without_sense_are_refused(
    config: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench-data", "-c", str(config), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_batch_is_not_the_workers_work() -> None:
    assert cores_needed([Stage("read", 0.001), Stage("DecodeImage", 0.003), Stage(BATCH, 9.0)], 500) == 2.0

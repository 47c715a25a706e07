"""Every YAML under configs/ is read, and the headline recipes are rehearsed on a made-up folder like ImageNet."""

from pathlib import Path
from typing import Any

import cv2
import pytest

from ppcls.cli import main
from ppcls.config import load_run, resolved_yaml
from ppcls.config.load import load_document
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if "_base_" not in path.parts)
HEADLINE = ("train1.yaml", "train2.yaml", "two_stage.yaml", "train.yaml", "eval.yaml", "infer.yaml")


def sections(document: dict[str, Any], *path: str) -> bool:
    """Whether the document holds something there."""
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return bool(value)


def modes(path: Path) -> list[str]:
    """What the file has the sections for."""
    document = load_document(path)
    has = {
        "train": sections(document, "Optimizer") and sections(document, "DataLoader", "Train"),
        "eval": sections(document, "DataLoader", "Eval"),
        "infer": sections(document, "Infer"),
        "export": sections(document, "Arch"),
    }
    return [mode for mode, is_there in has.items() if is_there]


CASES = [(path, mode) for path in FILES for mode in modes(path)]


def test_every_file_is_good_for_something_beside_export() -> None:
    assert {path for path, mode in CASES if mode != "export"} == set(FILES)


@pytest.mark.parametrize(("path", "mode"), CASES, ids=[f"{path.relative_to(CONFIGS)}-{mode}" for path, mode in CASES])
def test_a_file_is_read_and_its_resolved_form_is_the_same_run(path: Path, mode: str, tmp_path: Path) -> None:
    run = load_run(path, (), mode)
    for stage in run.stages:
        again = tmp_path / "again.yaml"
        again.write_text(resolved_yaml(stage), encoding="utf-8")
        (repeated,) = load_run(again, (), mode).stages
        assert (repeated.config, repeated.folder) == (stage.config, stage.folder)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures in four classes, listed as ImageNet is."""
    root = tmp_path_factory.mktemp("imagenet")
    dataset = SyntheticDataset(class_num=4, side=64)
    names = [f"{split}/{index}.JPEG" for split in ("train", "val") for index in range(4)]
    for index, name in enumerate(names):
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), dataset.pixels(index))
    for split, chosen in (("train", names[:4]), ("val", names[4:])):
        lines = [f"{name} {label}\n" for label, name in enumerate(chosen)]
        (root / f"{split}_list.txt").write_text("".join(lines))
    return root


def small(root: Path, path: Path) -> list[str]:
    """``-o`` lines for the pictures in ``root``: few, small, on the CPU."""
    keys = {"Global.device": "cpu", "Global.pretrained_model": "None", "Global.checkpoints": "None"}
    splits = load_document(path)["DataLoader"]
    sizes = {"RandCropImage": "size", "ResizeImage": "resize_short", "CropImage": "size"}
    for split, name in (("Train", "train_list.txt"), ("Eval", "val_list.txt")):
        keys[f"DataLoader.{split}.dataset.image_root"] = str(root)
        keys[f"DataLoader.{split}.dataset.cls_label_path"] = str(root / name)
        keys[f"DataLoader.{split}.sampler.batch_size"] = "2"
        keys[f"DataLoader.{split}.loader.num_workers"] = "1"
        for number, entry in enumerate(splits[split]["dataset"]["transform_ops"]):
            for op in entry.keys() & sizes.keys():
                keys[f"DataLoader.{split}.dataset.transform_ops.{number}.{op}.{sizes[op]}"] = "64"
    return [word for key, value in keys.items() for word in ("-o", f"{key}={value}")]


@pytest.mark.parametrize("name", HEADLINE)
def test_a_headline_recipe_trains_two_updates_and_judges_a_batch(
    name: str, imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-c", name, "--dry-run", *small(imagenet, CONFIGS / name)]) == 0
    printed = capsys.readouterr().out
    stages = 2 if name == "two_stage.yaml" else 1
    assert printed.count("[dry run] update 2: ") == stages
    assert printed.count("[dry run] one evaluation batch of 2 pictures") == stages
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ImageNet/MobileNetV1/MobileNetV1_x0_25.yaml", "ImageNet/SENet/SE_ResNet18_vd.yaml"])
def test_a_recipe_of_a_plain_family_trains_with_octaves_too(
    name: str, imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [*small(imagenet, CONFIGS / name), "-o", "Arch.alpha=0.5"]
    assert main(["train", "-c", name, "--dry-run", *options]) == 0
    assert "[dry run] update 2: " in capsys.readouterr().out

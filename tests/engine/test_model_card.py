"""A card beside weights: eval, infer and export follow it, and say where the config says otherwise."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from bad_runs import told
from tiny_run import ROOT, run, write_config

from ppcls.arch.official import GLUON, SYMBOL, Conventions
from ppcls.config import load_run
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.engine import Engine
from ppcls.registry import BACKBONES
from ppcls.utils.model_card import ModelCard, card_path, write_card
from ppcls.utils.save_load import model_arrays, write_weights

MEAN = (0.2, 0.3, 0.4)
OWN = [
    {"DecodeImage": {}},
    {"ResizeImage": {"size": 32, "interpolation": "nearest"}},
    {"NormalizeImage": {"mean": MEAN, "order": ""}},
]
KEEPS = "Global.use_model_card=False"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Weights with a card whose epsilon, resizing and mean are not those of the config beside them."""
    network = BACKBONES.get("OctMobileNetV2")(scale=0.125, alpha=0.5, class_num=4)
    target = tmp_path / "w.pdparams"
    arrays = model_arrays(network)
    head = [name for name, array in arrays.items() if array.ndim > 1][-1]
    arrays[head] = arrays[head] * 1e4  # so that answers differ visibly
    write_weights(target, arrays)
    published = {"top1": 72.5, "top5": 90.6, "source": "a paper"}
    write_card(ModelCard("w.params", "0" * 64, "OctMobileNetV2", {"alpha": 0.5}, 0.01, 0.9, OWN, published), target)
    write_config(tmp_path)
    (tmp_path / "pictures").mkdir()
    for index in range(3):
        pixels = SyntheticDataset(class_num=4, side=50).pixels(index)
        cv2.imwrite(str(tmp_path / "pictures" / f"{index}.png"), pixels)
    return tmp_path


def words(home: Path, *more: str) -> list[str]:
    return [f"Global.pretrained_model={home / 'w'}", f"Infer.infer_imgs={home / 'pictures'}", *more]


def engine(home: Path, mode: str, *more: str) -> Engine:
    return Engine(load_run(home / "tiny.yaml", words(home, *more), mode).stages[0], mode)


def norms(engine: Engine) -> set[float]:
    return {layer._epsilon for layer in engine.network.sublayers() if hasattr(layer, "_epsilon")}


def change(home: Path, **entries: object) -> None:
    """The card with other entries."""
    path = home / "w.card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize("mode", ["eval", "infer", "export"])
def test_the_card_comes_first_and_the_log_names_both_values(
    home: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "ppcls"):
        built = engine(home, mode)
    card = str(home / "w.card.json")
    assert f"{card}: weights of w.params; published 72.5 / 90.6 (a paper)" in caplog.text
    assert f"the epsilon of batch norms is 1e-05, in {card} 0.01, which is taken" in caplog.text
    assert "-o Global.use_model_card=False keeps the first" in caplog.text
    assert norms(built) == {0.01}
    judged, named = built.config.DataLoader.Eval.dataset.transform_ops, built.config.Infer.transforms
    if mode == "eval":
        assert [op.name for op in judged] == [next(iter(op)) for op in OWN]
        assert re.search(r"Eval\.dataset\.transform_ops is DecodeImage Normal.*, in .* DecodeImage Resize", caplog.text)
        assert "Infer.transforms" not in caplog.text
    else:
        assert [op.kwargs for op in named] == [*(values for op in OWN for values in op.values()), {}]
        assert re.search(r"Infer\.transforms is ResizeImage {'size': 32}, in .*'nearest'}, which is taken", caplog.text)
        assert re.search(r"is NormalizeImage {'order': ''}, in .* {'mean': \[0\.2, .*'order': ''}, which", caplog.text)
        assert "DataLoader.Eval" not in caplog.text


def test_a_card_is_not_read_where_the_config_says_so(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "w.card.json").write_text("no card at all")
    built = engine(home, "infer", KEEPS)
    assert norms(built) == {1e-5}
    assert built.config.Infer.transforms[1].kwargs == {"size": 32}
    assert "w.card.json" not in caplog.text


def answers(home: Path, *more: str) -> list[dict[str, object]]:
    assert run("infer", home / "tiny.yaml", *words(home, *more), flags=("--json", str(home / "a.json"))) == 0
    return json.loads((home / "a.json").read_text())


def test_answers_are_those_of_a_config_that_says_what_the_card_says(home: Path) -> None:
    by_card = answers(home)
    by_config = answers(home, KEEPS)
    card_path(home / "w.pdparams").unlink()
    assert by_config == answers(home)
    text = (home / "tiny.yaml").read_text().replace("ResizeImage: {size: 32}, NormalizeImage: {order: ''}, ToCHW", "XX")
    lists = f"ResizeImage: {OWN[1]['ResizeImage']}, NormalizeImage: {json.dumps(OWN[2]['NormalizeImage'])}, ToCHW"
    (home / "tiny.yaml").write_text(text.replace("XX", lists))
    spelled_out = engine(home, "infer")
    for layer in spelled_out.network.sublayers():
        if hasattr(layer, "_epsilon"):
            layer._epsilon = 0.01
    spelled_out.infer(json_file=home / "b.json")
    assert by_card == json.loads((home / "b.json").read_text())
    assert by_card != by_config


def test_the_exported_program_and_its_manifest_follow_the_card(home: Path) -> None:
    with_card, without = (engine(home, "export", *more) for more in ([], [KEEPS]))
    with_card.export()
    about = json.loads((home / "out/inference/inference.manifest.json").read_text())
    assert about["preprocessing"] == json.loads(json.dumps([*OWN, {"ToCHWImage": {}}]))
    assert about["weights"]["published"]["top1"] == 72.5
    assert about["weights"]["source"] == "w.params"
    images = np.random.default_rng(0).standard_normal([1, 3, 32, 32]).astype("float32")
    assert not np.allclose(with_card._probabilities(images), without._probabilities(images))


def manifest(home: Path, *more: str) -> dict[str, object]:
    overrides = [f"Global.pretrained_model={home / 'w'}", *more]
    Engine(load_run(home / "tiny.yaml", overrides, "export").stages[0], "export").export()
    return json.loads((home / "out/inference/inference.manifest.json").read_text())


def test_a_manifest_without_sections_for_pictures_says_what_the_card_says_if_it_is_followed(home: Path) -> None:
    document = yaml.safe_load((home / "tiny.yaml").read_text())
    (home / "tiny.yaml").write_text(yaml.safe_dump({key: document[key] for key in ("Global", "Arch")}))
    assert manifest(home)["preprocessing"] == json.loads(json.dumps([*OWN, {"ToCHWImage": {}}]))
    assert not {"preprocessing", "weights"} & manifest(home, KEEPS).keys()


def test_a_card_of_other_weights_or_for_another_network_is_told(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    change(home, arch="ResNet50")
    engine(home, "infer")
    assert f"Arch.name is OctMobileNetV2, in {home / 'w.card.json'} ResNet50" in caplog.text
    network = BACKBONES.get("OctMobileNetV2")(scale=0.125, alpha=0.5, class_num=4)
    write_weights(home / "w.pdparams", model_arrays(network))
    assert engine(home, "infer").card is None
    assert f"{home / 'w.card.json'} was written for other weights than {home / 'w.pdparams'}" in caplog.text


def test_a_training_says_that_it_does_not_follow_the_card(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(home, arch="ResNet50")
    start = f"Arch.pretrained={home / 'w'}"
    assert run("train", home / "tiny.yaml", start, "Global.epochs=2", flags=("--dry-run",)) == 0
    assert "w.card.json lies beside; a training prepares pictures as its config says" in capsys.readouterr().out


HUGE = 10**400
DECODE = {"DecodeImage": {}}
SENSELESS = {
    "no ops": ({"preprocessing": []}, "entries that cannot be: preprocessing"),
    "unknown op": ({"preprocessing": [{"Melt": {}}]}, "preprocessing.0.Melt: unknown transform op 'Melt'"),
    "no arguments": ({"preprocessing": [{"DecodeImage": 3}]}, "preprocessing.0.DecodeImage: expected a mapping"),
    "wrong kind": ({"preprocessing": [DECODE, {"ResizeImage": {"size": "x"}}]}, "1.ResizeImage.size: expected"),
    "not built": ({"preprocessing": [DECODE, {"ResizeImage": {"size": 0}}]}, "1.ResizeImage: ResizeImage size is"),
    "no decoding": ({"preprocessing": [{"CropImage": {"size": 8}}]}, "DecodeImage comes first, and once"),
    "too large": ({"preprocessing": [DECODE, {"NormalizeImage": {"scale": HUGE}}]}, "NormalizeImage.scale: expected a"),
    "a fraction": (
        {"preprocessing": [DECODE, {"NormalizeImage": {"scale": f"{HUGE}/1"}}]},
        "NormalizeImage.scale: expected a",
    ),
    "two lines": ({"preprocessing": [{"a\nerror[config]: well": {}}]}, "preprocessing.0.a\\nerror[config]: well"),
    "a surrogate": ({"source": "\ud800"}, "surrogates not allowed"),
    "a NaN accuracy": ({"published": {"top1": float("nan"), "top5": 9, "source": "x"}}, "cannot be: published"),
    "another accuracy": ({"published": {"top1": 1}}, "entries that cannot be: published"),
    "a mark of numbers": ({"weights": {"file": 3, "sha256": []}}, "entries that cannot be: weights"),
    "a switch as format": ({"format": True}, "format True, known is 1"),
    **{
        f"epsilon {epsilon!r}": ({"epsilon": epsilon}, "entries that cannot be: epsilon")
        for epsilon in (float("nan"), -1e-5, 0, 5e-324, float("inf"), "1e-5", True)
    },
}


@pytest.mark.parametrize(("entries", "problem"), SENSELESS.values(), ids=SENSELESS)
def test_a_card_that_makes_no_sense_is_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], entries: dict[str, object], problem: str
) -> None:
    change(home, **entries)
    assert run("export", home / "tiny.yaml", *words(home)) == 4
    line = told(capsys.readouterr().err, "damaged", 4)
    assert str(home / "w.card.json") in line
    assert problem in line
    assert "; mend the card, remove it, or type -o Global.use_model_card=False" in line
    assert not (home / "out/inference").exists()


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 10_000])
def test_a_file_that_is_no_card_is_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (home / "w.card.json").write_text(text)
    assert run("infer", home / "tiny.yaml", *words(home)) == 4
    assert f"{home / 'w.card.json'} is damaged: " in told(capsys.readouterr().err, "damaged", 4)


def test_a_broken_link_is_no_absent_card(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "w.card.json").unlink()
    (home / "w.card.json").symlink_to(home / "nowhere")
    assert run("infer", home / "tiny.yaml", *words(home)) == 2
    assert f"{home / 'w.card.json'} does not exist" in capsys.readouterr().err


PAPERS = [("OctMobileNetV1_x0_75", "OctMobileNetV1", GLUON), ("OctResNet26", "OctResNet", SYMBOL)]


@pytest.mark.parametrize(("name", "folder", "conventions"), PAPERS, ids=[name for name, *_ in PAPERS])
def test_a_recipe_agrees_with_the_card_of_its_converted_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, folder: str, conventions: Conventions
) -> None:
    write_weights(tmp_path / "w.pdparams", model_arrays(BACKBONES.get(name)()))
    write_card(ModelCard("w.params", "0" * 64, name, {}, **vars(conventions), published=None), tmp_path / "w.pdparams")
    recipe, picture = ROOT / f"configs/ImageNet/{folder}/{name}.yaml", ROOT / "demo/cat.jpg"
    more = [f"Global.pretrained_model={tmp_path / 'w'}", "Global.device=cpu", f"Infer.infer_imgs={picture}"]
    assert run("infer", recipe, *more) == 0
    said = capsys.readouterr().err
    assert "no accuracy was published" in said
    assert "which is taken" not in said

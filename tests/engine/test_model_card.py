"""A card beside weights: eval, infer and export follow it, and say where the config says otherwise."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from bad_runs import told
from tiny_run import ROOT, run, write_config

from ppcls.arch.official import GLUON
from ppcls.cli import main
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


@pytest.mark.parametrize("mode", ["eval", "infer", "export"])
def test_the_card_comes_first_and_the_log_names_both_values(
    home: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "ppcls"):
        built = engine(home, mode)
    card = str(home / "w.card.json")
    assert f"{card}: weights of w.params; published 72.5 / 90.6 (a paper)" in caplog.text
    assert f"the epsilon of batch norms is 1e-05, in {card} 0.01; the card's is taken" in caplog.text
    assert re.search(r"Infer\.transforms is ResizeImage {'size': 32}, in .* ResizeImage {.*'nearest'}; ", caplog.text)
    assert re.search(
        r"Infer\.transforms is NormalizeImage {'order': ''}, in .* {'mean': \[0\.2, .*'order': ''}; ", caplog.text
    )
    assert "-o Global.use_model_card=False keeps the other" in caplog.text
    assert norms(built) == {0.01}
    assert [op.kwargs for op in built.config.Infer.transforms] == [*(v for op in OWN for v in op.values()), {}]
    assert [op.name for op in built.config.DataLoader.Eval.dataset.transform_ops] == [next(iter(op)) for op in OWN]


def test_the_config_comes_first_where_it_says_so_and_the_log_still_tells(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built = engine(home, "infer", KEEPS)
    assert norms(built) == {1e-5}
    assert built.config.Infer.transforms[1].kwargs == {"size": 32}
    assert "the config's stays" in caplog.text
    assert "the network's stays" in caplog.text


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


def test_a_card_of_other_weights_is_not_followed(home: Path) -> None:
    network = BACKBONES.get("OctMobileNetV2")(scale=0.125, alpha=0.5, class_num=4)
    write_weights(home / "w.pdparams", model_arrays(network))
    assert engine(home, "infer").card is None


@pytest.mark.parametrize(
    ("preprocessing", "problem"),
    [
        ([{"Melt": {}}], "preprocessing.0.Melt: unknown transform op 'Melt'"),
        ([{"DecodeImage": {}}, {"ResizeImage": {"size": "x"}}], "preprocessing.1.ResizeImage.size: expected"),
        ([{"DecodeImage": 3}], "preprocessing.0.DecodeImage: expected a mapping"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], preprocessing: list[dict[str, object]], problem: str
) -> None:
    path = home / "w.card.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"preprocessing": preprocessing}))
    assert run("infer", home / "tiny.yaml", *words(home)) == 4
    line = told(capsys.readouterr().err, "damaged", 4)
    assert f"{path}: {problem}" in line


@pytest.mark.parametrize("epsilon", [float("nan"), -1e-5, 0, float("inf"), "1e-5", True])
def test_an_epsilon_that_cannot_be_is_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], epsilon: object
) -> None:
    path = home / "w.card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epsilon": epsilon}))
    assert run("infer", home / "tiny.yaml", *words(home)) == 4
    assert f"{path} is damaged: entries that cannot be: epsilon" in told(capsys.readouterr().err, "damaged", 4)


def test_the_recipe_of_a_network_agrees_with_the_card_of_its_converted_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = BACKBONES.get("OctMobileNetV1_x0_75")()
    write_weights(tmp_path / "w.pdparams", model_arrays(network))
    card = ModelCard(
        "w.params", "0" * 64, "OctMobileNetV1_x0_75", {}, GLUON.epsilon, GLUON.momentum, GLUON.preprocessing, None
    )
    write_card(card, tmp_path / "w.pdparams")
    recipe = "ImageNet/OctMobileNetV1/OctMobileNetV1_x0_75.yaml"
    picture = ROOT / "demo" / "cat.jpg"
    more = [f"Global.pretrained_model={tmp_path / 'w'}", "Global.device=cpu", f"Infer.infer_imgs={picture}"]
    assert main(["infer", "-c", recipe, *(word for entry in more for word in ("-o", entry))]) == 0
    said = capsys.readouterr().err
    assert "no accuracy was published" in said
    assert "card's" not in said

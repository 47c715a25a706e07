"""The recipes of the paper's networks: its published numbers, its training facts, its pictures."""

from pathlib import Path

import pytest

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.official import GLUON, SYMBOL
from ppcls.arch.published import published_of
from ppcls.config import load_run
from ppcls.registry import BACKBONES

ZOO = Path(__file__).parents[2] / "configs" / "ImageNet"
REPRODUCTION = "OctMobileNetV2_x1_125"  # trained as the reproduction did; test_recipes.py
FILES = [path for path in sorted(ZOO.glob("Oct*/*.yaml")) if path.stem != REPRODUCTION]
SMOOTHED = ("OctMobileNetV2_x1_0", "OctResNet152_v1f", "OctSE_ResNet152_v1e")


def test_every_network_of_the_paper_has_its_recipe() -> None:
    assert {path.stem for path in FILES} | {REPRODUCTION, "OctMobileNetV2"} == {
        name for name in BACKBONES.names() if name.startswith("Oct") and BACKBONES.get(name).__module__[:6] == "ppcls."
    }
    assert len(FILES) == 14


@pytest.mark.parametrize("path", sorted(ZOO.glob("Oct*/*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_states_what_was_published_and_that_it_was_not_run(path: Path) -> None:
    head = path.read_text().partition("\n_base_")[0]
    published = published_of(BACKBONES.get(path.stem))
    assert (f"{published.top1} / {published.top5}" if published else "no accuracy was published") in head
    assert "Not run here" in head


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_trains_as_the_authors_say(path: Path) -> None:
    (stage,) = load_run(path, (), "train").stages
    config, name = stage.config, path.stem
    assert (config.Arch.name, config.Arch.class_num) == (name, 1000)
    rate = config.Optimizer.lr
    assert (rate.name, rate.kwargs) == ("Cosine", {"learning_rate": 0.4, "warmup_epoch": 5})
    assert config.Optimizer.component.kwargs == {"momentum": 0.9, "use_nesterov": True}
    assert config.Optimizer.regularizer.coeff == 1e-4
    assert [loss.kwargs.get("epsilon") for loss in config.Loss.Train] == [0.1 if name in SMOOTHED else None]
    mixes = "152_v1" in name
    train = config.DataLoader.Train
    assert [op.kwargs for op in train.dataset.batch_transform_ops] == ([{"alpha": 0.2}] if mixes else [])
    assert [metric.name for metric in config.Metric.Train] == ([] if mixes else ["TopkAcc"])
    assert 4 * train.sampler.batch_size == 1024


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_prepares_pictures_as_the_authors_weights_suppose(path: Path) -> None:
    by_gluon = "Mobile" in path.stem or "152_v1" in path.stem
    ops = [(name, values) for op in (GLUON if by_gluon else SYMBOL).preprocessing for name, values in op.items()]
    config = load_run(path, (), "train").stages[0].config
    crop, flip = ("RandCropImage", {"size": 224}), ("RandFlipImage", {"flip_code": 1})
    seen = {
        "Train": (config.DataLoader.Train.dataset.transform_ops, [ops[0], crop, flip, ops[3]]),
        "Eval": (config.DataLoader.Eval.dataset.transform_ops, ops),
        "Infer": (load_run(path, (), "infer").stages[0].config.Infer.transforms, [*ops, ("ToCHWImage", {})]),
    }
    for split, (components, wanted) in seen.items():
        assert [component.name for component in components] == [name for name, _ in wanted], split
        for component, (_, values) in zip(components, wanted, strict=True):
            assert component.kwargs.keys() == values.keys(), split
            for key, value in values.items():
                expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-12)
                assert component.kwargs[key] == expected, (split, key)

"""The recipes of the plain families hold what PaddleClas's do; the table is its, by way of what its files say."""

from pathlib import Path

import pytest

from ppcls.config import load_run
from ppcls.config.catalogue import build_catalogue
from ppcls.registry import Registry

ZOO = Path(__file__).parents[2] / "configs" / "ImageNet"
FAMILIES = ("MobileNetV1", "MobileNetV2", "ResNet", "ResNeXt", "SENet", "DenseNet")
FILES = [path for family in FAMILIES for path in sorted((ZOO / family).glob("*.yaml"))]
STEPS = {"learning_rate": 0.1, "decay_epochs": [30, 60, 90], "values": [0.1, 0.01, 0.001, 0.0001]}
PIECEWISE = (120, "Piecewise", STEPS)
COSINE = (200, "Cosine", {"learning_rate": 0.1})
MOBILE = (240, "Cosine", {"learning_rate": 0.045})

L2 = {  # where it is not 1e-4
    **dict.fromkeys(["MobileNetV1_x0_25", "MobileNetV1_x0_5", "MobileNetV1_x0_75", "MobileNetV1"], 3e-5),
    **dict.fromkeys(["MobileNetV2_x0_25", "MobileNetV2_x0_5"], 3e-5),
    **dict.fromkeys(["MobileNetV2_x0_75", "MobileNetV2", "MobileNetV2_x1_5", "MobileNetV2_x2_0"], 4e-5),
    **dict.fromkeys(["ResNet18_vd", "ResNet34_vd", "ResNet50_vd", "SE_ResNet18_vd", "SE_ResNet34_vd"], 7e-5),
    **dict.fromkeys(["SE_ResNet50_vd", "SE_ResNeXt50_32x4d", "SE_ResNeXt50_vd_32x4d", "SE_ResNeXt101_32x4d"], 7e-5),
    **{"SENet154_vd": 7e-5, "ResNeXt101_64x4d": 1.5e-4, "ResNeXt152_64x4d": 1.8e-4},
}


def test_every_network_of_the_families_has_its_recipe():
    names = build_catalogue({"BACKBONES": Registry("backbone")})["BACKBONES"].entries  # without those of other tests
    assert {path.stem for path in FILES} == {name for name in names if not name.startswith("Oct")}
    assert len(FILES) == 45


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recipe_holds_the_values_of_paddleclas(path):
    (stage,) = load_run(path, (), "train").stages
    config, name = stage.config, path.stem
    mixes = "_vd" in name or name.startswith("SE")
    expected = COSINE if mixes else MOBILE if name.startswith("MobileNetV2") else PIECEWISE
    assert (config.Arch.name, config.Arch.class_num) == (name, 1000)
    assert config.Arch.pretrained is (True if name == "ResNet50" else None)
    assert (config.Global.epochs, config.Optimizer.lr.name, config.Optimizer.lr.kwargs) == expected
    assert config.Optimizer.regularizer.coeff == L2.get(name, 1e-4)
    train = config.DataLoader.Train
    assert [op.kwargs for op in train.dataset.batch_transform_ops] == ([{"alpha": 0.2}] if mixes else [])
    assert [loss.kwargs.get("epsilon") for loss in config.Loss.Train] == [0.1 if mixes else None]
    assert [metric.name for metric in config.Metric.Train] == ([] if mixes else ["TopkAcc"])
    workers = 8 if name in ("MobileNetV1", "MobileNetV2") else 4
    assert (train.sampler.batch_size, train.loader.num_workers) == (64, workers)

"""The families of PaddleClas: names, order and logits of its files, and published sizes."""

import math

import paddle
import pytest
from golden_weights import GOLDEN, formula_weights, golden_images, read_golden, relative_error

from ppcls.arch import backbone
from ppcls.arch.published import published_of
from ppcls.registry import BACKBONES

FILES = sorted(path.stem for path in (GOLDEN / "paddle").glob("*.json") if "MobileNetV2" not in path.stem)

# PaddleClas 2.6, model overview: top-1, top-5, and numbers in millions, running statistics counted in.
OVERVIEW = {
    "MobileNetV1_x0_25": (51.43, 75.46, 0.48),
    "MobileNetV1_x0_5": (63.52, 84.73, 1.34),
    "MobileNetV1_x0_75": (68.81, 88.23, 2.60),
    "MobileNetV1": (70.99, 89.68, 4.25),
    "MobileNetV2_x0_25": (53.21, 76.52, 1.53),
    "MobileNetV2_x0_5": (65.03, 85.72, 1.98),
    "MobileNetV2_x0_75": (69.83, 89.01, 2.65),
    "MobileNetV2": (72.15, 90.65, 3.54),
    "MobileNetV2_x1_5": (74.12, 91.67, 6.90),
    "MobileNetV2_x2_0": (75.23, 92.58, 11.33),
    "ResNet18": (70.98, 89.92, 11.70),
    "ResNet18_vd": (72.26, 90.80, 11.72),
    "ResNet34": (74.57, 92.14, 21.81),
    "ResNet34_vd": (75.98, 92.98, 21.84),
    "ResNet50": (76.50, 93.00, 25.61),
    "ResNet50_vd": (79.12, 94.44, 25.63),
    "ResNet101": (77.56, 93.64, 44.65),
    "ResNet101_vd": (80.17, 94.97, 44.67),
    "ResNet152": (78.26, 93.96, 60.34),
    "ResNet152_vd": (80.59, 95.30, 60.36),
    "ResNet200_vd": (80.93, 95.33, 74.93),
    "ResNeXt50_32x4d": (77.75, 93.82, 25.10),
    "ResNeXt50_vd_32x4d": (79.56, 94.62, 25.12),
    "ResNeXt50_64x4d": (78.43, 94.13, 45.29),
    "ResNeXt50_vd_64x4d": (80.12, 94.86, 45.31),
    "ResNeXt101_32x4d": (78.65, 94.19, 44.32),
    "ResNeXt101_vd_32x4d": (80.33, 95.12, 44.33),
    "ResNeXt101_64x4d": (78.35, 94.52, 83.66),
    "ResNeXt101_vd_64x4d": (80.78, 95.20, 83.68),
    "ResNeXt152_32x4d": (78.98, 94.33, 60.15),
    "ResNeXt152_vd_32x4d": (80.72, 95.20, 60.17),
    "ResNeXt152_64x4d": (79.51, 94.71, 115.27),
    "ResNeXt152_vd_64x4d": (81.08, 95.34, 115.29),
    "SE_ResNet18_vd": (73.33, 91.38, 11.81),
    "SE_ResNet34_vd": (76.51, 93.20, 22.00),
    "SE_ResNet50_vd": (79.52, 94.75, 28.16),
    "SE_ResNeXt50_32x4d": (78.44, 93.96, 27.63),
    "SE_ResNeXt50_vd_32x4d": (80.24, 94.89, 27.76),
    "SE_ResNeXt101_32x4d": (79.39, 94.43, 49.09),
    "SENet154_vd": (81.40, 95.48, 122.03),
    "DenseNet121": (75.66, 92.58, 8.06),
    "DenseNet161": (78.57, 94.14, 28.90),
    "DenseNet169": (76.81, 93.31, 14.31),
    "DenseNet201": (77.63, 93.66, 20.24),
    "DenseNet264": (77.96, 93.85, 33.74),
}


def lazily(name):
    """The network without values: built in a moment, whatever its size."""
    with paddle.LazyGuard():
        return BACKBONES.get(name)()


@pytest.mark.parametrize("name", FILES)
def test_names_order_and_logits_are_those_of_paddleclas(name):
    golden = read_golden(f"paddle/{name}")
    model = BACKBONES.get(name)()
    assert [[key, value.shape] for key, value in model.state_dict().items()] == golden["parameters"]
    weights = {key: paddle.to_tensor(value) for key, value in formula_weights(golden).items()}
    assert model.set_state_dict(weights) == ([], [])
    model.eval()
    logits = model(paddle.to_tensor(golden_images(224))).numpy()[0]
    assert relative_error(logits, golden["outputs"]["224"]) <= 1e-5
    assert sum(math.prod(p.shape) for p in model.parameters() if not p.stop_gradient) == golden["trainable_params"]


def test_the_overview_has_every_plain_network():
    assert set(OVERVIEW) == {
        name
        for name in BACKBONES.names()
        if published_of(BACKBONES.get(name)) is not None and "PaddleClas" in published_of(BACKBONES.get(name)).source
    }


@pytest.mark.parametrize("name", OVERVIEW)
def test_size_and_accuracy_are_the_published_ones(name):
    top1, top5, millions = OVERVIEW[name]
    numbers = sum(math.prod(value.shape) for value in lazily(name).state_dict().values())
    # Two decimals, of which the page rounds some and cuts some: ResNet34 has 21.819 and stands there with 21.81.
    assert numbers / 1e6 == pytest.approx(millions, abs=0.0095)
    published = published_of(BACKBONES.get(name))
    assert (published.top1, published.top5) == (top1, top5)


@pytest.mark.parametrize("name", ["MobileNetV1_x0_25", "ResNet18", "SE_ResNet18_vd", "DenseNet121"])
def test_small_and_odd_images_work(name):
    assert BACKBONES.get(name)(class_num=7)(paddle.zeros([2, 3, 33, 47])).shape == [2, 7]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("ResNet18", {"alpha": 2}, r"alpha is the share of low-frequency channels, in \[0, 1\]; got 2"),
        ("ResNet18", {"class_num": 0}, "class_num is the number of classes"),
        ("DenseNet121", {"alpha": -1}, "alpha is the share"),
        ("MobileNetV1", {"scale": 0}, "scale multiplies every width"),
        ("MobileNetV1", {"scale": 0.01}, "scale 0.01 leaves 0 of 32 channels"),
        ("ResNeXt50_32x4d", {"alpha": 0.125}, "alpha 0.125 splits 128 channels .* 32 groups do not divide"),
        ("SENet154_vd", {"alpha": 0.1}, "64 groups do not divide; choose another alpha"),
    ],
)
def test_arguments_out_of_range_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        BACKBONES.get(name)(**arguments)


@pytest.mark.parametrize("module", ["resnet.ResNet", "resnext.ResNeXt", "senet.SENet", "densenet.DenseNet"])
def test_a_depth_that_nobody_published_is_refused(module):
    file, name = module.split(".")
    with pytest.raises(ValueError, match=r"depth .*is one of .*; got 51"):
        getattr(getattr(backbone, file), name)(depth=51)

"""MobileNetV2 under the names of PaddleClas."""

import paddle
import pytest
from golden_weights import formula_weights, golden_images, read_golden, relative_error

from ppcls.arch.backbone.model_zoo import mobilenet_v2
from ppcls.arch.backbone.model_zoo.mobilenet_v2 import MobileNetV2
from ppcls.arch.published import published_of


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV2_x0_5"])
def test_names_order_and_logits_are_those_of_paddleclas(name):
    golden = read_golden(f"paddle/{name}")
    model = getattr(mobilenet_v2, name)()
    assert [[key, value.shape] for key, value in model.state_dict().items()] == golden["parameters"]
    weights = {key: paddle.to_tensor(value) for key, value in formula_weights(golden).items()}
    assert model.set_state_dict(weights) == ([], [])
    model.eval()
    logits = model(paddle.to_tensor(golden_images(224))).numpy()[0]
    assert relative_error(logits, golden["outputs"]["224"]) <= 1e-5


@pytest.mark.parametrize(
    ("name", "scale", "numbers", "top1"),
    [
        ("MobileNetV2_x0_25", 0.25, 1.53, 53.21),
        ("MobileNetV2_x0_5", 0.5, 1.98, 65.03),
        ("MobileNetV2_x0_75", 0.75, 2.65, 69.83),
        ("MobileNetV2", 1.0, 3.54, 72.15),
        ("MobileNetV2_x1_5", 1.5, 6.90, 74.12),
        ("MobileNetV2_x2_0", 2.0, 11.33, 75.23),
    ],
)
def test_names_stand_for_the_published_widths(name, scale, numbers, top1):
    # PaddleClas's table counts running statistics too.
    build = getattr(mobilenet_v2, name)
    model = build()
    assert sum(value.size for value in model.state_dict().values()) / 1e6 == pytest.approx(numbers, abs=0.006)
    assert model.conv1._conv.weight.shape[0] == int(32 * scale)
    assert published_of(build).top1 == top1


def test_any_scale_and_class_num_work():
    model = MobileNetV2(scale=0.35, class_num=7)
    assert model(paddle.zeros([2, 3, 33, 47])).shape == [2, 7]


def test_every_parameter_gets_a_gradient():
    model = MobileNetV2(scale=0.25, class_num=5)
    (model(paddle.randn([4, 3, 32, 32])) ** 2).sum().backward()
    trained = [parameter for parameter in model.parameters() if not parameter.stop_gradient]
    assert all(parameter.grad is not None and parameter.grad.abs().sum().item() > 0 for parameter in trained)


@pytest.mark.parametrize(("scale", "class_num"), [(-1, 10), (1, 0), (0.03, 10)])
def test_arguments_out_of_range_are_refused(scale, class_num):
    with pytest.raises(ValueError, match=r"scale .*(above 0|leaves 0)|class_num is the number of classes"):
        MobileNetV2(scale=scale, class_num=class_num)

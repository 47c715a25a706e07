"""Octave networks against the official implementation: logits and names of 13 files, sizes of every published one."""

import paddle
import pytest
from golden_weights import formula_weights, golden_images, read_golden, relative_error

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.layers import conv_bn
from ppcls.arch.official import official_state
from ppcls.registry import BACKBONES

FILES = {
    "densenet-121_alpha-0.125": "OctDenseNet121",
    "mobilenet_v1_100_alpha-0.5": "OctMobileNetV1",
    "mobilenet_v2_100_alpha-0.375": "OctMobileNetV2_x1_0",
    "mobilenet_v2_1125_alpha-0.5": "OctMobileNetV2_x1_125",
    "resnet-101_alpha-0.25": "OctResNet101",
    "resnet-200_alpha-0.125": "OctResNet200",
    "resnet-26_alpha-0.25": "OctResNet26",
    "resnet-50_alpha-0.125": "OctResNet50",
    "resnet-50_alpha-0.5": "OctResNet50",
    "resnet152_v1f_alpha-0.125": "OctResNet152_v1f",
    "resnext-50_32x4d_alpha-0.5": "OctResNeXt50_32x4d",
    "se-resnet-50_alpha-0.25": "OctSE_ResNet50",
    "se-resnet152_v1e_alpha-0.125": "OctSE_ResNet152_v1e",
}


@pytest.fixture
def no_initial_values(monkeypatch):
    """Weights that are replaced or not looked at need no random numbers: a third of the time."""
    for name in ("conv_weight", "linear_weight"):
        monkeypatch.setattr(conv_bn.init, name, lambda *_: paddle.nn.initializer.Constant(0.0))


@pytest.mark.usefixtures("no_initial_values")
@pytest.mark.parametrize("name", FILES)
def test_official_weights_give_official_logits(name):
    golden = read_golden(f"official/{name}")
    model = BACKBONES.get(FILES[name])(alpha=golden["alpha"])
    state = official_state(model, formula_weights(golden), name)
    model.set_state_dict({key: paddle.to_tensor(value) for key, value in state.items()})
    model.eval()
    size, logits = min(golden["outputs"].items(), key=lambda item: int(item[0]))
    with paddle.no_grad():
        ours = model(paddle.to_tensor(golden_images(int(size)))).numpy()[0]
    assert relative_error(ours, logits) <= 1e-5
    assert sum(p.size for p in model.parameters() if not p.stop_gradient) == golden["trainable_params"]

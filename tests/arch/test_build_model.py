"""Networks by their YAML name."""

import paddle
import pytest

from ppcls.arch import build_model
from ppcls.config.schema import ArchConfig, Component
from ppcls.utils.errors import ConfigError


def build(name, class_num=10, **kwargs):
    component = Component(name, kwargs, "Arch")
    return build_model(ArchConfig(class_num=class_num, component=component))


def test_width_alpha_and_class_num_reach_the_network():
    model = build("OctMobileNetV2", class_num=7, scale=0.5, alpha=0.25)
    assert model.conv1[0].weight.shape[0] == 16
    assert model.L2_B1.conv2.conv_l2l.weight.shape == [18, 1, 3, 3]
    assert model(paddle.zeros([1, 3, 32, 32])).shape == [1, 7]


@pytest.mark.parametrize(("name", "low"), [("OctMobileNetV2_x1_0", 54), ("OctMobileNetV2_x1_125", 81)])
def test_named_networks_have_the_published_alpha_unless_told_otherwise(name, low):
    assert build(name).L2_B1.conv2.conv_l2l.weight.shape[0] == low
    assert build(name, alpha=0).L2_B1.conv2.conv_l2l is None


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("OctMobileNetV2_x1_125", {"scale": 1.0}, "^Arch: OctMobileNetV2_x1_125 has no argument 'scale'"),
        ("OctMobileNetV2", {"alpah": 0.5}, "^Arch: OctMobileNetV2 has no argument 'alpah'; did you mean 'alpha'?"),
        ("OctMobileNetV2", {"alpha": 2}, r"^Arch: alpha is the share of low-frequency channels, in \[0, 1\]; got 2"),
        ("MobileNetV2", {"use_ssld": True}, "^Arch: MobileNetV2 has no argument 'use_ssld'"),
        ("OctMobilNetV2", {}, "^Arch: unknown backbone 'OctMobilNetV2'; did you mean 'OctMobileNetV2'"),
    ],
)
def test_wrong_names_and_arguments_are_refused_under_their_key(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build(name, **kwargs)


def test_the_same_seed_builds_the_same_weights():
    def weights():
        paddle.seed(11)
        return [value.numpy() for value in build("OctMobileNetV2", scale=0.25).state_dict().values()]

    assert all((a == b).all() for a, b in zip(weights(), weights(), strict=True))

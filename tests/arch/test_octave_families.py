"""The plain families at alpha > 0: the official networks where there are such, numpy where there are none."""

import re

import numpy as np
import paddle
import pytest
from golden_weights import formula_weights, golden_images, read_golden, relative_error
from octave_reference import float64_state
from paddle import nn
from residual_reference import ResidualReference

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.backbone.model_zoo.mobilenet_v2 import MobileNetV2
from ppcls.arch.summary import summarize
from ppcls.registry import BACKBONES

SUFFIXES = {  # of official names; the longer ones come first
    "running_mean": "_mean",
    "running_var": "_variance",
    "moving_mean": "_mean",
    "moving_var": "_variance",
    "gamma": "weight",
    "beta": "bias",
}
SMALL = ["MobileNetV1_x0_25", "MobileNetV2_x0_25", "ResNet18_vd", "SE_ResNet18_vd", "DenseNet121"]
V1_BLOCKS = ["L1_B1", "L2_B0", "L2_B1", "L3_B0", "L3_B1", "L4_B0", *(f"L4_B{n}" for n in range(1, 6)), "L5_B0", "L5_B1"]
V2_BLOCKS = {
    "L1_B1": "conv2._first_block",
    **{"L2_B0": "conv3._first_block", "L2_B1": "conv3.conv3_2"},
    **{"L3_B0": "conv4._first_block", "L3_B1": "conv4.conv4_2", "L3_B2": "conv4.conv4_3"},
    **{"L4_B0": "conv5._first_block", "L4_B1": "conv5.conv5_2", "L4_B2": "conv5.conv5_3", "L4_B3": "conv5.conv5_4"},
    **{"L4_B4": "conv6._first_block", "L4_B5": "conv6.conv6_2", "L4_B6": "conv6.conv6_3"},
    **{"L5_B0": "conv7._first_block", "L5_B1": "conv7.conv7_2", "L5_B2": "conv7.conv7_3"},
    "L5_B3": "conv8._first_block",
}


def mobilenet_v1_name(name):
    name = name.replace("conv1.0.", "conv.conv.").replace("conv1.1.", "conv.bn.").replace("classifer", "fc")
    block, _, rest = name.partition(".")
    if block not in V1_BLOCKS:
        return name
    rest = rest.replace("conv1.", "depthwise_conv.conv.").replace("conv2.", "pointwise_conv.conv.")
    rest = rest.replace("bn1.", "depthwise_conv.bn.").replace("bn2.", "pointwise_conv.bn.")
    return f"blocks.{V1_BLOCKS.index(block)}.{rest}"


def mobilenet_v2_name(name):
    block, _, rest = name.partition(".")
    if block in V2_BLOCKS:
        layers = {"1": "_expand_conv", "2": "_bottleneck_conv", "3": "_linear_conv"}
        kind, number, rest = re.fullmatch(r"(conv|bn)(\d)\.(.*)", rest).groups()
        return f"{V2_BLOCKS[block]}.{layers[number]}.{'_conv' if kind == 'conv' else '_batch_norm'}.{rest}"
    for theirs, ours in {"conv1": "conv1", "tail": "conv9"}.items():
        name = name.replace(f"{theirs}.0.", f"{ours}._conv.").replace(f"{theirs}.1.", f"{ours}._batch_norm.")
    return name.replace("classifer", "out")


def densenet_name(name):
    name = name.partition(":")[2]
    if name.startswith("classifier_"):
        return name.replace("classifier_", "out.")
    form = r"(?:L(\d)_(?:B(\d+)|Trans)_)?(conv\d?|tail)_(conv|bn)(?:-(\w+?))?_(\w+)"
    stage, block, unit, kind, part, number = re.fullmatch(form, name).groups()
    if stage is None:
        prefix = {"conv1": "conv1_func", "tail": ""}[unit]
    elif block is None:
        prefix = f"tr_conv{int(stage) - 1}_blk.conv_ac_func"
    else:
        prefix = f"db_conv_{stage}.conv{stage}_{int(block)}.bn_ac_func{unit[-1]}"
    layer = {"conv": "_conv", "bn": "_batch_norm"}[kind] if prefix else "batch_norm"
    return ".".join(filter(None, [prefix, layer, part and f"{kind}_{part}", number]))


def our_weights(model, golden, rename):
    """Official weights under our names; where a map has one part, ours are plain."""
    state, weights = model.state_dict(), {}
    for key, value in formula_weights(golden).items():
        name = rename(key)
        for theirs, ours in SUFFIXES.items():
            name = re.sub(f"{theirs}$", ours, name)
        plain = name.replace(".conv_h2h.", ".").replace(".bn_h.", ".")
        name = name if name in state else plain
        is_linear = name in state and len(state[name].shape) == 2
        weights[name] = value.reshape(value.shape[:2]).T if is_linear else value
    return weights


@pytest.mark.parametrize(
    ("file", "name", "alpha", "rename"),
    [
        ("mobilenet_v1_100_alpha-0.5", "MobileNetV1", 0.5, mobilenet_v1_name),
        ("mobilenet_v2_100_alpha-0.375", "MobileNetV2", 0.375, mobilenet_v2_name),
        ("densenet-121_alpha-0.125", "DenseNet121", 0.125, densenet_name),
    ],
)
def test_official_weights_give_official_logits(file, name, alpha, rename):
    golden = read_golden(f"official/{file}")
    model = BACKBONES.get(name)(alpha=alpha)
    weights = our_weights(model, golden, rename)
    assert {key: list(value.shape) for key, value in weights.items()} == {
        key: list(value.shape) for key, value in model.state_dict().items()
    }
    model.set_state_dict({key: paddle.to_tensor(value) for key, value in weights.items()})
    model.eval()
    if name == "DenseNet121":  # of the ablation, whose batch norms have this constant
        for layer in model.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer._epsilon = 1e-4
    logits = model(paddle.to_tensor(golden_images(224))).numpy()[0]
    assert relative_error(logits, golden["outputs"]["224"]) <= 1e-5


@pytest.mark.parametrize(
    ("name", "alpha", "macs"),
    [
        # The paper's tables, from the official code; a bottleneck costs the same before and behind its activation.
        ("MobileNetV1", 0.5, 318_167_680),
        ("MobileNetV1_x0_75", 0.375, 211_379_016),
        ("MobileNetV2", 0.375, 254_031_408),
        ("MobileNetV2", 0.25, 273_894_048),
        ("DenseNet121", 0.25, 2_017_246_208),
        ("ResNet50", 0.125, 3_565_196_288),
        ("ResNet50", 0.75, 1_880_035_328),
        ("ResNet101", 0.25, 5_597_675_520),
        ("ResNeXt50_32x4d", 0.5, 2_386_511_872),
    ],
)
def test_multiply_adds_are_those_of_the_paper_and_parameters_stay(name, alpha, macs):
    with paddle.LazyGuard():
        summary = summarize(BACKBONES.get(name)(alpha=alpha), [3, 224, 224])
        plain = summarize(BACKBONES.get(name)(), [3, 32, 32])
    assert (summary.macs, summary.params, summary.state) == (macs, plain.params, plain.state)


def resnet_names(blocks):
    counts = [(stage, number) for stage, count in enumerate(blocks) for number in range(count)]
    return [(f"blocks.{index}", _stride(*at)) for index, at in enumerate(counts)]


def legacy_names(blocks):
    counts = [(stage, number) for stage, count in enumerate(blocks) for number in range(count)]
    return [(f"bb_{stage}_{number}", _stride(stage, number)) for stage, number in counts]


def _stride(stage, number):
    return 2 if stage and number == 0 else 1


@pytest.mark.parametrize(
    ("name", "alpha", "size"),
    [
        *(("ResNet18", alpha, size) for alpha in (0, 0.5, 0.75) for size in ((64, 64), (37, 50))),
        *(("SE_ResNet18_vd", alpha, (45, 33)) for alpha in (0, 0.25)),
        ("ResNeXt50_vd_32x4d", 0.25, (33, 40)),
        ("ResNet50_vd", 0.125, (32, 32)),
    ],
)
def test_residual_networks_equal_their_definition_in_numpy(name, alpha, size):
    paddle.seed(0)
    model = BACKBONES.get(name)(alpha=alpha, class_num=5)
    state = float64_state(model)
    is_vd, blocks = "_vd" in name, (3, 4, 6, 3) if "50" in name else (2, 2, 2, 2)
    if name.startswith("ResNet"):
        stem = [f"stem.{number}" for number in range(3 if is_vd else 1)]
        parts = (("conv", "bn"), stem, resnet_names(blocks), "fc")
    else:
        parts = (("_conv", "_batch_norm"), ["conv1_1", "conv1_2", "conv1_3"], legacy_names(blocks), "out")
    reference = ResidualReference(
        state, *parts, groups=32 if "32x4d" in name else 1, pools=alpha > 0, pools_shortcut=is_vd
    )
    images = np.random.default_rng(1).standard_normal([1, 3, *size])
    expected = reference(images)
    np.testing.assert_allclose(model(paddle.to_tensor(images)).numpy(), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("alpha", [0.5, 1])
def test_every_parameter_of_an_octave_network_gets_a_gradient(name, alpha):
    paddle.seed(0)
    model = BACKBONES.get(name)(alpha=alpha, class_num=5)
    nn.functional.cross_entropy(model(paddle.randn([4, 3, 64, 64])), paddle.to_tensor([0, 1, 2, 3])).backward()
    for key, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().sum().item() > 0, key


def test_a_share_too_small_for_the_narrow_layers_splits_the_wide_ones_alone():
    names = MobileNetV2(alpha=0.01).state_dict()
    assert "conv3.conv3_2._expand_conv._conv.conv_h2l.weight" in names
    assert "conv2._first_block._expand_conv._conv.weight" in names


# DenseNet's takes 8 s; test_contracts.py traces it. Paddle 3.x warns of its own code, Paddle 2.6 of every sum.
@pytest.mark.filterwarnings("ignore:Tensor do not have 'place' interface", "ignore:(?s).*The behavior of expression")
@pytest.mark.parametrize(("name", "alpha"), [("ResNet18_vd", 0), *((name, 0.5) for name in SMALL[:-1])])
def test_the_exported_program_gives_equal_logits_for_any_batch(name, alpha, tmp_path):
    paddle.seed(0)
    model = BACKBONES.get(name)(alpha=alpha, class_num=5)
    model.eval()
    images = paddle.randn([3, 3, 37, 50])
    expected = model(images).numpy()
    spec = paddle.static.InputSpec([None, 3, 37, 50], "float32", "images")
    paddle.jit.save(model, str(tmp_path / "inference"), input_spec=[spec])
    program = paddle.jit.load(str(tmp_path / "inference"))
    program.eval()
    np.testing.assert_allclose(program(images).numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program(images[:1]).numpy(), expected[:1], rtol=1e-4, atol=1e-5)

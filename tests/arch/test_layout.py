"""Every network of the zoo answers and learns the same in [N, H, W, C], and takes pictures of four channels."""

import copy

import numpy as np
import paddle
import pytest
from octave_reference import float64_state
from paddle import nn
from zoo import networks, smallest_of_each_file

from ppcls.arch import build_model
from ppcls.arch.backbone.model_zoo.densenet import DenseLayer
from ppcls.arch.backbone.model_zoo.oct_densenet import OctDenseNet
from ppcls.arch.backbone.model_zoo.oct_resnet import OctResNet
from ppcls.arch.layers.head import Head
from ppcls.arch.layers.layout import Picture, compute_in
from ppcls.arch.layers.oct_conv_bn import Channels, OctConvBN, Style
from ppcls.arch.layers.oct_layers import Enter, Leave, OctAvgPool, OctMaxPool
from ppcls.arch.layers.sync_bn import SyncBatchNorm2D, synchronise
from ppcls.arch.summary import build_lazily, summarize
from ppcls.config.schema import ArchConfig, Component
from ppcls.registry import BACKBONES
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.save_load import load_into, model_arrays, read_weights
from ppcls.utils.weights import dump_pdparams

PICKED = [*smallest_of_each_file(), "OctSE_ResNet50"]
QUICK = {*((name, 0.5) for name in PICKED if "Mobile" in name), ("MobileNetV1_x0_25", 0), ("SE_ResNet18_vd", 0.5)}
PARAMS = [
    pytest.param(name, alpha, marks=[] if (name, alpha) in QUICK else [pytest.mark.slow])
    for name in PICKED
    for alpha in (0, 0.5)
]


def images(size, channels=3, dtype="float64"):
    """Three, for of two pixels batch norm makes 1 and -1 whatever they are."""
    return paddle.to_tensor(np.random.default_rng(0).standard_normal([3, channels, *size]).astype(dtype))


def twins(name, **arguments):
    """The network with settled numbers in float64, and a copy that computes in NHWC."""
    return twins_of(BACKBONES.get(name)(class_num=10, **arguments))


def twins_of(network):
    float64_state(network)
    return network, compute_in(copy.deepcopy(network), "NHWC")


def close(got, expected, tolerance):
    """Equal up to a share of the largest expected number."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=0, atol=tolerance * np.abs(expected).max())


def learn(network, x):
    """Logits, gradients and running statistics of one training pass, by name."""
    network.train()
    logits = network(x)
    (logits * logits).sum().backward()
    gradients = {name: p.grad.numpy() for name, p in network.named_parameters() if not p.stop_gradient}
    statistics = {name: value.numpy() for name, value in network.named_buffers()}
    network.clear_gradients()
    return {"logits": logits.numpy(), **gradients, **statistics}


def require_equal(network, last, learnt, asked):
    """Both learn the same from pictures of the one size, and answer the same for those of the other."""
    convolutions = [layer for layer in last.sublayers() if isinstance(layer, nn.Conv2D)]
    inputs = []
    hooks = [
        layer.register_forward_pre_hook(lambda conv, given: inputs.append((given[0].shape[3], conv._in_channels)))
        for layer in convolutions
    ]
    before = learn(network, images(learnt))
    after = learn(last, images(learnt))
    assert len(inputs) == len(convolutions) > 0
    assert all(found == expected for found, expected in inputs)
    for hook in hooks:
        hook.remove()
    assert list(after) == list(before)
    largest = max(np.abs(value).max() for value in before.values())
    for key, value in before.items():
        tolerance = 1e-7 * np.abs(value).max() + 1e-12 * largest
        np.testing.assert_allclose(after[key], value, rtol=0, atol=tolerance, err_msg=key)
    for model in (network, last):
        model.to(dtype="float32")
        model.eval()
    with paddle.no_grad():
        x = images(asked, dtype="float32")
        close(last(x), network(x), 1e-5)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in last.state_dict().items()} == shapes


@pytest.mark.parametrize(("name", "alpha"), PARAMS)
def test_a_network_answers_and_learns_the_same_in_both_layouts(name, alpha):
    sizes = ((47, 65), (33, 33)) if alpha == 0 else ((33, 33), (47, 65))
    require_equal(*twins(name, alpha=alpha), *sizes)


def dense_chain():
    """A dense layer among those around it in a DenseNet."""
    style = Style(pools=True)
    split, growth, plain = (Channels.split(channels, alpha) for channels, alpha in ((8, 0.5), (4, 0.5), (6, 0)))
    return nn.Sequential(
        ("picture", Picture()),
        ("enter", Enter()),
        ("stem", OctConvBN(Channels.split(3, 0), split, 3, 2, style=style)),
        ("max_pool", OctMaxPool()),
        ("dense", DenseLayer(split, split, growth, style)),
        ("pool", OctAvgPool()),
        ("merge", OctConvBN(split + growth, plain, 1, style=style)),
        ("leave", Leave()),
        ("half", nn.AvgPool2D(kernel_size=2, stride=2)),
        ("head", Head(6, 10)),
    )


SMALL = {
    "DenseLayer": dense_chain,
    "OctDenseNet": lambda: OctDenseNet((1, 1, 1, 1), 0.5, class_num=10),
    "OctResNet": lambda: OctResNet((1, 1, 1, 1), 0.5, class_num=10, width=16, groups=4, use_se=True),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_chain_of_its_layers_answers_and_learns_the_same_in_both_layouts(name):
    require_equal(*twins_of(SMALL[name]()), (47, 65), (33, 33))


@pytest.mark.parametrize("name", ["OctMobileNetV1_x0_75", pytest.param("SE_ResNet18_vd", marks=pytest.mark.slow)])
def test_a_traced_program_computes_in_the_layout_of_its_network(name):
    network, last = twins(name, alpha=0.5)
    for model in (network, last):
        model.to(dtype="float32")
    x = images((37, 50), dtype="float32")
    traced = paddle.jit.to_static(last, full_graph=True)
    with paddle.no_grad():
        close(traced(x), network(x), 1e-5)


def test_a_network_goes_back_to_the_layout_it_came_from():
    network, last = twins("OctMobileNetV1_x0_75")
    x = images((33, 33))
    assert np.array_equal(compute_in(last, "NCHW")(x).numpy(), network(x).numpy())


def test_synchronised_norms_learn_the_same_in_both_layouts():
    network, last = twins("MobileNetV1_x0_25", alpha=0.5)
    last = synchronise(last)
    norms = [layer for layer in last.sublayers() if isinstance(layer, SyncBatchNorm2D)]
    assert {norm._data_format for norm in norms} == {"NHWC"}
    before, after = learn(network, images((33, 33))), learn(last, images((33, 33)))
    for key, value in before.items():
        np.testing.assert_allclose(after[key], value, rtol=1e-6, atol=1e-8, err_msg=key)


def test_sizes_are_the_same_in_both_layouts():
    def build():
        return BACKBONES.get("OctMobileNetV1")(class_num=10)

    last = compute_in(build_lazily(build), "NHWC")
    assert summarize(last, [3, 47, 65]) == summarize(build_lazily(build), [3, 47, 65])


def test_every_network_may_take_four_channels():
    assert [name for name in networks() if "input_image_channel" not in BACKBONES.parameters(name)] == []


@pytest.mark.parametrize("name", smallest_of_each_file())
def test_the_stem_takes_four_channels_and_nothing_else_changes(name):
    build = BACKBONES.get(name)
    networks = (build_lazily(lambda: build()), build_lazily(lambda: build(input_image_channel=4)))
    three, four = ({key: value.shape for key, value in network.state_dict().items()} for network in networks)
    changed = [key for key in three if three[key] != four[key]]
    assert changed == changed[:1]
    (stem,) = changed
    assert four[stem] == [three[stem][0], 4, *three[stem][2:]]


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", ["MobileNetV1_x0_25", "OctMobileNetV1_x0_75"])
def test_a_channel_of_zeros_changes_no_answer(name, data_format):
    three, four = (BACKBONES.get(name)(class_num=10, input_image_channel=channels) for channels in (3, 4))
    arrays = float64_state(three)
    four.to(dtype="float64")
    stem = next(iter(arrays))
    extra = np.random.default_rng(1).standard_normal(arrays[stem].shape)[:, :1]
    arrays[stem] = np.concatenate([arrays[stem], extra], axis=1)
    four.set_state_dict({key: paddle.to_tensor(value) for key, value in arrays.items()})
    four.eval()
    x = images((33, 47))
    padded = paddle.concat([x, paddle.zeros_like(x[:, :1])], axis=1)
    close(compute_in(four, data_format)(padded), three(x), 1e-12)


def test_weights_of_three_channels_do_not_fit_a_stem_of_four(tmp_path):
    build = BACKBONES.get("MobileNetV1_x0_25")
    (tmp_path / "w.pdparams").write_bytes(dump_pdparams(model_arrays(build(class_num=4)), {}))
    weights = read_weights(str(tmp_path / "w.pdparams"))
    with pytest.raises(WeightsError, match=r"conv\._?conv\.weight.*\[8, 3, 3, 3\].*\[8, 4, 3, 3\]"):
        load_into(build(class_num=4, input_image_channel=4), weights, strict=False, allow_head_mismatch=True)


@BACKBONES.register
class OneLayout(nn.Sequential):
    """A network of somebody who did not think of layouts."""

    def __init__(self, class_num=10):
        super().__init__(nn.Conv2D(3, class_num, 3), nn.AdaptiveAvgPool2D(1), nn.Flatten())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"data_format": "NHWC"},
            "^Arch.data_format: OneLayout computes in NCHW only, it has no Picture layer; leave it at NCHW$",
        ),
        ({"input_image_channel": 4}, "^Arch.input_image_channel: OneLayout takes pictures of 3 channels; got 4$"),
    ],
)
def test_what_a_network_was_not_made_for_is_refused_by_name(setting, message):
    component = Component("OneLayout", {}, "Arch")
    assert build_model(ArchConfig(component=component, class_num=4))(images((9, 9), dtype="float32")).shape == [3, 4]
    with pytest.raises(ConfigError, match=message):
        build_model(ArchConfig(component=component, **setting))


def test_the_config_chooses_layout_and_channels():
    arch = ArchConfig(
        component=Component("MobileNetV1_x0_25", {}, "Arch"), class_num=4, data_format="NHWC", input_image_channel=4
    )
    network = build_model(arch)
    assert network.conv.conv._data_format == "NHWC"
    assert network(images((33, 47), channels=4, dtype="float32")).shape == [3, 4]

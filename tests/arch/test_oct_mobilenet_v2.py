"""Oct-MobileNetV2: published weights, logits, any size, and what a network must stand."""

import copy
import io
import pickle

import numpy as np
import paddle
import pytest
from golden_weights import formula_weights, golden_images, read_golden, relative_error
from octave_reference import NumpyOps, OriginalOps, float64_state, oct_mobilenet_v2
from paddle import nn

from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import (
    OctMobileNetV2,
    OctMobileNetV2_x1_0,
    OctMobileNetV2_x1_125,
)
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import OctaveChannels, enter, leave

# Paddle 3.x of its own code, Paddle 2.6 of every sum.
TRACING_WARNS = pytest.mark.filterwarnings(
    "ignore:Tensor do not have 'place' interface", "ignore:(?s).*The behavior of expression"
)
OFFICIAL_NAMES = {  # order matters: running_ before the rest
    "tail.": "head.",
    "classifer.": "head.5.",
    "gamma": "weight",
    "beta": "bias",
    "running_mean": "_mean",
    "running_var": "_variance",
}


def paddle_name(official):
    for theirs, ours in OFFICIAL_NAMES.items():
        official = official.replace(theirs, ours)
    return official


def small(**kwargs):
    paddle.seed(0)
    model = OctMobileNetV2(**{"scale": 0.25, "class_num": 5} | kwargs)
    model.eval()
    return model


def names_and_shapes(model):
    return [[key, value.shape] for key, value in model.state_dict().items()]


def load(model, weights):
    missing, unexpected = model.set_state_dict({key: paddle.to_tensor(value) for key, value in weights.items()})
    assert (missing, unexpected) == ([], [])
    model.eval()
    return model


@pytest.fixture(scope="module")
def released():
    golden = read_golden("paddle/OctMobileNetV2_x1_125")
    return golden, load(OctMobileNetV2_x1_125(), formula_weights(golden))


def test_names_shapes_and_order_are_those_of_the_released_weights(released):
    golden, model = released
    assert names_and_shapes(model) == golden["parameters"]


@pytest.mark.parametrize("size", [224, 192, 64])
def test_logits_equal_those_of_the_released_reproduction(released, size):
    golden, model = released
    logits = model(paddle.to_tensor(golden_images(size))).numpy()
    assert logits.shape == (1, 1000)
    assert relative_error(logits[0], golden["outputs"][str(size)]) <= 1e-5


@pytest.mark.parametrize(
    ("name", "build"),
    [("mobilenet_v2_100_alpha-0.375", OctMobileNetV2_x1_0), ("mobilenet_v2_1125_alpha-0.5", OctMobileNetV2_x1_125)],
)
def test_official_weights_give_official_logits_under_mapped_names(name, build):
    golden = read_golden(f"official/{name}")
    model = build()
    assert names_and_shapes(model) == [[paddle_name(key), shape] for key, shape in golden["parameters"]]
    load(model, {paddle_name(key): value for key, value in formula_weights(golden).items()})
    for size, logits in golden["outputs"].items():
        assert relative_error(model(paddle.to_tensor(golden_images(int(size)))).numpy()[0], logits) <= 1e-5


@pytest.mark.parametrize("alpha", [0, 0.375, 0.5])
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_sizes_of_32_equal_the_original_operators_bit_for_bit(alpha, size):
    model = small(alpha=alpha)
    state = {key: paddle.to_tensor(value) for key, value in float64_state(model).items()}
    images = paddle.to_tensor(np.random.default_rng(1).standard_normal([2, 3, *size]))
    expected = oct_mobilenet_v2(OriginalOps, state, images).numpy()
    assert (model(images).numpy() == expected).all()


@pytest.mark.parametrize("alpha", [0, 0.25, 0.5, 1])
@pytest.mark.parametrize("size", [(16, 16), (37, 50), (1, 1), (31, 63)])
def test_any_size_equals_the_definition_in_numpy(alpha, size):
    model = small(alpha=alpha)
    state = float64_state(model)
    images = np.random.default_rng(1).standard_normal([1, 3, *size])
    expected = oct_mobilenet_v2(NumpyOps, state, images)
    np.testing.assert_allclose(model(paddle.to_tensor(images)).numpy(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_every_parameter_gets_a_gradient(alpha):
    model = small(alpha=alpha)
    model.train()
    logits = model(paddle.randn([4, 3, 33, 48]))
    nn.functional.cross_entropy(logits, paddle.to_tensor([0, 1, 2, 3])).backward()
    trained = [parameter for parameter in model.parameters() if not parameter.stop_gradient]
    assert len(trained) == len([key for key in model.state_dict() if not key.endswith(("_mean", "_variance"))])
    assert all(parameter.grad is not None and parameter.grad.abs().sum().item() > 0 for parameter in trained)


def test_evaluation_repeats_exactly_and_changes_no_weight():
    model = small(dropout=0.5)
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    images = paddle.randn([2, 3, 32, 32])
    assert (model(images).numpy() == model(images).numpy()).all()
    assert all((value.numpy() == before[key]).all() for key, value in model.state_dict().items())


def test_dropout_acts_in_training_only():
    model = small(dropout=0.9)
    passed = []
    model.head[4].register_forward_post_hook(lambda _layer, inputs, output: passed.append((inputs[0], output)))
    images = paddle.randn([2, 3, 32, 32])
    model.train()
    model(images)
    model.eval()
    model(images)
    assert [(before.numpy() == after.numpy()).all() for before, after in passed] == [False, True]
    assert (passed[0][1].numpy() == 0).mean() > 0.8


@pytest.mark.parametrize(("scale", "features"), [(0.25, 1280), (1.0, 1280), (1.5, 1920)])
def test_the_last_width_grows_above_scale_one_only(scale, features):
    assert small(scale=scale).head[0].weight.shape[0] == features


def test_class_num_is_honoured():
    assert small(class_num=7)(paddle.zeros([2, 3, 32, 32])).shape == [2, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.01}, r"alpha is the share .* in \[0, 1\]; got 1.01"),
        ({"scale": 0}, "scale multiplies every width and is above 0; got 0"),
        ({"scale": 0.02}, "scale 0.02 leaves 0 of 32 channels"),
        ({"class_num": 0}, "class_num is the number of classes"),
        ({"dropout": 1.0}, "dropout is the share of features"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        OctMobileNetV2(**arguments)


def test_alpha_zero_has_the_same_parameters_and_no_low_part():
    def count(model):
        return sum(parameter.size for parameter in model.parameters() if not parameter.stop_gradient)

    plain = small(alpha=0)
    assert count(plain) == count(small(alpha=0.5))
    assert not [key for key in plain.state_dict() if "bn_l" in key or "h2l" in key or "l2h" in key or "l2l" in key]


def test_no_layer_holds_a_function_that_cannot_be_pickled():
    class Pickler(pickle.Pickler):
        def reducer_override(self, value):
            # Paddle 2.6 pickles no parameters; here only what the layers themselves hold is asked for.
            return (np.asarray, (value.numpy(),)) if isinstance(value, paddle.Tensor) else NotImplemented

    Pickler(io.BytesIO()).dump(small())


def test_a_copy_computes_the_same_and_is_independent():
    model = small()
    images = paddle.randn([1, 3, 32, 32])
    expected = model(images).numpy()
    other = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    assert (other(images).numpy() == expected).all()


@TRACING_WARNS
@pytest.mark.parametrize("alpha", [0.5, 1])
def test_the_exported_program_gives_equal_logits_for_any_batch(alpha, tmp_path):
    model = small(alpha=alpha)
    float64_state(model)
    model.to(dtype="float32")
    images = paddle.randn([3, 3, 37, 50])
    expected = model(images).numpy()
    spec = paddle.static.InputSpec([None, 3, 37, 50], "float32", "images")
    paddle.jit.save(model, str(tmp_path / "inference"), input_spec=[spec])
    program = paddle.jit.load(str(tmp_path / "inference"))
    program.eval()
    np.testing.assert_allclose(program(images).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(program(images[:1]).numpy(), expected[:1], rtol=1e-5, atol=1e-6)


class EveryPath(nn.Layer):
    """All four paths, batch norm and activation, on maps of odd size."""

    def __init__(self):
        super().__init__()
        both = OctaveChannels(4, 4)
        self.first = OctConv2D(OctaveChannels(3), both, kernel_size=3)
        self.norm, self.relu = OctBatchNorm(both), OctActivation(nn.ReLU())
        self.second = OctConv2D(both, both, kernel_size=3, stride=2)
        self.third = OctConv2D(both, OctaveChannels(5), kernel_size=1)

    def forward(self, x):
        return leave(self.third(self.second(self.relu(self.norm(self.first(enter(x)))))))


class DownAndUp(nn.Layer):
    """A map splits and joins."""

    def __init__(self):
        super().__init__()
        self.split = OctConv2D(OctaveChannels(3), OctaveChannels(2, 2), kernel_size=1)
        self.join = OctConv2D(OctaveChannels(2, 2), OctaveChannels(2), kernel_size=1)

    def forward(self, x):
        return leave(self.join(self.split(enter(x))))


def assert_traced_gradients_equal_eager_ones(build, full_graph):
    def gradients(trace):
        paddle.seed(0)
        model = build()
        step = paddle.jit.to_static(model, full_graph=full_graph) if trace else model
        (step(images) ** 3).mean().backward()
        return [parameter.grad.numpy() for parameter in model.parameters() if not parameter.stop_gradient]

    images = paddle.to_tensor(np.random.default_rng(0).standard_normal([2, 3, 9, 7]).astype("float32"))
    for eager, traced in zip(gradients(trace=False), gradients(trace=True), strict=True):
        np.testing.assert_allclose(traced, eager, rtol=1e-4, atol=1e-5 * np.abs(eager).max())


@TRACING_WARNS
def test_a_step_traced_from_source_has_the_gradients_of_an_eager_one():
    assert_traced_gradients_equal_eager_ones(EveryPath, full_graph=True)


@TRACING_WARNS
def test_a_step_traced_from_bytecode_has_the_gradients_of_an_eager_one():
    assert_traced_gradients_equal_eager_ones(DownAndUp, full_graph=False)

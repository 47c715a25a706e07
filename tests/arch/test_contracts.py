"""What every network of the zoo owes, plain and in octaves: any size, precisions, gradients, equal programs."""

import numpy as np
import paddle
import pytest
from octave_reference import float64_state
from zoo import networks, smallest_of_each_file

from ppcls.arch.summary import build_lazily, summarize
from ppcls.registry import BACKBONES

SLOW = {("OctResNet152_v1f", 0), ("OctResNet152_v1f", 0.5), ("DenseNet121", 0.5), ("OctDenseNet121", 0)}  # 10 to 30 s
CASES = [(name, alpha) for name in smallest_of_each_file() for alpha in (0, 0.5)]
PARAMS = [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in CASES]
SIZES = [(33, 33), (47, 65), (1, 1)]

pytestmark = pytest.mark.filterwarnings(  # Paddle 3.x of its own code, Paddle 2.6 of every sum
    "ignore:Tensor do not have 'place' interface", "ignore:(?s).*The behavior of expression"
)


def images(size, dtype="float64"):
    return paddle.to_tensor(np.random.default_rng(0).standard_normal([2, 3, *size]).astype(dtype))


@pytest.fixture(scope="module", params=PARAMS, ids=lambda case: f"{case[0]}-{case[1]}")
def network(request):
    """In float64, its running statistics not those of a fresh network."""
    name, alpha = request.param
    paddle.seed(0)
    model = BACKBONES.get(name)(class_num=10, alpha=alpha)
    float64_state(model)
    return model


@pytest.mark.parametrize("size", SIZES)
def test_odd_oblong_and_single_pixel_images_work_in_training_and_evaluation(network, size):
    for is_training in (True, False):
        (network.train if is_training else network.eval)()
        with paddle.no_grad():
            logits = network(images(size)).numpy()
        assert logits.shape == (2, 10)
        assert np.isfinite(logits).all()
        if not is_training:
            assert (logits[0] != logits[1]).any()


def test_every_parameter_gets_a_gradient_in_float64(network):
    network.train()
    logits = network(images((37, 50)))
    assert logits.dtype == paddle.float64
    (logits**2).sum().backward()
    for name, parameter in network.named_parameters():
        if not parameter.stop_gradient:
            gradient = parameter.grad.numpy()
            assert np.isfinite(gradient).all(), name
            assert gradient.any(), name
    network.clear_gradients()


def test_float32_and_the_static_program_agree_with_float64(network):
    float64_state(network)
    expected = network(images((37, 50))).numpy()
    network.to(dtype="float32")
    traced = paddle.jit.to_static(network, full_graph=True)
    try:
        eager = network.forward.dygraph_function(images((37, 50), "float32")).numpy()
        static = traced(images((37, 50), "float32")).numpy()
    finally:
        network.forward.rollback()
        network.to(dtype="float64")
    np.testing.assert_allclose(eager, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(static, eager, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", networks())
def test_every_network_of_the_zoo_takes_an_odd_oblong_image(name):
    summary = summarize(build_lazily(lambda: BACKBONES.get(name)(class_num=10)), [3, 47, 65])
    assert summary.activations > 0


@pytest.mark.parametrize("name", ["MobileNetV1_x0_25", "ResNet18", "DenseNet121", "OctMobileNetV1_x0_75"])
def test_a_program_traced_from_bytecode_answers_as_the_network(name):
    model = BACKBONES.get(name)(class_num=10, alpha=0.5)
    model.eval()
    x = images((37, 50), "float32")
    expected = model(x).numpy()
    np.testing.assert_allclose(paddle.jit.to_static(model)(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_refused_by_paddle_on_a_cpu_at_the_convolution():
    """No network can be cast as a whole there: ``conv2d`` has float32 and float64 kernels alone."""
    model = BACKBONES.get("MobileNetV1_x0_25")(class_num=10)
    model.to(dtype="bfloat16")
    with pytest.raises(RuntimeError, match="kernel `conv2d` is not registered"):
        model(images((33, 33), "float32").astype("bfloat16"))

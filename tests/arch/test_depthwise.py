"""The product that trains small maps on a CPU is the convolution."""

from unittest import mock

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls.arch.layers import depthwise
from ppcls.arch.layers.conv_bn import conv2d
from ppcls.arch.layers.depthwise import DepthwiseConv2D


def both(kernel: int, height: int, width: int, samples: int = 2) -> list[dict[str, np.ndarray]]:
    """Output and gradients of the product (train) and of Paddle's convolution (eval), in float64."""
    layer = DepthwiseConv2D(5, kernel)
    layer.to(dtype="float64")
    rng = np.random.default_rng(0)
    layer.bias.set_value(rng.standard_normal(5))
    images = rng.standard_normal((samples, 5, height, width))
    answers = []
    for set_mode in (layer.train, layer.eval):
        set_mode()
        x = paddle.to_tensor(images, stop_gradient=False)
        y = layer(x)
        (y * y).sum().backward()
        answers.append(
            {"y": y.numpy(), "x": x.grad.numpy(), "w": layer.weight.grad.numpy(), "b": layer.bias.grad.numpy()}
        )
        layer.clear_gradients()
    return answers


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (3, 7), (8, 8), (1, 5), (9, 9)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_training_and_evaluation_are_the_same_function(kernel: int, height: int, width: int) -> None:
    trained, evaluated = both(kernel, height, width)
    for name, value in evaluated.items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_larger_maps_are_the_same_function_in_batches_for_which_matrices_pay() -> None:
    with mock.patch.object(depthwise, "_by_matrices", wraps=depthwise._by_matrices) as product:
        trained, evaluated = both(3, 12, 12, samples=16)
        both(3, 12, 12, samples=15)
        both(3, 12, 13, samples=64)
    assert product.call_count == 1
    for name, value in evaluated.items():
        np.testing.assert_allclose(trained[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_only_depthwise_layers_of_stride_one_are_built_this_way() -> None:
    assert type(conv2d(4, 4, 3, groups=4)) is DepthwiseConv2D
    assert type(conv2d(4, 4, 3, stride=2, groups=4)) is nn.Conv2D
    assert type(conv2d(4, 8, 3, groups=4)) is nn.Conv2D
    assert type(conv2d(1, 1, 3)) is nn.Conv2D


def test_the_state_is_that_of_a_convolution() -> None:
    state = conv2d(4, 4, 3, groups=4, bias=True).state_dict()
    assert {name: value.shape for name, value in state.items()} == {"weight": [4, 1, 3, 3], "bias": [4]}

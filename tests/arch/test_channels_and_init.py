"""Widths, and the values that layers start with."""

import numpy as np
import paddle
import pytest

from ppcls.arch.layers import channels
from ppcls.arch.layers.conv_bn import batch_norm, conv2d, linear


def test_widths_are_truncated():
    base = (32, 16, 24, 32, 64, 96, 160, 320, 1280)
    assert [channels.scale_channels(c, 1.125) for c in base] == [36, 18, 27, 36, 72, 108, 180, 360, 1440]


def test_a_scale_that_leaves_no_channel_is_refused():
    with pytest.raises(ValueError, match=r"scale 0.01 leaves 0 of 16 channels; use a larger one"):
        channels.scale_channels(16, 0.01)


@pytest.mark.parametrize("scale", [0, -1.0, float("inf"), float("nan"), "1.0", True, None])
def test_a_scale_that_is_no_positive_number_is_refused(scale):
    with pytest.raises(ValueError, match="scale multiplies every width and is above 0; got"):
        channels.check_scale(scale)


@pytest.mark.parametrize("class_num", [0, -3, 2.0, "10", True])
def test_a_class_num_that_is_no_count_is_refused(class_num):
    with pytest.raises(ValueError, match="class_num is the number of classes, a whole number from 1; got"):
        channels.check_class_num(class_num)


@pytest.mark.parametrize("dropout", [-0.1, 1, "0.2", False])
def test_a_dropout_that_is_no_probability_below_one_is_refused(dropout):
    with pytest.raises(ValueError, match=r"dropout is the share of features .* in \[0, 1\); got"):
        channels.check_dropout(dropout)


@pytest.mark.parametrize(("in_channels", "kernel_size", "groups"), [(64, 3, 1), (64, 3, 64), (256, 1, 1)])
def test_convolutions_start_normal_with_the_input_channels_of_all_groups(in_channels, kernel_size, groups):
    paddle.seed(0)
    weight = conv2d(in_channels, 4096, kernel_size, groups=groups).weight.numpy()
    std = np.sqrt(2.0 / (kernel_size**2 * in_channels))
    assert weight.std() == pytest.approx(std, rel=0.02)
    assert abs(weight.mean()) < 0.01 * std * np.sqrt(2)
    assert np.mean(np.abs(weight) < std) == pytest.approx(0.6827, abs=0.01)  # normal, not uniform


def test_linear_layers_start_uniform():
    paddle.seed(0)
    layer = linear(300, 500)
    bound = np.sqrt(6.0 / (300 + 500))
    weight = layer.weight.numpy()
    assert weight.shape == (300, 500)
    assert 0.999 * bound < np.abs(weight).max() <= bound
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert (layer.bias.numpy() == 0).all()


def test_norms_start_as_identity_and_biases_at_zero():
    norm, conv = batch_norm(3), conv2d(2, 5, 1, bias=True)
    values = [norm.weight, norm.bias, norm._mean, norm._variance, conv.bias]
    assert [set(value.numpy().tolist()) for value in values] == [{1.0}, {0.0}, {0.0}, {1.0}, {0.0}]


def test_the_same_seed_starts_the_same_weights():
    def draw():
        paddle.seed(7)
        return conv2d(3, 4, 3).weight.numpy()

    assert (draw() == draw()).all()

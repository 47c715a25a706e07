"""Batch norm and activations of octave maps."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls.arch.layers.oct_layers import OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import Octave, OctaveChannels


def test_each_part_is_normalised_by_its_own_statistics():
    rng = np.random.default_rng(0)
    high, low = 3 + 2 * rng.standard_normal([4, 3, 6, 6]), -5 + 0.5 * rng.standard_normal([4, 2, 3, 3])
    norm = OctBatchNorm(OctaveChannels(3, 2))
    norm.to(dtype="float64")
    y = norm(Octave(paddle.to_tensor(high), paddle.to_tensor(low)))
    for ours, x in ((y.high, high), (y.low, low)):
        mean, variance = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
        np.testing.assert_allclose(ours.numpy(), (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-9, atol=1e-9)


def test_momentum_is_the_share_that_stays():
    norm = OctBatchNorm(OctaveChannels(1), momentum=0.92)
    norm(Octave(paddle.full([1, 1, 2, 2], 5.0), None))
    assert norm.bn_h._mean.item() == pytest.approx(0.08 * 5.0)


def test_epsilon_reaches_the_norm():
    norm = OctBatchNorm(OctaveChannels(0, 1), epsilon=3.0)
    norm.eval()
    assert norm(Octave(None, paddle.ones([1, 1, 1, 1]))).low.item() == pytest.approx(0.5)


def test_an_absent_part_has_no_parameters_and_its_map_keeps_its_size():
    norm, relu = OctBatchNorm(OctaveChannels(0, 2)), OctActivation(nn.ReLU6())
    assert list(norm.state_dict()) == ["bn_l.weight", "bn_l.bias", "bn_l._mean", "bn_l._variance"]
    y = relu(norm(Octave(None, paddle.zeros([1, 2, 3, 3]), size=(5, 6))))
    assert (y.high, y.low.shape, y.size) == (None, [1, 2, 3, 3], (5, 6))


def test_an_activation_acts_on_both_parts():
    y = OctActivation(nn.ReLU6())(Octave(paddle.full([1, 1, 2, 2], 9.0), paddle.full([1, 1, 1, 1], -9.0)))
    assert (y.high.max().item(), y.low.item()) == (6.0, 0.0)

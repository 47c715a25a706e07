"""Batch norm and activations of octave maps."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls.arch.layers.head import Head
from ppcls.arch.layers.oct_layers import Enter, Leave, OctActivation, OctAvgPool, OctBatchNorm, OctMaxPool
from ppcls.arch.layers.octave import Octave, OctaveChannels, full_size


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


def test_max_pool_takes_the_largest_of_nine_pixels_in_each_part():
    high = paddle.arange(25, dtype="float32").reshape([1, 1, 5, 5])
    y = OctMaxPool()(Octave(high, -paddle.arange(9, dtype="float32").reshape([1, 1, 3, 3])))
    assert y.high.numpy().tolist() == [[[[6, 8, 9], [16, 18, 19], [21, 23, 24]]]]
    assert y.low.numpy().tolist() == [[[[0, -1], [-3, -4]]]]


def test_average_pool_counts_only_the_pixels_inside():
    y = OctAvgPool()(Octave(paddle.arange(9, dtype="float32").reshape([1, 1, 3, 3]), paddle.full([1, 2, 2, 2], 7.0)))
    assert y.high.numpy().tolist() == [[[[2, 3.5], [6.5, 8]]]]
    assert y.low.numpy().tolist() == [[[[7]], [[7]]]]


@pytest.mark.parametrize("pool", [OctMaxPool(), OctAvgPool()])
@pytest.mark.parametrize("size", [(1, 1), (5, 6), (7, 2), (8, 9)])
def test_pooled_parts_still_belong_to_one_map(pool, size):
    height, width = size
    low = paddle.zeros([1, 1, -(-height // 2), -(-width // 2)])
    y = pool(Octave(paddle.zeros([1, 1, height, width]), low))
    assert y.low.shape[2:] == [-(-side // 2) for side in y.high.shape[2:]]
    alone = pool(Octave(None, low, size))
    assert list(full_size(alone)) == y.high.shape[2:]
    assert alone.low.shape == y.low.shape


def test_leaving_gives_what_entered():
    x = paddle.randn([1, 2, 3, 3])
    assert (Leave()(OctAvgPool()(Enter()(x))).numpy() == OctAvgPool()(Enter()(x)).high.numpy()).all()
    assert Leave()(Enter()(x)) is x


def test_the_head_is_a_linear_map_of_means():
    head = Head(4, class_num=3)
    x = np.random.default_rng(0).standard_normal([2, 4, 5, 3]).astype("float32")
    weight, bias = head.classifier.weight.numpy(), head.classifier.bias.numpy()
    np.testing.assert_allclose(head(paddle.to_tensor(x)).numpy(), x.mean((2, 3)) @ weight + bias, rtol=1e-5, atol=1e-6)


def test_a_head_without_classes_is_refused():
    with pytest.raises(ValueError, match="class_num is the number of classes"):
        Head(4, class_num=0)

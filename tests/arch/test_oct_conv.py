"""Octave convolution against numpy loops."""

import itertools

import numpy as np
import paddle
import pytest
from octave_reference import NumpyOps, oct_conv

from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.octave import Octave, OctaveChannels

PATHS = ("l2l", "l2h", "h2l", "h2h")
ALPHAS = (0, 0.25, 0.5, 1)


def random_map(channels, size, seed=0):
    rng = np.random.default_rng(seed)
    low_size = [-(-side // 2) for side in size]
    high = rng.standard_normal([2, channels.high, *size]) if channels.high else None
    low = rng.standard_normal([2, channels.low, *low_size]) if channels.low else None
    return high, low


def as_octave(high, low, size):
    parts = (None if part is None else paddle.to_tensor(part) for part in (high, low))
    return Octave(*parts, None if high is not None else size)


def weights_of(conv):
    return {path: getattr(conv, f"conv_{path}").weight.numpy() for path in PATHS if getattr(conv, f"conv_{path}")}


def assert_parts_equal(y, expected):
    for part, wanted in zip((y.high, y.low), expected, strict=True):
        assert (part is None) == (wanted is None)
        if part is not None:
            np.testing.assert_allclose(part.numpy(), wanted, rtol=1e-12, atol=1e-12)


def check(in_channels, out_channels, size, groups=1, path_groups=None, **kwargs):
    conv = OctConv2D(in_channels, out_channels, groups=groups, **kwargs)
    conv.to(dtype="float64")
    high, low = random_map(in_channels, size)
    y = conv(as_octave(high, low, size))
    weights = weights_of(conv)
    by_path = path_groups or dict.fromkeys(weights, groups)
    assert_parts_equal(y, oct_conv(NumpyOps, weights, high, low, size, kwargs.get("stride", 1), by_path))
    return y


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("alpha_in", "alpha_out"), list(itertools.product(ALPHAS, ALPHAS)))
def test_any_alphas_and_sizes_agree_with_numpy(alpha_in, alpha_out, stride):
    channels = OctaveChannels.split(8, alpha_in), OctaveChannels.split(12, alpha_out)
    for size in ((8, 8), (7, 6), (5, 9), (1, 1), (2, 1), (3, 3)):
        check(*channels, size, kernel_size=3, stride=stride)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 5])
def test_other_kernels_agree_with_numpy(kernel_size, stride):
    check(OctaveChannels(4, 2), OctaveChannels(3, 5), (7, 10), kernel_size=kernel_size, stride=stride)


@pytest.mark.parametrize("stride", [1, 2])
def test_groups_hold_in_every_path(stride):
    check(OctaveChannels(4, 2), OctaveChannels(6, 4), (7, 8), groups=2, kernel_size=3, stride=stride)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [OctaveChannels(5, 3), OctaveChannels(6, 0), OctaveChannels(0, 6)])
def test_depthwise_keeps_the_octaves_apart(channels, stride):
    by_path = {"h2h": channels.high, "l2l": channels.low}
    check(channels, channels, (7, 9), channels.total, by_path, kernel_size=3, stride=stride)
    conv = OctConv2D(channels, channels, kernel_size=3, stride=stride, groups=channels.total)
    assert {path: weight.shape for path, weight in weights_of(conv).items()} == {
        path: (count, 1, 3, 3) for path, count in by_path.items() if count
    }


def test_two_high_channels_of_a_1x1_are_not_depthwise():
    assert OctConv2D(OctaveChannels(2), OctaveChannels(2), kernel_size=1).conv_h2h.weight.shape == [2, 2, 1, 1]


def test_pooling_by_four_at_once_is_not_pooling_by_two_twice():
    # 7 rows: the last window of 4 holds 3 rows, which two pools weigh 1/4, 1/4, 1/2.
    conv = OctConv2D(OctaveChannels(1), OctaveChannels(0, 1), kernel_size=1, stride=2)
    conv.conv_h2l.weight.set_value(paddle.ones([1, 1, 1, 1]))
    x = paddle.arange(7, dtype="float32").reshape([1, 1, 7, 1])
    assert conv(Octave(x, None)).low.numpy().ravel().tolist() == [1.5, 5.0]


def test_low_octave_rounds_up_on_odd_sides():
    y = check(OctaveChannels(6, 2), OctaveChannels(4, 4), (7, 7), kernel_size=3, stride=2)
    assert (y.high.shape, y.low.shape) == ([2, 4, 4, 4], [2, 4, 2, 2])


def test_a_map_without_high_part_remembers_its_odd_size():
    down = OctConv2D(OctaveChannels(3), OctaveChannels(0, 4), kernel_size=1)
    up = OctConv2D(OctaveChannels(0, 4), OctaveChannels(2), kernel_size=1)
    stride = OctConv2D(OctaveChannels(0, 4), OctaveChannels(0, 4), kernel_size=1, stride=2)
    x = Octave(paddle.zeros([1, 3, 7, 10]), None)
    assert up(down(x)).high.shape == [1, 2, 7, 10]
    assert stride(down(x)).size == (4, 5)
    assert up(stride(down(x))).high.shape == [1, 2, 4, 5]


def test_a_map_of_low_part_alone_counts_as_even():
    up = OctConv2D(OctaveChannels(0, 4), OctaveChannels(2), kernel_size=1)
    assert up(Octave(None, paddle.zeros([1, 4, 3, 5]))).high.shape == [1, 2, 6, 10]


def test_the_paths_hold_the_parameters_of_the_plain_convolution():
    conv = OctConv2D(OctaveChannels(6, 4), OctaveChannels(8, 4), kernel_size=3, groups=2)
    assert sum(weight.size for weight in weights_of(conv).values()) == 3 * 3 * 10 * 12 // 2


def test_weights_come_in_the_order_of_the_official_files():
    conv = OctConv2D(OctaveChannels(2, 2), OctaveChannels(2, 2), kernel_size=1)
    assert list(conv.state_dict()) == [f"conv_{path}.weight" for path in PATHS]


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "groups", "biases"),
    [
        (OctaveChannels(4, 4), OctaveChannels(4, 4), 1, {"h2h", "h2l"}),
        (OctaveChannels(8), OctaveChannels(4, 4), 1, {"h2h", "h2l"}),
        (OctaveChannels(0, 8), OctaveChannels(4, 4), 1, {"l2h", "l2l"}),
        (OctaveChannels(4, 4), OctaveChannels(0, 8), 1, {"h2l"}),
        (OctaveChannels(4, 4), OctaveChannels(4, 4), 8, {"h2h", "l2l"}),
    ],
)
def test_each_output_part_has_one_bias(in_channels, out_channels, groups, biases):
    conv = OctConv2D(in_channels, out_channels, kernel_size=1, groups=groups, bias=True)
    assert {key[5:8] for key in conv.state_dict() if key.endswith("bias")} == biases
    for key, value in conv.state_dict().items():
        value.set_value(paddle.full(value.shape, 3.0 if key.endswith("bias") else 0.0))
    high, low = random_map(in_channels, (4, 4))
    parts = (None if part is None else paddle.to_tensor(part.astype("float32")) for part in (high, low))
    y = conv(Octave(*parts))
    for part in (y.high, y.low):
        assert part is None or (part.numpy() == 3.0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 2}, "kernel_size of an octave convolution is odd; got 2"),
        ({"kernel_size": 3, "stride": 3}, "stride of an octave convolution is 1 or 2; got 3"),
        ({"kernel_size": 3, "groups": 0}, "groups is at least 1; got 0"),
        ({"kernel_size": 3, "groups": 4}, r"groups 4 does not divide both parts of OctaveChannels\(high=6, low=2\)"),
    ],
)
def test_arguments_out_of_bounds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        OctConv2D(OctaveChannels(6, 2), OctaveChannels(4, 4), **arguments)


def test_a_map_with_other_parts_than_the_layer_expects_is_an_error():
    conv = OctConv2D(OctaveChannels(2, 2), OctaveChannels(2), kernel_size=1)
    with pytest.raises(AssertionError, match="low part"):
        conv(Octave(paddle.zeros([1, 2, 4, 4]), None))


def test_gradients_agree_with_finite_differences():
    conv = OctConv2D(OctaveChannels(2, 1), OctaveChannels(1, 2), kernel_size=3)
    conv.to(dtype="float64")
    size = (5, 3)
    high, low = random_map(OctaveChannels(2, 1), size)
    directions = random_map(OctaveChannels(2, 1), size, seed=1)

    def loss(step):
        y = conv(as_octave(high + step * directions[0], low + step * directions[1], size))
        return float((y.high**2).sum() + (y.low**2).sum())

    x = as_octave(high, low, size)
    x.high.stop_gradient = x.low.stop_gradient = False
    y = conv(x)
    ((y.high**2).sum() + (y.low**2).sum()).backward()
    along = (x.high.grad.numpy() * directions[0]).sum() + (x.low.grad.numpy() * directions[1]).sum()
    assert along == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=1e-7)

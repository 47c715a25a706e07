"""The layer that is plain without low parts and octave with them."""

import numpy as np
import paddle
import pytest

from ppcls.arch.layers.oct_conv_bn import Channels, OctBNConv, OctConvBN, Style
from ppcls.arch.layers.octave import Octave, OctaveChannels, enter, leave
from ppcls.arch.layers.resample import shrink


def test_channels_of_one_piece_are_high_then_low():
    channels = Channels.split(10, 0.25)
    assert channels.parts == OctaveChannels(8, 2)
    assert channels.high_and_low() == ([*range(8)], [8, 9])


def test_each_group_is_a_piece():
    channels = Channels.split(12, 0.5, groups=3)
    assert channels.parts == OctaveChannels(6, 6)
    assert channels.high_and_low() == ([0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11])


def test_concatenated_channels_keep_their_pieces():
    channels = Channels.split(4, 0) + Channels.split(4, 0.25) + Channels.split(4, 0.25)
    assert channels.parts == OctaveChannels(10, 2)
    assert channels.high_and_low() == ([0, 1, 2, 3, 4, 5, 6, 8, 9, 10], [7, 11])


@pytest.mark.parametrize("alpha", [0.125, 0.3])
def test_groups_that_do_not_divide_are_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha .* splits 128 channels into .* 32 groups do not divide"):
        Channels.split(128, alpha, groups=32)


def names(layer):
    return list(layer.state_dict())


@pytest.mark.parametrize("kind", [OctConvBN, OctBNConv])
def test_names_are_plain_without_low_parts(kind):
    layer = kind(Channels.split(4, 0), Channels.split(6, 0), 3, style=Style("conv", "bn"))
    norm = ["bn.weight", "bn.bias", "bn._mean", "bn._variance"]
    assert names(layer) == (["conv.weight", *norm] if kind is OctConvBN else [*norm, "conv.weight"])


def test_a_norm_is_plain_where_its_map_has_no_low_part():
    merging = OctConvBN(Channels.split(4, 0.5), Channels.split(6, 0), 1)
    assert names(merging)[:3] == ["_conv.conv_l2h.weight", "_conv.conv_h2h.weight", "_batch_norm.weight"]
    splitting = OctBNConv(Channels.split(4, 0), Channels.split(6, 0.5), 1)
    assert names(splitting)[-2:] == ["_conv.conv_h2l.weight", "_conv.conv_h2h.weight"]
    assert names(splitting)[0] == "_batch_norm.weight"


@pytest.mark.parametrize("pools", [False, True])
def test_a_plain_stride_skips_or_pools_as_the_style_says(pools):
    layer = OctConvBN(Channels.split(3, 0), Channels.split(2, 0), 3, stride=2, style=Style(pools=pools))
    layer.eval()
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal([1, 3, 7, 9]).astype("float32"))
    at_one = paddle.nn.functional.conv2d(shrink(x, 2) if pools else x, layer._conv.weight, padding=1)
    expected = at_one if pools else at_one[:, :, ::2, ::2]
    np.testing.assert_allclose(
        leave(layer(enter(x))).numpy(), expected.numpy() / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-5
    )


def test_both_parts_go_through_convolution_and_norm():
    channels = Channels.split(8, 0.25)
    layer = OctConvBN(channels, channels, 3, stride=2)
    y = layer(Octave(paddle.randn([2, 6, 10, 6]), paddle.randn([2, 2, 5, 3])))
    assert (y.high.shape, y.low.shape) == ([2, 6, 5, 3], [2, 2, 3, 2])
    np.testing.assert_allclose(y.low.mean([0, 2, 3]).numpy(), 0, atol=1e-5)

"""Octave maps: the split of channels, sums and concatenation."""

import paddle
import pytest

from ppcls.arch.layers import octave
from ppcls.arch.layers.octave import Octave, OctaveChannels


@pytest.mark.parametrize(
    ("channels", "alpha", "high", "low"),
    [
        (162, 0.375, 102, 60),
        (27, 0.5, 14, 13),
        (64, 0.125, 56, 8),
        (10, 0, 10, 0),
        (10, 1, 0, 10),
        (3, 0.25, 3, 0),
    ],
)
def test_low_channels_are_truncated_and_high_ones_are_the_rest(channels, alpha, high, low):
    assert OctaveChannels.split(channels, alpha) == OctaveChannels(high=high, low=low)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan"), "0.5", None, True])
def test_alpha_that_is_no_share_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha is the share of low-frequency channels, in \[0, 1\]; got"):
        OctaveChannels.split(8, alpha)


@pytest.mark.parametrize(("high", "low"), [(-1, 4), (4, -1), (0, 0)])
def test_channels_below_zero_or_none_at_all_are_refused(high, low):
    with pytest.raises(ValueError, match="0 or more channels an octave and at least one in all"):
        OctaveChannels(high, low)


def test_a_part_that_only_one_map_has_passes_through_sum_and_concatenation():
    both = Octave(paddle.ones([1, 2, 4, 4]), paddle.ones([1, 1, 2, 2]))
    plain = octave.enter(paddle.full([1, 2, 4, 4], 2.0))
    for y in (octave.add(both, plain), octave.add(plain, both)):
        assert (y.high.numpy() == 3.0).all()
        assert y.low is both.low
    for y in (octave.concat(both, plain), octave.concat(plain, both)):
        assert (y.high.shape, y.low.shape) == ([1, 4, 4, 4], [1, 1, 2, 2])
    assert octave.concat(both, plain).high.numpy()[0, :, 0, 0].tolist() == [1.0, 1.0, 2.0, 2.0]


def test_maps_of_different_size_are_not_broadcast():
    x, y = octave.enter(paddle.ones([1, 2, 4, 4])), octave.enter(paddle.ones([1, 2, 1, 1]))
    with pytest.raises(AssertionError, match="one size"):
        octave.add(x, y)


def test_a_map_with_a_low_part_cannot_leave():
    with pytest.raises(AssertionError, match="alpha_out = 0"):
        octave.leave(Octave(paddle.ones([1, 1, 2, 2]), paddle.ones([1, 1, 1, 1])))

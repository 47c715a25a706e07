"""Octave weights sliced from plain ones: a map that is the same everywhere passes as before, no number is lost."""

import math

import numpy as np
import paddle
import pytest
from octave_reference import float64_state

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.octavize import octave_weights
from ppcls.registry import BACKBONES

FAMILIES = [
    *(("MobileNetV1_x0_25", 0.5), ("MobileNetV2_x0_25", 0.375), ("ResNet18", 0.5), ("ResNet18_vd", 0.25)),
    *(("ResNet50", 0.125), ("ResNeXt50_32x4d", 0.25), ("SE_ResNet18_vd", 0.5), ("DenseNet121", 0.125)),
    *(("MobileNetV1_x0_25", 1), ("ResNet18", 1), ("DenseNet121", 1), ("SE_ResNeXt50_vd_32x4d", 0.5)),
]


def pair(name, alpha, only_centres=False):
    """The plain network with float64 weights, and its octave network with theirs.

    Args:
        only_centres: kernels are 0 but for their middle, so that padding has no effect.
    """
    paddle.seed(0)
    plain, octave = (BACKBONES.get(name)(alpha=a, class_num=5) for a in (0, alpha))
    weights = float64_state(plain)
    for value in weights.values():
        if only_centres and value.ndim == 4 and value.shape[2] > 1:
            middle = value[:, :, value.shape[2] // 2, value.shape[3] // 2].copy() * value.shape[2]
            value[:] = 0
            value[:, :, value.shape[2] // 2, value.shape[3] // 2] = middle
    octave.to(dtype="float64")
    sliced = octave_weights(octave, weights)
    for model, arrays in ((plain, weights), (octave, sliced)):
        assert model.set_state_dict({k: paddle.to_tensor(v) for k, v in arrays.items()}) == ([], [])
        model.eval()
    return plain, octave, weights, sliced


@pytest.mark.parametrize(("name", "alpha"), FAMILIES)
def test_an_image_of_one_colour_gives_the_plain_logits_where_padding_has_no_effect(name, alpha):
    plain, octave, _, _ = pair(name, alpha, only_centres=True)
    colours = paddle.to_tensor(np.random.default_rng(3).standard_normal([3, 3, 1, 1])).expand([3, 3, 64, 64])
    expected = plain(colours).numpy()
    assert np.ptp(expected, axis=0).max() > 1e-3  # it does tell colours apart
    np.testing.assert_allclose(octave(colours).numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "alpha"), FAMILIES)
def test_every_number_of_the_plain_network_is_there_once(name, alpha):
    with paddle.LazyGuard():
        plain = BACKBONES.get(name)().state_dict()
        octave = BACKBONES.get(name)(alpha=alpha)
    sizes = [math.prod(value.shape) for value in plain.values()]
    pieces = np.split(np.arange(sum(sizes), dtype=np.int32), np.cumsum(sizes)[:-1])
    numbered = {key: piece.reshape(plain[key].shape) for key, piece in zip(plain, pieces, strict=True)}
    sliced = octave_weights(octave, numbered)
    assert list(sliced) == list(octave.state_dict())
    seen = np.concatenate([value.ravel() for value in sliced.values()])
    assert np.array_equal(np.bincount(seen), np.ones(sum(sizes)))


def test_kernels_are_cut_along_outputs_and_inputs_high_ones_first():
    _, _, weights, sliced = pair("ResNet18", 0.25)
    kernels = weights["blocks.3.conv1.conv.weight"]  # 128 -> 128
    name = "blocks.3.conv1.conv.conv_{}.weight"
    assert np.array_equal(sliced[name.format("h2h")], kernels[:96, :96])
    assert np.array_equal(sliced[name.format("h2l")], kernels[96:, :96])
    assert np.array_equal(sliced[name.format("l2h")], kernels[:96, 96:])
    assert np.array_equal(sliced[name.format("l2l")], kernels[96:, 96:])
    assert np.array_equal(sliced["blocks.3.conv1.bn.bn_l._mean"], weights["blocks.3.conv1.bn._mean"][96:])


def test_each_group_gives_its_share_to_both_parts():
    _, _, weights, sliced = pair("ResNeXt50_32x4d", 0.25)
    kernels = weights["bb_0_1.conv1._conv.weight"]  # 32 groups of 4 -> 4
    low = [channel for channel in range(128) if channel % 4 == 3]
    assert np.array_equal(sliced["bb_0_1.conv1._conv.conv_l2l.weight"], kernels[low][:, 3:])
    assert np.array_equal(sliced["bb_0_1.conv0._conv.conv_h2l.weight"], weights["bb_0_1.conv0._conv.weight"][low, :192])


def test_a_dense_layer_takes_its_low_inputs_from_each_layer_before_it():
    _, _, weights, sliced = pair("DenseNet121", 0.125)
    low = [*range(64 + 28, 64 + 32), *range(64 + 32 + 28, 64 + 64)]  # the stem's 64 have none
    prefix = "db_conv_2.conv2_3.bn_ac_func1"
    assert np.array_equal(sliced[f"{prefix}._batch_norm.bn_l.bias"], weights[f"{prefix}._batch_norm.bias"][low])
    assert np.array_equal(sliced[f"{prefix}._conv.conv_l2l.weight"], weights[f"{prefix}._conv.weight"][112:, low])


def test_foreign_weights_are_a_mistake_of_the_caller():
    octave = BACKBONES.get("ResNet18")(alpha=0.5, class_num=5)
    weights = float64_state(BACKBONES.get("ResNet18")(class_num=4))
    with pytest.raises(AssertionError, match="of this very network"):
        octave_weights(octave, weights)

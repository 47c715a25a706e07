"""Squeeze and excitation over two octaves, against its formula."""

import numpy as np
import paddle
import pytest

from ppcls.arch.layers.oct_squeeze_excite import OctSqueezeExcite
from ppcls.arch.layers.octave import Octave, OctaveChannels


def draw(rng, layer):
    for parameter in layer.parameters():
        parameter.set_value(rng.standard_normal(parameter.shape).astype("float32"))


@pytest.mark.parametrize("channels", [OctaveChannels(24, 8), OctaveChannels(32), OctaveChannels(0, 32)])
def test_gates_follow_the_formula(channels):
    rng = np.random.default_rng(0)
    layer = OctSqueezeExcite(channels)
    draw(rng, layer)
    sizes = {"high": (channels.high, 6), "low": (channels.low, 3)}
    parts = {name: rng.standard_normal([2, c, side, side]).astype("float32") for name, (c, side) in sizes.items() if c}
    y = layer(Octave(*(paddle.to_tensor(parts[name]) if name in parts else None for name in sizes), size=(6, 6)))

    means = np.concatenate([part.mean((2, 3)) for part in parts.values()], axis=1)
    t = np.maximum(means @ layer.squeeze.weight.numpy() + layer.squeeze.bias.numpy(), 0)
    assert t.shape == (2, 2)
    for name, excite in (("high", layer.excite_h), ("low", layer.excite_l)):
        if name not in parts:
            assert getattr(y, name) is None
            continue
        gate = 1 / (1 + np.exp(-(t @ excite.weight.numpy() + excite.bias.numpy())))
        expected = parts[name] * gate[:, :, None, None]
        np.testing.assert_allclose(getattr(y, name).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert y.size == (6, 6)


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match="15 channels squeezed by 16 leave none"):
        OctSqueezeExcite(OctaveChannels(15))

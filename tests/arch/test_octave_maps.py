"""The trace of an octave network: its maps, their spectra, and the cost of each path."""

import numpy as np
import paddle
import pytest

from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import OctMobileNetV2
from ppcls.arch.octave_maps import PATHS, spectrum, trace_octaves
from ppcls.arch.summary import summarize


@pytest.fixture(scope="module")
def network() -> OctMobileNetV2:
    paddle.seed(0)
    return OctMobileNetV2(scale=0.25, alpha=0.5, class_num=4)


def test_maps_come_from_the_largest_to_the_smallest_with_both_parts(network: OctMobileNetV2) -> None:
    maps = trace_octaves(network, paddle.rand([1, 3, 64, 96])).maps
    assert [each.high.shape[1:] for each in maps] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    assert all(each.low.shape[1:] == tuple(side // 2 for side in each.high.shape[1:]) for each in maps)
    assert maps[-1].layer == "L4_B6.conv2"


def test_the_paths_cost_what_the_network_costs(network: OctMobileNetV2) -> None:
    macs = trace_octaves(network, paddle.rand([1, 3, 64, 64])).macs
    assert sum(macs.values()) == summarize(network, [3, 64, 64]).macs
    assert all(macs[path] > 0 for path in (*PATHS, "plain"))


def test_tracing_leaves_the_network_as_it_was(network: OctMobileNetV2) -> None:
    network.train()
    trace_octaves(network, paddle.rand([1, 3, 32, 32]))
    assert network.training
    assert all(layer.training for layer in network.sublayers())
    assert not any(layer._forward_post_hooks for layer in network.sublayers())
    network.eval()


def test_a_network_without_octaves_is_refused() -> None:
    with pytest.raises(ValueError, match="no map of this network is in two octaves; give it an alpha above 0"):
        trace_octaves(OctMobileNetV2(scale=0.25, alpha=0.0), paddle.rand([1, 3, 32, 32]))


def test_a_wave_has_two_peaks_at_its_frequency() -> None:
    x = np.cos(2 * np.pi * 3 * np.arange(16) / 16)
    found = spectrum(np.broadcast_to(x, (2, 8, 16)).astype(np.float32) + 5)
    peaks = {(row, column) for row, column in zip(*np.nonzero(found > 1), strict=True)}
    assert peaks == {(4, 8 - 3), (4, 8 + 3)}  # zero frequency, which the mean takes away, is at (4, 8)
    assert found[4, 5] == pytest.approx(8 * 16 / 2, rel=1e-5)

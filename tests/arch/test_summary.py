"""Parameters and multiply-adds against the tables of the paper."""

import paddle
import pytest
from paddle import nn

from ppcls.arch.backbone.model_zoo.mobilenet_v2 import MobileNetV2
from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import OctMobileNetV2, OctMobileNetV2_x1_0, OctMobileNetV2_x1_125
from ppcls.arch.layers.conv_bn import ConvBN
from ppcls.arch.summary import Summary, build_lazily, summarize


@pytest.mark.parametrize(("size", "macs"), [(224, 292_764_600), (192, 215_474_400), (64, 25_221_600)])
def test_the_headline_network_has_the_known_sizes(size, macs):
    summary = summarize(OctMobileNetV2_x1_125(), [3, size, size])
    assert (summary.params, summary.state, summary.macs) == (4_243_006, 4_281_454, macs)


@pytest.mark.parametrize(("alpha", "macs"), [(0, 313_619_328), (0.25, 273_894_048), (0.375, 254_031_408)])
def test_alpha_saves_the_multiply_adds_of_the_table(alpha, macs):
    summary = summarize(OctMobileNetV2_x1_0(alpha=alpha), [3, 224, 224])
    assert (summary.params, summary.macs) == (3_505_960, macs)


def test_the_widest_plain_network_has_the_multiply_adds_of_the_table():
    assert summarize(OctMobileNetV2_x1_125(alpha=0), [3, 224, 224]).macs == 392_307_120


def test_plain_mobilenet_counts_as_alpha_zero_does():
    # 300,774,272 of the paper and 12,845,056 of the first block's 1x1, which PaddleClas keeps.
    summary = summarize(MobileNetV2(), [3, 224, 224])
    assert (summary.params, summary.macs) == (3_505_960, 300_774_272 + 12_845_056)


def test_small_layers_count_as_by_hand():
    # conv: 4 x 3 x 3 outputs of 2 * 3 * 3 each; norm: 4 trained pairs, 4 pairs of statistics; linear: 36 -> 5.
    model = nn.Sequential(ConvBN(4, 4, kernel_size=3, stride=2, groups=2), nn.Flatten(), nn.Linear(36, 5))
    params = 4 * 2 * 9 + 8 + 36 * 5 + 5
    expected = Summary(params=params, state=params + 8, macs=36 * 18 + 36 * 5, activations=36 + 5)
    assert summarize(model, [4, 5, 6]) == expected


def test_counting_leaves_training_flags_and_hooks_as_they_were():
    model = OctMobileNetV2(scale=0.25)
    model.train()
    model.head[1].eval()
    before = [layer.training for layer in model.sublayers(include_self=True)]
    summarize(model, [3, 32, 32])
    assert [layer.training for layer in model.sublayers(include_self=True)] == before
    assert not any(layer._forward_post_hooks for layer in model.sublayers(include_self=True))
    assert summarize(model, [3, 32, 32]) == summarize(model, [3, 32, 32])


def test_flags_and_hooks_return_after_a_failure_too():
    model = OctMobileNetV2(scale=0.25)
    with pytest.raises(ValueError, match="channel"):
        summarize(model, [4, 32, 32])
    assert model.training
    assert not any(layer._forward_post_hooks for layer in model.sublayers())


def test_a_network_without_values_counts_alike_whatever_its_layers_are():
    def build():
        unusual = nn.Conv2D(4, 6, 3, padding=[1, 0])  # its shape is found out by computing
        return nn.Sequential(
            ConvBN(3, 4, kernel_size=3, stride=2), unusual, nn.PReLU(6), nn.Flatten(), nn.Linear(96, 5)
        )

    lazy = build_lazily(build)
    assert summarize(lazy, [3, 7, 11]) == summarize(build(), [3, 7, 11])
    assert summarize(lazy, [3, 7, 11]).macs == 4 * 4 * 6 * 27 + 6 * 4 * 4 * 36 + 96 * 5


def test_layers_compute_again_after_counting():
    model = ConvBN(3, 4, kernel_size=3)
    image = paddle.ones([1, 3, 5, 5])
    before = model(image).numpy()
    summarize(model, [3, 5, 5])
    assert (model(image).numpy() == before).all()
    assert before.any()


def test_a_constructor_that_needs_values_gets_them():
    class Doubled(nn.Linear):
        def __init__(self):
            super().__init__(3, 2)
            self.weight.set_value(self.weight * 2)

    assert build_lazily(Doubled)(paddle.ones([1, 3])).shape == [1, 2]
    assert not build_lazily(lambda: nn.Linear(3, 2)).weight._is_initialized()

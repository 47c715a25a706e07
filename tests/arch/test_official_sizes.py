"""Parameters and multiply-adds of every published octave network, counted in a real forward pass at 224.

Expected values are those of the paper's own graphs, counted by its official code.
"""

import paddle
import pytest

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.layers import conv_bn
from ppcls.arch.summary import summarize
from ppcls.registry import BACKBONES

PARAMETERS = {
    "OctMobileNetV1": 4_231_976,
    "OctMobileNetV1_x0_75": 2_585_560,
    "OctResNet26": 15_991_336,
    "OctResNet50": 25_553_192,
    "OctSE_ResNet50": 28_084_184,
    "OctResNet101": 44_545_320,
    "OctResNet152": 60_188_968,
    "OctResNet200": 64_669_992,
    "OctResNeXt50_32x4d": 25_025_064,
    "OctResNeXt101_32x4d": 44_173_864,
    "OctDenseNet121": 7_978_856,
    "OctResNet152_v1f": 60_222_224,
    "OctSE_ResNet152_v1e": 66_841_080,
}
MACS = {
    "OctMobileNetV1": {0: 568_740_352, 0.5: 318_167_680},
    "OctMobileNetV1_x0_75": {0: 325_400_448, 0.375: 211_379_016},
    "OctResNet26": {
        **{0: 2_342_256_640, 0.125: 2_086_961_152, 0.25: 1_858_158_592},
        **{0.5: 1_480_032_256, 0.75: 1_207_877_632},
    },
    "OctResNet50": {
        **{0: 4_089_184_256, 0.125: 3_565_196_288, 0.25: 3_103_526_912},
        **{0.5: 2_367_143_936, 0.75: 1_880_035_328},
    },
    "OctSE_ResNet50": {
        **{0: 4_091_699_200, 0.125: 3_567_711_232, 0.25: 3_106_041_856},
        **{0.5: 2_369_658_880, 0.75: 1_882_550_272},
    },
    "OctResNet101": {
        **{0: 7_801_405_440, 0.125: 6_624_878_592, 0.25: 5_597_675_520},
        **{0.5: 3_991_240_704, 0.75: 2_982_100_992},
    },
    "OctResNet152": {
        **{0: 11_513_626_624, 0.125: 9_684_560_896, 0.25: 8_091_824_128},
        **{0.5: 5_615_337_472, 0.75: 4_084_166_656},
    },
    "OctResNet200": {
        **{0: 15_007_481_856, 0.125: 12_564_261_888, 0.25: 10_439_258_112},
        **{0.5: 7_143_899_136, 0.75: 5_121_404_928},
    },
    "OctResNeXt50_32x4d": {0: 4_230_479_872, 0.25: 3_170_988_544, 0.5: 2_386_511_872, 0.75: 1_877_049_856},
    "OctResNeXt101_32x4d": {0: 7_969_996_800, 0.25: 5_683_476_480, 0.5: 4_022_550_528, 0.75: 2_987_218_944},
    "OctDenseNet121": {0: 2_834_161_664, 0.0625: 2_609_470_400, 0.125: 2_398_420_736, 0.25: 2_017_246_208},
    "OctResNet152_v1f": {0.125: 10_819_341_312},
    "OctSE_ResNet152_v1e": {0.125: 10_838_764_544},
}
CASES = [(name, alpha) for name, by_alpha in MACS.items() for alpha in by_alpha]


@pytest.fixture
def no_initial_values(monkeypatch):
    """Sizes do not depend on values: a third of the time."""
    for name in ("conv_weight", "linear_weight"):
        monkeypatch.setattr(conv_bn.init, name, lambda *_: paddle.nn.initializer.Constant(0.0))


@pytest.mark.usefixtures("no_initial_values")
@pytest.mark.parametrize(("name", "alpha"), CASES)
def test_parameters_and_multiply_adds_are_the_published_ones(name, alpha):
    summary = summarize(BACKBONES.get(name)(alpha=alpha), [3, 224, 224])
    assert (summary.params, summary.macs) == (PARAMETERS[name], MACS[name][alpha])


def test_every_octave_network_has_its_table():
    named = {name for name in BACKBONES.names() if name.startswith("Oct") and not name.startswith("OctMobileNetV2")}
    assert named == MACS.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("name", ["OctResNeXt50_32x4d", "OctResNeXt101_32x4d"])
def test_groups_that_do_not_divide_a_part_are_refused(name):
    with pytest.raises(ValueError, match=r"groups 32 does not divide both parts of OctaveChannels\(high=112, low=16\)"):
        BACKBONES.get(name)(alpha=0.125)

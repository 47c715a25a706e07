"""Pictures have as many channels as the network takes, or each place that disagrees is told under its key."""

import copy
from pathlib import Path

import pytest

from ppcls.config.catalogue import build_catalogue
from ppcls.config.load import load_document
from ppcls.config.override import apply_override, parse_override
from ppcls.config.parse import parse_config

CONFIGS = Path(__file__).parents[2] / "configs"
FOUR = ("Arch.input_image_channel=4", "Global.image_shape=[4, 224, 224]")
TRAIN, EVAL = (f"DataLoader.{split}.dataset.transform_ops.3.NormalizeImage.channel_num" for split in ("Train", "Eval"))
INFER = "Infer.transforms.3.NormalizeImage.channel_num"
TOLD = "expected 4, as Arch.input_image_channel is 4; got 3"


def problems_of(*overrides: str, mode: str = "train") -> dict[str, str]:
    """What is wrong with infer.yaml, which has every section, after ``-o``, by key."""
    document = copy.deepcopy(load_document(CONFIGS / "infer.yaml"))
    for text in overrides:
        apply_override(document, parse_override(text))
    return dict(parse_config(document, mode, build_catalogue())[1])


@pytest.mark.parametrize(
    ("mode", "places"),
    [("train", (TRAIN, EVAL)), ("eval", (EVAL,)), ("infer", (INFER,)), ("export", (INFER,))],
)
def test_every_list_that_the_mode_uses_must_make_four_channels(mode: str, places: tuple[str, ...]):
    assert problems_of(*FOUR, mode=mode) == dict.fromkeys(places, TOLD)
    assert problems_of(*FOUR, *(f"{place}=4" for place in places), mode=mode) == {}


def test_pictures_of_an_evaluation_that_is_off_may_have_others():
    assert problems_of(*FOUR, f"{TRAIN}=4", "Global.eval_during_train=False") == {}


def test_four_channels_for_a_network_of_three_are_refused():
    told = "expected 3, as Arch.input_image_channel is 3; got 4"
    assert problems_of(f"{EVAL}=4", mode="eval") == {EVAL: told}


@pytest.mark.parametrize(("channels", "shape"), [(4, [3, 224, 224]), (3, [4, 224, 224])])
def test_an_image_shape_that_disagrees_is_refused(channels: int, shape: list[int]):
    given = (f"Arch.input_image_channel={channels}", f"Global.image_shape={shape}", f"{EVAL}={channels}")
    text = f"expected [{channels}, height, width], as Arch.input_image_channel is {channels}; got {shape}"
    assert problems_of(*given, mode="eval") == {"Global.image_shape": text}


def test_a_list_that_never_normalises_is_told_what_to_add():
    key = "DataLoader.Eval.dataset.transform_ops"
    text = "pictures have 3 channels, Arch.input_image_channel is 4; add NormalizeImage: {channel_num: 4}"
    assert problems_of(*FOUR, f"{key}=[{{DecodeImage: {{}}}}]", mode="eval") == {key: text}
    assert problems_of(f"{key}=[{{DecodeImage: {{}}}}]", mode="eval") == {}


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("Arch.input_image_channel=5", "expected one of 3, 4; got 5"),
        ("Arch.data_format=NHCW", "expected one of 'NCHW', 'NHWC'; got 'NHCW'"),
        (f"{EVAL}=5", "expected one of 3, 4; got 5"),
    ],
)
def test_a_value_that_cannot_be_is_told_once(override: str, text: str):
    assert problems_of(override, mode="eval") == {override.partition("=")[0]: text}


@pytest.mark.parametrize("mode", ["train", "eval", "infer", "export"])
def test_channels_last_is_taken_in_every_mode(mode: str):
    assert problems_of("Arch.data_format=NHWC", mode=mode) == {}

"""``ppcls models``."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ppcls.cli import models
from ppcls.registry import BACKBONES
from ppcls.utils.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def run(*words):
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.models(parser.parse_args(words))


def test_the_table_shows_known_sizes_and_published_accuracy(capsys):
    assert run("OctMobileNetV2_x1_125") == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "model",
        "alpha",
        "params",
        "MACs",
        "at",
        "224",
        "activations",
        "published",
        "top-1",
        "/",
        "top-5",
    ]
    assert line.split()[:4] == ["OctMobileNetV2_x1_125", "0.5", "4,243,006", "292,764,600"]
    assert line.split()[4:8] == ["5,744,584", "73.0", "/", "91.2"]


def test_size_classes_and_alpha_are_honoured_and_then_nothing_is_published(capsys):
    run("octmobilenetv2_x1_1", "--size", "64", "--class-num", "10", "--alpha", "0", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["alpha"], row["top1"]) == ("OctMobileNetV2_x1_125", 0, None)
    assert row["params"] == 4_243_006 - 990 * 1441


def test_what_was_published_at_another_alpha_stands_beside_it(capsys):
    run("OctResNet26", "--alpha", "0.5", "--json")
    assert json.loads(capsys.readouterr().out)[0]["top1"] == 75.5


def test_activations_are_those_of_the_literature(capsys):
    run("ResNet5[0]", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert row["activations"] == pytest.approx(11.1e6, abs=5e4)  # "Designing Network Design Spaces", table of ResNet-50


def test_a_pattern_selects_and_alpha_splits_what_is_plain_without(capsys):
    run("*MobileNetV2", "--size", "32", "--json")
    plain, octave = json.loads(capsys.readouterr().out)
    assert [plain["name"], octave["name"]] == ["MobileNetV2", "OctMobileNetV2"]
    assert (plain["alpha"], plain["top1"]) == (0, 72.15)
    run("*MobileNetV2", "--size", "32", "--alpha", "0.25", "--json")
    split, octave = json.loads(capsys.readouterr().out)
    assert (split["params"], split["macs"]) == (octave["params"], octave["macs"])
    assert (split["alpha"], split["top1"], split["params"]) == (0.25, None, plain["params"])


def test_alpha_leaves_out_networks_that_know_none(capsys, monkeypatch):
    parameters = BACKBONES.parameters
    monkeypatch.setattr(BACKBONES, "parameters", lambda name: {} if name == "MobileNetV2" else parameters(name))
    run("*MobileNetV2", "--size", "32", "--alpha", "0.25", "--json")
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["OctMobileNetV2"]
    with pytest.raises(ConfigError, match="--alpha is for networks with octaves; MobileNetV2 has none"):
        run("MobileNetV[2]", "--alpha", "0.25")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["OctMobilNetV2"], "no model matches 'OctMobilNetV2'; did you mean 'OctMobileNetV2'"),
        (["--size", "0"], "--size is at least 1; got 0"),
        (["--class-num", "-1"], "--class-num is at least 1; got -1"),
        (["Oct*_x1_0", "--alpha", "2"], r"alpha is the share .* in \[0, 1\]; got 2"),
        (["ResNeXt50_32x4d*", "--alpha", "0.125"], "ResNeXt50_32x4d: alpha 0.125 .* 32 groups do not divide"),
    ],
)
def test_wrong_options_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        run(*words)


@pytest.mark.parametrize("words", [["models", "x0_25"], ["lr", "-c", "train1.yaml", "--samples", "512"]])
def test_a_command_that_loads_paddle_says_nothing_but_its_answer(words):
    done = subprocess.run([sys.executable, "-m", "ppcls", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == ""

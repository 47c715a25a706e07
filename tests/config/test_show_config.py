"""``ppcls config`` and ``ppcls list``."""

import argparse

import pytest

from ppcls.cli import show
from ppcls.config.load import load_text
from ppcls.utils.errors import ConfigError


def test_config_prints_every_stage_as_yaml(capsys: pytest.CaptureFixture[str]):
    args = argparse.Namespace(config="two_stage.yaml", override=["Global.epochs=2"], mode="train")
    assert show.config(args) == 0
    first, second = capsys.readouterr().out.split("# two_stage.yaml, ")[1:]
    assert first.startswith("stage stage1: runs in output/OctMobileNetV2_x1_125/stage1\n# -o Global.epochs\n")
    document = load_text(second.partition("\n")[2], "stdout")
    assert document["Global"]["epochs"] == 2
    assert document["Optimizer"]["lr"]["learning_rate"] == 0.25


def test_list_prints_names_with_the_arguments_that_yaml_gives(capsys: pytest.CaptureFixture[str]):
    assert show.list_(argparse.Namespace(kind=["metrics"])) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["metric:", "  TopkAcc(topk=(1, 5))"]


def test_list_of_an_unknown_kind_names_the_kinds():
    with pytest.raises(ConfigError, match="no kind colour; there are: backbone, dataset"):
        show.list_(argparse.Namespace(kind=["colour"]))

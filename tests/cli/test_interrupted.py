"""What Ctrl-C leaves on the screen; ``train`` alone has checkpoints to speak of."""

import argparse

import pytest

from ppcls import cli
from ppcls.cli import lr, run

CONFIG = ["-c", "any.yaml"]


@pytest.mark.parametrize(
    ("module", "command", "said"),
    [
        (run, "train", "error[stopped]: interrupted; nothing was saved since the last checkpoint\n"),
        (run, "infer", "error[stopped]: interrupted\n"),
        (lr, "lr", "error[stopped]: interrupted\n"),
    ],
)
def test_only_an_interrupted_training_speaks_of_its_checkpoint(
    module: object, command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, command, interrupted)
    assert cli.main([command, *CONFIG]) == 130
    assert capsys.readouterr().err == said


def test_an_interruption_before_the_words_are_read_is_told_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> argparse.ArgumentParser:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", interrupted)
    assert cli.main([]) == 130
    assert capsys.readouterr().err == "error[stopped]: interrupted\n"

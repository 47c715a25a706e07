"""``ppcls demo``, with a narrower network and one epoch a stage."""

import shutil
from pathlib import Path

import pytest
import yaml

from ppcls.cli import demo, main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with what the demo needs of one."""
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    config = yaml.safe_load((ROOT / "configs" / "quick_start" / "digits.yaml").read_text())
    config["Global"]["epochs"] = 1
    config["Arch"]["scale"] = 0.125
    (tmp_path / "quick_start").mkdir()
    (tmp_path / "quick_start" / "digits.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_ROOT", tmp_path)
    return tmp_path


def test_the_demo_trains_judges_answers_and_exports_and_does_not_train_twice(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo"]) == 0
    first = capsys.readouterr().out
    table = dict(line.split("  ", 1) for line in first.splitlines()[-7:])
    assert table["top-1 on held-out digits"].strip().endswith("%")
    for name in ("weights", "answers for demo/digits", "exported program"):
        assert (home / table[name].strip()).is_file()
    assert main(["demo"]) == 0
    again = capsys.readouterr().out
    assert again.count("is already complete: 1 epochs") == 2
    assert "[Train]" not in again

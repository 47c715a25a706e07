"""``ppcls octaves``, through the command."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from bad_runs import ends
from tiny_run import train, write_config

from ppcls.cli import main


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    train(folder, "Global.epochs=1")
    cv2.imwrite(str(folder / "a.png"), np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    return folder


def words(home: Path, *more: str) -> list[str]:
    source = f"Global.pretrained_model={home / 'out' / 'OctMobileNetV2' / 'latest'}"
    return [str(home / "a.png"), "-c", str(write_config(home)), "-o", source, *more]


def test_a_picture_is_drawn_and_the_shares_are_printed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = home / "seen.png"
    assert main(["octaves", *words(home, "--out", str(target))]) == 0
    drawn, told = cv2.imread(str(target)), capsys.readouterr().out
    assert drawn.shape[2] == 3
    shares = dict(re.findall(r"^(\w+) +([\d.]+)% +[\d,]+ multiply-adds$", told, re.MULTILINE))
    assert list(shares) == ["h2h", "h2l", "l2h", "l2l", "plain"]
    assert sum(map(float, shares.values())) == pytest.approx(100, abs=0.3)
    assert main(["octaves", *words(home, "-o", "Arch.data_format=NHWC", "--out", str(target))]) == 0
    assert (capsys.readouterr().out, cv2.imread(str(target)).tolist()) == (told, drawn.tolist())


def test_what_cannot_be_drawn_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["octaves", *words(home, "--out", "seen.txt")]) == 2
    assert "cannot draw as '.txt'" in capsys.readouterr().err
    page = home / "page.png"
    page.write_text("<html></html>")
    assert main(["octaves", str(page), *words(home)[1:]]) == 3
    assert f"{page}: expected a JPEG" in capsys.readouterr().err
    source = f"Global.pretrained_model={home / 'out' / 'OctMobileNetV2' / 'latest'}"
    text = ends(capsys, 4, "mismatch", "infer", home / "tiny.yaml", source, "Arch.alpha=0")
    assert "does not fit the model" in text

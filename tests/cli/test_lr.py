"""``ppcls lr``: the schedule of a config without training."""

import csv
import sys
from pathlib import Path

import pytest

from ppcls.cli import main

ROOT = Path(__file__).resolve().parents[2]
TRAIN1 = str(ROOT / "configs" / "train1.yaml")
TWO_STAGE = str(ROOT / "configs" / "two_stage.yaml")
PUBLISHED = ["--samples", "1281167", "--world", "4"]


def test_the_table_shows_the_published_rates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TRAIN1, *PUBLISHED]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "lr: Cosine, 200 epochs of 626 updates; warm-up 0 -> 0.5 in 5 epochs; then 0.5 -> 0.25"
    assert lines[1].split() == ["epoch", "step", "first", "lr", "last", "lr"]
    rows = {int(line.split()[0]): line.split()[1:] for line in lines[2:]}
    assert len(rows) <= 41
    assert rows[1] == ["0", "0", "0.0998403"]  # 0.5 * 625 / 3130
    assert rows[6] == ["3130", "0.5", "0.499984"]
    assert rows[200] == ["124574", "0.250016", "0.25"]


def test_all_prints_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TRAIN1, *PUBLISHED, "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 202


def test_stages_follow_each_other_under_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TWO_STAGE, *PUBLISHED, "-o", "Global.epochs=2"]) == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if "Cosine" in line]
    assert [title.split(":")[0] for title in titles] == ["stage1", "stage2"]


def test_csv_holds_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-o", "Global.epochs=2", "-o", "Optimizer.lr.warmup_epoch=1"]
    file = tmp_path / "lr.csv"
    assert main(["lr", "-c", TRAIN1, *arguments, "--samples", "2048", "--csv", str(file)]) == 0
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == ["1"] * 4 + ["2"] * 4
    assert [float(row["lr"]) for row in rows[:5]] == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5])
    assert [row["step"] for row in rows] == [str(step) for step in range(8)]


def test_samples_come_from_the_list_file_when_it_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tmp_path / "train_list.txt"
    names.write_text("".join(f"{i}.jpg 0\n" for i in range(1000)) + "\n", encoding="utf-8")
    override = f"DataLoader.Train.dataset.cls_label_path={names}"
    assert main(["lr", "-c", TRAIN1, "-o", override, "-o", "DataLoader.Train.sampler.batch_size=64"]) == 0
    assert "200 epochs of 16 updates" in capsys.readouterr().out


def test_accumulation_counts_updates_and_keeps_the_last_short_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TRAIN1, *PUBLISHED, "-o", "Global.update_freq=4"]) == 0
    assert "200 epochs of 157 updates" in capsys.readouterr().out


def test_a_missing_list_file_asks_for_samples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TRAIN1, "-o", "DataLoader.Train.dataset.cls_label_path=nowhere.txt"]) == 2
    message = "list file nowhere.txt is not there; give the number of training samples: --samples 1281167 for ImageNet"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--samples", "--world"])
def test_a_count_below_one_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr", "-c", TRAIN1, option, "0"]) == 2
    assert f"{option} is at least 1; got 0" in capsys.readouterr().err


def test_plot_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the plot")
    file = tmp_path / "lr.png"
    assert main(["lr", "-c", TWO_STAGE, *PUBLISHED, "--plot", str(file)]) == 0
    assert file.read_bytes().startswith(b"\x89PNG")


def test_plot_refuses_a_format_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the plot")
    assert main(["lr", "-c", TRAIN1, *PUBLISHED, "--plot", str(tmp_path / "lr.xyz")]) == 2
    assert "error[usage]: --plot" in capsys.readouterr().err


def test_plot_without_matplotlib_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["lr", "-c", TRAIN1, *PUBLISHED, "--plot", str(tmp_path / "lr.png")]) == 2
    assert "--plot needs matplotlib: pip install matplotlib" in capsys.readouterr().err

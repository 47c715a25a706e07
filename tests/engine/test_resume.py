"""A run that is interrupted and continued ends as one that never was."""

import io
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import misdeeds  # noqa: F401  registers SignalAt and LoseAt
import paddle
import pytest
import yaml
from tiny_run import NAME, STAGES, events, run, same, train, weights, write_config

from ppcls.optimizer.optimizers import Common


def interrupted(folder: Path, step: int, resume: Sequence[str] = ("Global.checkpoints=auto",)) -> Path:
    config = write_config(folder, f"Hooks: [SignalAt: {{step: {step}}}]\n")
    assert run("train", config) == 128 + signal.SIGTERM
    assert run("train", write_config(folder), *resume) == 0
    return folder / "out" / NAME


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("unbroken"))


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_an_interrupted_run_ends_with_the_weights_of_an_unbroken_one(unbroken: Path, tmp_path: Path, step: int) -> None:
    folder = interrupted(tmp_path, step)
    for name in ("latest", "best_model", "epoch_2"):
        assert same(weights(folder / name), weights(unbroken / name)), name
    assert events(folder) == events(unbroken)
    assert (folder / "summary.csv").read_text() == (unbroken / "summary.csv").read_text()


def test_a_summary_has_a_column_for_every_number(unbroken: Path) -> None:
    assert (unbroken / "summary.csv").read_text().splitlines()[0] == "epoch,lr,train_loss,eval_loss,top1,top2"


def test_rows_written_after_the_checkpoint_are_not_doubled(unbroken: Path, tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 3)
    assert run("train", write_config(tmp_path), "Global.epochs=3", flags=("--resume", "--allow-config-change")) == 0
    rows = (folder / "summary.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]


def test_other_numbers_of_loader_threads_give_the_same_weights(unbroken: Path, tmp_path: Path) -> None:
    for threads in (0, 4):
        folder = tmp_path / str(threads)
        folder.mkdir()
        key = f"DataLoader.Train.loader.num_workers={threads}"
        assert same(weights(train(folder, key) / "latest"), weights(unbroken / "latest"))


def test_resuming_with_other_threads_gives_the_same_weights(unbroken: Path, tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 2, ("Global.checkpoints=auto", "DataLoader.Train.loader.num_workers=0"))
    assert same(weights(folder / "latest"), weights(unbroken / "latest"))


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_whether_parameters_are_updated_in_one_call_or_each_alone(
    unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    monkeypatch.setattr(Common, "can_merge", lambda common, operator: first)
    train(tmp_path, "Hooks=[SignalAt: {step: 2}]", code=128 + signal.SIGTERM)
    monkeypatch.setattr(Common, "can_merge", lambda common, operator: not first)
    assert run("train", write_config(tmp_path), flags=("--resume",)) == 0
    assert same(weights(tmp_path / "out" / NAME / "latest"), weights(unbroken / "latest"))


def test_the_resolved_config_repeats_the_run(unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    assert run("train", unbroken / "config.yaml", f"Global.output_dir={out}") == 0
    assert same(weights(out / NAME / "latest"), weights(unbroken / "latest"))


def test_an_unseeded_run_records_the_seed_it_drew(tmp_path: Path) -> None:
    folder = train(tmp_path, "Global.seed=null", "Global.epochs=1")
    out = tmp_path / "again"
    assert run("train", folder / "config.yaml", f"Global.output_dir={out}") == 0
    assert same(weights(out / NAME / "latest"), weights(folder / "latest"))


def test_an_interrupted_unseeded_run_goes_on_with_the_seed_it_drew(tmp_path: Path) -> None:
    train(tmp_path, "Global.seed=null", "Hooks=[SignalAt: {step: 2}]", code=128 + signal.SIGTERM)
    folder = tmp_path / "out" / NAME
    drawn = yaml.safe_load((folder / "config.yaml").read_text())["Global"]["seed"]
    assert run("train", write_config(tmp_path), "Global.seed=null", flags=("--resume",)) == 0
    assert yaml.safe_load((folder / "config.yaml").read_text())["Global"]["seed"] == drawn


def test_metrics_of_the_training_batches_go_on_in_mid_epoch(tmp_path: Path) -> None:
    words = ("DataLoader.Train.dataset.batch_transform_ops=null", "Metric.Train=[TopkAcc: {topk: [1]}]")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = train(whole, *words)
    train(broken, *words, "Hooks=[SignalAt: {step: 2}]", code=128 + signal.SIGTERM)
    assert run("train", write_config(broken), *words, flags=("--resume",)) == 0
    assert events(broken / "out" / NAME) == events(expected)


def test_visualdl_shows_every_row_once_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip("visualdl", reason="visualdl is not installed")
    from visualdl import LogReader

    words = ("Global.use_visualdl=True", "Global.save_every_steps=2")
    train(tmp_path, *words, "Hooks=[LoseAt: {step: 5}]", code=3)  # rows of updates 3 and 5 are written, not saved
    assert run("train", write_config(tmp_path), *words, flags=("--resume",)) == 0
    (log,) = (tmp_path / "out" / NAME / "vdl").iterdir()
    reader = LogReader(file_path=str(log))
    rows = [row for row in events(tmp_path / "out" / NAME) if row["event"] == "train"]
    shown = reader.get_data("scalar", "train_loss")
    assert [row.id for row in shown] == [row["step"] for row in rows] == [1, 3, 4, 6]
    assert [row.value for row in shown] == pytest.approx([row["loss"] for row in rows])


def test_a_complete_run_started_again_says_so_and_changes_nothing(
    unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in unbroken.glob("latest.*")}
    assert run("train", unbroken.parents[1] / "tiny.yaml", flags=("--resume",)) == 0
    assert "already complete: 2 epochs" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in unbroken.glob("latest.*")}


def test_a_fresh_start_over_another_run_is_refused_with_two_ways_on(
    unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", unbroken.parents[1] / "tiny.yaml") == 2
    assert "continue it with --resume, or start afresh with --overwrite" in capsys.readouterr().err


def test_overwrite_moves_the_earlier_run_aside(tmp_path: Path) -> None:
    train(tmp_path, "Global.epochs=1")
    folder = train(tmp_path, "Global.epochs=1", flags=("--overwrite",))
    aside = list(folder.parent.glob(f"{NAME}.old-*"))
    assert len(aside) == 1
    assert same(weights(aside[0] / "latest"), weights(folder / "latest"))


def test_runs_moved_aside_within_a_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda form, *moment: "20260101-000000")
    train(tmp_path, "Global.epochs=1")
    for count in (1, 2):
        train(tmp_path, "Global.epochs=1", flags=("--overwrite",))
        assert len(list((tmp_path / "out").glob(f"{NAME}.old-20260101-000000*"))) == count


def test_best_survives_a_resume_and_is_not_beaten_by_a_worse_epoch(unbroken: Path, tmp_path: Path) -> None:
    folder = interrupted(tmp_path, 4)
    best = [line for line in (folder / "train.log").read_text().splitlines() if "best metric" in line]
    expected = [line for line in (unbroken / "train.log").read_text().splitlines() if "best metric" in line]
    assert [line.split("INFO: ")[1] for line in best] == [line.split("INFO: ")[1] for line in expected]


def test_two_stages_equal_two_runs_one_after_the_other(tmp_path: Path) -> None:
    whole = train(tmp_path, more=STAGES)
    first = tmp_path / "first"
    second = tmp_path / "second"
    first.mkdir()
    second.mkdir()
    train(first)
    rates = ("learning_rate=0.004", "warmup_epoch=0", "eta_min=0.0")
    source = f"Global.pretrained_model={first / 'out' / NAME / 'latest'}"
    train(second, source, *(f"Optimizer.lr.{rate}" for rate in rates))
    assert same(weights(whole / "first/latest"), weights(first / "out" / NAME / "latest"))
    assert same(weights(whole / "second/latest"), weights(second / "out" / NAME / "latest"))


def test_two_stages_continue_at_the_right_stage_and_epoch(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    broken = tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = train(whole, more=STAGES)
    config = write_config(broken, STAGES + "    Hooks: [SignalAt: {step: 4}]\n")
    assert run("train", config) == 128 + signal.SIGTERM
    assert run("train", write_config(broken, STAGES), "Global.checkpoints=auto") == 0
    for stage in ("first", "second"):
        assert same(weights(broken / "out" / NAME / stage / "latest"), weights(expected / stage / "latest"))


def test_a_paddleclas_checkpoint_resumes_at_the_next_epoch_and_says_what_is_lost(
    unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "brought"
    folder.mkdir()
    for suffix in (".pdparams", ".pdopt"):
        (folder / f"epoch_1{suffix}").write_bytes((unbroken / f"epoch_1{suffix}").read_bytes())
    paddle.save({"metric": 0.5, "epoch": 1}, str(folder / "epoch_1.pdstates"))
    continued = train(tmp_path, f"Global.checkpoints={folder / 'epoch_1'}")
    printed = capsys.readouterr().out
    assert "is not of this project: continuing after epoch 1; the best metric so far is not known" in printed
    assert same(weights(continued / "latest"), weights(unbroken / "latest"))


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_progress_bar_of_a_continued_epoch_begins_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, "Hooks=[SignalAt: {step: 2}]", code=128 + signal.SIGTERM)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert run("train", write_config(tmp_path), flags=("--resume",)) == 0
    shown = [bar.strip() for bar in screen.getvalue().split("\r") if bar.strip()]
    assert re.match(r"epoch 1/2: +67%.* 2/3 \[", shown[0])
    assert re.match(r"epoch 2/2: +0%.* 0/3 \[", next(bar for bar in shown if bar.startswith("epoch 2/2")))

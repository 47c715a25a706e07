"""``Global.on_nan``: what becomes of a run in which a batch gives a loss that is not finite."""

import re
from pathlib import Path

import misdeeds  # noqa: F401  registers PoisonBelow
import pytest
from bad_runs import ends
from tiny_run import NAME, events, run, same, train, weights, write_config

from ppcls.utils.checkpoint import CheckpointStore

OPS = "DataLoader.Train.dataset.batch_transform_ops=[PoisonBelow: {{share: {}}}]"
THIRD = OPS.format(0.1)  # of the six updates of a run with seed 7, the third
THIRD_AND_FIFTH = OPS.format(0.25)
EVERY = OPS.format(2)
ON = "EMA: {decay: 0.5}\n"


@pytest.fixture(scope="module")
def skipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("skipped"), "Global.on_nan=skip", THIRD, more=ON)


def test_a_skipped_update_leaves_weights_moments_statistics_and_averages_untouched(
    skipped: Path, tmp_path: Path
) -> None:
    folder = train(tmp_path, "Global.on_nan=skip", THIRD, "Global.save_every_steps=1", "Global.keep_last=9", more=ON)
    units = folder / "checkpoints"
    before, after = (CheckpointStore.load(units / name).payload for name in ("step-000000002-0", "step-000000003-1"))
    assert same(before.params, after.params)
    assert same(before.ema, after.ema)
    moments = [{name: v for name, v in payload.opt.items() if name != "LR_Scheduler"} for payload in (before, after)]
    assert moments[0]
    assert same(*moments)
    assert same(weights(folder / "latest"), weights(skipped / "latest"))


def test_a_skipped_update_is_told_with_its_pictures_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, "Global.on_nan=skip", THIRD_AND_FIFTH)
    told = re.findall(
        r"WARNING: the loss is not finite: (.*): left out by on_nan: skip, (\d) in all", capsys.readouterr().out
    )
    assert [count for _, count in told] == ["1", "2"]
    assert re.fullmatch(
        r"CELoss nan, loss nan; step 3, epoch 1, lr 0\.00\d+, batch of (synthetic:\d+(, )?){6}", told[0][0]
    )


def test_too_many_skipped_updates_end_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ends(capsys, 5, "non-finite", "train", write_config(tmp_path), "Global.on_nan=skip", EVERY)
    assert "left out by on_nan: skip, 6 in all, more than 5 in a row or 5 in all; lower the learning rate" in text


def test_a_run_that_skipped_resumes_exactly(skipped: Path, tmp_path: Path) -> None:
    words = ("Global.on_nan=skip", THIRD)
    train(tmp_path, *words, "Hooks=[SignalAt: {step: 4}]", more=ON, code=143)
    assert run("train", write_config(tmp_path, ON), *words, flags=("--resume",)) == 0
    folder = tmp_path / "out" / NAME
    assert same(weights(folder / "latest"), weights(skipped / "latest"))
    assert events(folder) == events(skipped)


@pytest.mark.parametrize("more", ["Global.save_every_steps=0", "Global.save_every_steps=1"])
def test_a_run_that_rolled_back_equals_one_that_skipped(
    skipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str
) -> None:
    folder = train(tmp_path, "Global.on_nan=rollback", THIRD, more, more=ON)
    assert same(weights(folder / "latest"), weights(skipped / "latest"))
    assert events(folder) == events(skipped)
    assert (folder / "summary.csv").read_text() == (skipped / "summary.csv").read_text()
    step = 2 if more.endswith("1") else 0
    assert re.search(rf"rolled back to .*/step-00000000{step}-0; update 3 will be left out", capsys.readouterr().out)


def test_a_run_that_always_fails_rolls_back_a_bounded_number_of_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("Global.on_nan=rollback", EVERY, "Global.epochs=4", "Global.eval_interval=0")
    text = ends(capsys, 5, "non-finite", "train", write_config(tmp_path), *words)
    assert "on_nan: rollback has left out 10 updates, which is the most" in text

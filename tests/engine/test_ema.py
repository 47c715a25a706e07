"""Averaged weights: the formula, and that they are judged, saved and resumed with the rest."""

import csv
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from tiny_run import NAME, run, same, train, weights, write_config

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import HOOKS
from ppcls.utils.save_load import model_arrays, read_weights

EMA = "EMA: {decay: 0.75}\n"


@HOOKS.register
class StopAndKeep(Hook):
    """Keeps the weights after every update on the host, and stops the run after one."""

    kept: list[dict[str, np.ndarray]]

    def __init__(self, step: int = 0) -> None:
        self._step = step
        type(self).kept = []

    def train_begin(self, state: TrainState) -> None:
        self.kept.append(model_arrays(state.network))

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self.kept.append(model_arrays(state.network))
        if state.step == self._step:
            signal.raise_signal(signal.SIGTERM)


def average(folder: Path, name: str = "latest") -> dict[str, np.ndarray]:
    return read_weights(str(folder / f"{name}.pdema")).arrays


def test_the_average_follows_the_formula_over_weights_and_statistics(tmp_path: Path) -> None:
    folder = train(tmp_path, more=EMA + "Hooks: [StopAndKeep: {}]\n")
    expected = StopAndKeep.kept[0]
    for after in StopAndKeep.kept[1:]:
        expected = {name: 0.75 * expected[name] + 0.25 * after[name] for name in expected}
    found = average(folder)
    assert any(name.endswith("_variance") for name in found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert same(weights(folder / "latest"), StopAndKeep.kept[-1])


def test_the_average_is_judged_beside_the_weights_and_may_be_best(tmp_path: Path) -> None:
    folder = train(tmp_path, more=EMA)
    rows = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    names = ["epoch", "lr", "train_loss", "eval_loss", "top1", "top2", "ema_top1", "ema_top2"]
    assert list(rows[0]) == names
    judged = [float(row[name]) for row in rows for name in ("top1", "ema_top1")]
    best = re.findall(r"best metric: ([\d.]+)\]", (folder / "train.log").read_text())
    assert float(best[-1]) == max(judged)


def test_eval_takes_whichever_was_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, more=EMA)
    capsys.readouterr()
    assert run("eval", tmp_path / "tiny.yaml", f"Global.pretrained_model={folder / 'best_model'}") == 0
    alone = re.search(r"\[Epoch 0\]\[Avg\].*top1: ([\d.]+)", capsys.readouterr().out)[1]
    best = re.findall(r"best metric: ([\d.]+)\]", (folder / "train.log").read_text())[-1]
    assert float(alone) == pytest.approx(float(best), abs=1e-5)


@pytest.mark.parametrize("step", [2, 3])
def test_an_interrupted_average_ends_as_an_unbroken_one(tmp_path: Path, step: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = train(whole, more=EMA)
    stopping = write_config(broken, EMA + f"Hooks: [StopAndKeep: {{step: {step}}}]\n")
    assert run("train", stopping) == 128 + signal.SIGTERM
    assert run("train", write_config(broken, EMA), flags=("--resume",)) == 0
    assert same(average(broken / "out" / NAME), average(expected))
    assert same(weights(broken / "out" / NAME / "latest"), weights(expected / "latest"))


def test_resuming_with_averages_needs_averages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, "Global.epochs=1")
    capsys.readouterr()
    assert run("train", write_config(tmp_path, EMA), flags=("--resume",)) == 4
    assert "the checkpoint was taken without EMA; go on without it" in capsys.readouterr().err

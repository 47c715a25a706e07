"""The recipes give every learning rate that the two published runs logged."""

import csv
import math
from pathlib import Path

import pytest

from ppcls.cli.lr import _schedule
from ppcls.config import load_run
from ppcls.optimizer import Schedule

ROOT = Path(__file__).resolve().parents[2]
IMAGENET, CARDS = 1_281_167, 4


def shown_under_a_warmup(schedule: Schedule, step: int) -> float:
    """What Paddle 2.2 printed at ``step``: the rate of the next one."""
    return schedule(step + 1)


def shown_by_a_pure_cosine(schedule: Schedule, step: int) -> float:
    """What Paddle 2.2 printed: its recurrence taken once more, from the rate it had already stepped to."""
    T = schedule.inner_ticks
    return schedule(step + 1) * (1 + math.cos(math.pi * (step + 1) / T)) / (1 + math.cos(math.pi * step / T))


@pytest.mark.parametrize(
    ("recipe", "log", "lines", "shown"),
    [
        ("train1.yaml", "stage1_train.csv", 4200, shown_under_a_warmup),
        ("train2.yaml", "stage2_train.csv", 3990, shown_by_a_pure_cosine),
    ],
)
def test_a_recipe_gives_every_rate_its_published_run_logged(recipe: str, log: str, lines: int, shown) -> None:
    config = load_run(ROOT / "configs" / recipe, [], "train").stages[0].config
    schedule = _schedule(config, IMAGENET, CARDS)
    with (ROOT / "log" / "published" / log).open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["iters_per_epoch"] for row in rows} == {str(schedule.step_each_epoch)}
    steps = [(int(row["epoch"]) - 1) * schedule.step_each_epoch + int(row["iter"]) for row in rows]
    logged = [row["lr_logged"] for row in rows]
    assert len(logged) == lines
    assert [f"{shown(schedule, step):.5f}" for step in steps] == logged

"""A training step reads nothing back from the device; a printed line reads a fixed number of values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import half_on_cpu
import paddle
import pytest
from tiny_run import train

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import HOOKS

READERS = ("numpy", "item", "tolist", "__float__", "__int__", "__bool__", "__index__", "__array__")
CALM = (
    *("Global.eval_during_train=False", "DataLoader.Train.sampler.batch_size=2", "Global.epochs=1"),  # 11 batches
    "Optimizer.lr={learning_rate: 0.0001}",
)
PARTS = 2  # CELoss and loss


class Count:
    """Reads of a device since the start; one inside another counts once."""

    def __init__(self) -> None:
        self.total = 0
        self._depth = 0

    def watch(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.total += self._depth == 0
            self._depth += 1
            try:
                return read(*args, **kwargs)
            finally:
                self._depth -= 1

        return call


@HOOKS.register
class CountReads(Hook):
    """How often the device was read in each update and in what follows it, the printing of its line included."""

    count: Count
    reads: list[int]

    def epoch_begin(self, state: TrainState) -> None:
        type(self).reads, self.count.total = [], 0

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self.reads.append(self.count.total)
        self.count.total = 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    CountReads.count = Count()
    for name in READERS:
        monkeypatch.setattr(paddle.Tensor, name, CountReads.count.watch(getattr(paddle.Tensor, name)))


@pytest.mark.parametrize("more", ["EMA=null", "EMA={decay: 0.5}"])
@pytest.mark.parametrize("freq", [1, 2])
def test_updates_read_nothing_but_for_the_lines_they_print(counted: None, tmp_path: Path, more: str, freq: int) -> None:
    words = (f"Global.update_freq={freq}", "Global.print_batch_step=5", more)
    train(tmp_path, *CALM, *words, "Hooks=[CountReads: {}]")
    line = 1 + PARTS  # one look at all losses since the last line, and the means
    printed = {1: [0, 5, 10], 2: [0, 2, 5]}[freq]  # the updates that hold batch 0, 5 or 10
    expected = [line if number in printed else 0 for number in range(11 if freq == 1 else 6)]
    expected[-1] += PARTS  # the means of the epoch
    assert CountReads.reads == expected


def test_metrics_of_the_training_batches_are_read_with_the_line(counted: None, tmp_path: Path) -> None:
    words = ("DataLoader.Train.dataset.batch_transform_ops=null", "Metric.Train=[TopkAcc: {topk: [1, 2]}]")
    train(tmp_path, *CALM, *words, "Global.print_batch_step=5", "Hooks=[CountReads: {}]")
    assert [number for number, reads in enumerate(CountReads.reads) if reads] == [0, 5, 10]


def test_a_loss_scale_is_looked_at_once_an_update_for_each_group_and_skip_once_more(
    counted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_on_cpu.pretend(monkeypatch)
    words = (*CALM, "Global.print_batch_step=0", "Hooks=[CountReads: {}]")
    train(tmp_path, *words, "AMP={scale_loss: 128, use_dynamic_loss_scaling: True}")
    assert CountReads.reads[:-1] == [1] * 10
    train(tmp_path, *words, "Global.on_nan=skip", flags=("--overwrite",))
    assert CountReads.reads[:-1] == [1] * 10

"""Log lines, ``metrics.jsonl`` and ``summary.csv``: the reader of device values while a run trains."""

import logging
from collections.abc import Mapping, Sequence

from ppcls.engine import lines
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.records import Records
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import compat, dist


class Log(Hook):
    """Prints running means since the epoch began, on this rank, and records them.

    Args:
        records: where rank 0 writes; None on the other ranks.
        eval_names: the metrics an evaluation gives, which are columns of the summary from its first row on.
        memory: also print the peaks of the GPU's memory.
    """

    def __init__(self, plan: Plan, records: Records | None, eval_names: Sequence[str], memory: bool) -> None:
        self._logger = logging.getLogger("ppcls")
        self._plan = plan
        self._records = records
        self._eval_names = eval_names
        self._memory = memory
        self._results: Mapping[str, float] = {}

    def epoch_begin(self, state: TrainState) -> None:
        self._results = {}

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        if not output.left_out:
            _count(state, output)
        if self._plan.prints(state.batch, len(output.ids)):
            self._print_step(state)
        if state.ends_epoch:
            self._print_epoch(state)

    def evaluated(self, state: TrainState, results: Mapping[str, float]) -> None:
        self._results = results
        self._logger.info(lines.mean_line("Eval", f"[Epoch {state.epoch}]", results))
        if state.best is not None:
            self._logger.info(lines.best_line(state.epoch, state.best))
        self._event("eval", state.epoch, state.step, results)

    def epoch_end(self, state: TrainState) -> None:
        if self._records is None:
            return
        means = state.means.read()
        row = {"epoch": state.epoch, "lr": f"{_lr(state):.8g}", "train_loss": means.get("loss")}
        row |= {"eval_loss": self._results.get("loss")}
        row |= {name: self._results.get(name) for name in self._eval_names}
        self._records.epoch(row)

    def _print_step(self, state: TrainState) -> None:
        speed = state.clock.read()
        batches_left = (state.epochs - state.epoch) * state.epoch_batches - state.batch + 1
        if dist.world_size() > 1:
            speed["total_ips"] = speed["ips"] * dist.world_size()
        means, lr = _means(state), _lr(state)
        place = f"[Epoch {state.epoch + 1}/{state.epochs}][Iter: {state.batch - 1}/{state.epoch_batches}]"
        if self._memory:
            speed |= compat.device_memory_mb()
        eta_s = batches_left * speed["batch_cost"]
        self._logger.info(lines.train_line(place, lr, means, speed, eta_s=eta_s))
        row = {"iter": state.batch - 1, "lr": lr} | means | speed
        self._event("train", state.epoch + 1, state.step, row)

    def _print_epoch(self, state: TrainState) -> None:
        means = _means(state)
        self._logger.info(lines.mean_line("Train", f"[Epoch {state.epoch + 1}/{state.epochs}]", means))
        speed = state.clock.read()
        waiting = lines.data_bound_line(speed["reader_cost"], speed["batch_cost"])
        if waiting is not None:
            self._logger.info(waiting)
        self._event("epoch", state.epoch + 1, state.step, {"lr": _lr(state)} | means | speed)

    def _event(self, kind: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        if self._records is not None:
            self._records.event({"event": kind, "epoch": epoch, "step": step} | dict(values))


def _count(state: TrainState, output: StepOutput) -> None:
    state.means.add(output.losses, sum(len(part.labels) for part in output.scored))
    if state.metrics is not None:
        for part in output.scored:
            state.metrics.update(part.logits, part.labels)


def _lr(state: TrainState) -> float:
    """The rate of the last update."""
    return state.schedule(state.step - 1)


def _means(state: TrainState) -> dict[str, float]:
    if not state.means.count:
        return {}  # every update so far was left out
    metrics = state.metrics.local() if state.metrics is not None else {}
    return metrics | state.means.read()

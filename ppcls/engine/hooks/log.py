"""Log lines, ``metrics.jsonl`` and ``summary.csv``: the reader of device values while a run trains."""

import logging
from collections.abc import Mapping, Sequence

from ppcls.engine import lines
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.records import Records
from ppcls.engine.state import StepOutput, TrainState
from ppcls.metric import Metrics
from ppcls.utils import compat, dist
from ppcls.utils.meter import Means


class Log(Hook):
    """Prints running means since the epoch began or was resumed, on this rank, and records them.

    Args:
        metrics: judged on the training batches; None where their labels are mixed.
        records: where rank 0 writes; None on the other ranks.
        eval_names: the metrics an evaluation gives, which are columns of the summary from its first row on.
        memory: also print the peaks of the GPU's memory.
    """

    def __init__(
        self, plan: Plan, metrics: Metrics | None, records: Records | None, eval_names: Sequence[str], memory: bool
    ) -> None:
        self._logger = logging.getLogger("ppcls")
        self._plan = plan
        self._metrics = metrics
        self._records = records
        self._eval_names = eval_names
        self._memory = memory
        self._losses = Means()
        self._lr = 0.0
        self._results: Mapping[str, float] = {}

    def epoch_begin(self, state: TrainState) -> None:
        self._losses.reset()
        self._results = {}
        if self._metrics is not None:
            self._metrics.reset()

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self._lr = output.lr
        self._losses.add(output.losses, sum(len(part.labels) for part in output.scored))
        if self._metrics is not None:
            for part in output.scored:
                self._metrics.update(part.logits, part.labels)
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
        means = self._losses.read()
        row = {"epoch": state.epoch, "lr": f"{self._lr:.8g}", "train_loss": means.get("loss")}
        row |= {"eval_loss": self._results.get("loss")}
        row |= {name: self._results.get(name) for name in self._eval_names}
        self._records.epoch(row)

    def _print_step(self, state: TrainState) -> None:
        speed = state.clock.read()
        batches_left = (state.epochs - state.epoch) * state.epoch_batches - state.batch + 1
        if dist.world_size() > 1:
            speed["total_ips"] = speed["ips"] * dist.world_size()
        means = self._means()
        place = f"[Epoch {state.epoch + 1}/{state.epochs}][Iter: {state.batch - 1}/{state.epoch_batches}]"
        if self._memory:
            speed |= compat.device_memory_mb()
        eta_s = batches_left * speed["batch_cost"]
        self._logger.info(lines.train_line(place, self._lr, means, speed, eta_s=eta_s))
        row = {"iter": state.batch - 1, "lr": self._lr} | means | speed
        self._event("train", state.epoch + 1, state.step, row)

    def _print_epoch(self, state: TrainState) -> None:
        means = self._means()
        self._logger.info(lines.mean_line("Train", f"[Epoch {state.epoch + 1}/{state.epochs}]", means))
        speed = state.clock.read()
        waiting = lines.data_bound_line(speed["reader_cost"], speed["batch_cost"])
        if waiting is not None:
            self._logger.info(waiting)
        self._event("epoch", state.epoch + 1, state.step, {"lr": self._lr} | means | speed)

    def _means(self) -> dict[str, float]:
        metrics = self._metrics.local() if self._metrics is not None else {}
        return metrics | self._losses.read()

    def _event(self, kind: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        if self._records is not None:
            self._records.event({"event": kind, "epoch": epoch, "step": step} | dict(values))

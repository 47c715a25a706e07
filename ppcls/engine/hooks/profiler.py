"""``ppcls train -p``: what a range of batches costs."""

import errno
import io
import json
import logging
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from paddle import profiler

from ppcls.config.profiler_options import ProfilerOptions
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import StepOutput, TrainState
from ppcls.utils import compat, dist
from ppcls.utils.errors import PpclsError
from ppcls.utils.files import write_whole, written_aside

_LOG = logging.getLogger("ppcls")
_SORTED = {"default": "Total", "total": "Total", "max": "Max", "min": "Min", "ave": "Avg"}


class Update(NamedTuple):
    """One update of the range; times in seconds, ``start_s`` on the clock of ``time.perf_counter``."""

    first: int  # batch, of this stage in this process
    batches: int
    images: int
    start_s: float
    cost_s: float
    waited_s: float


class Profiler(Hook):
    """Times the updates of a range of batches, with Paddle's profiler around them where asked; then says what it found,
    and ends the run where ``exit_on_finished`` says so.

    The times are taken here: Paddle's own timer leaves out the first ten steps, and knows its own loader alone.
    What happens between two epochs is in Paddle's profile, and in no update's time.

    Args:
        stage: its name, or an empty text.
    """

    def __init__(self, options: ProfilerOptions, stage: str) -> None:
        self._options = options
        self._path = _path_of(options.profile_path, stage)
        self._first, self._last = options.batch_range
        self._batches = 0
        self._updates: list[Update] = []
        self._is_open = self._is_over = False
        self._recorder: profiler.Profiler | None = None
        self._since, self._waited_s = 0.0, 0.0

    def train_begin(self, state: TrainState) -> None:
        if self._options.without_effect:
            idle = ", ".join(self._options.without_effect)
            _LOG.warning("-p: %s without effect: times alone are taken; add timer_only=False", idle)

    def epoch_begin(self, state: TrainState) -> None:
        if self._is_due():
            self._open()
        self._since, self._waited_s = time.perf_counter(), 0.0

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self._batches += len(output.ids)
        if self._is_open:
            self._note(state, output)
        elif self._is_due():
            _wait_for_device(output)
            self._open()
        if self._is_open and self._batches >= self._last:
            self._finish(state)
        self._since, self._waited_s = time.perf_counter(), state.clock.waited_s

    def train_end(self, state: TrainState) -> None:
        place = f"batch_range {list(self._options.batch_range)}"
        if self._updates and not self._is_over:
            _LOG.warning("-p: training ended after %s, within %s", _counted(self._batches), place)
        elif not self._is_over:
            _LOG.warning("-p: training ended after %s, before %s: no profile", _counted(self._batches), place)
        if self._is_open:
            self._close()

    def _is_due(self) -> bool:
        return not self._is_open and not self._is_over and self._batches >= self._first

    def _open(self) -> None:
        self._is_open = True
        if not self._options.timer_only:
            self._recorder = _start_recorder(self._options)

    def _note(self, state: TrainState, output: StepOutput) -> None:
        if self._batches >= self._last:
            _wait_for_device(output)
        elif self._recorder is not None:
            self._recorder.step()
        cost_s = time.perf_counter() - self._since
        waited_s = state.clock.waited_s - self._waited_s
        first, images = self._batches - len(output.ids), sum(len(part.labels) for part in output.scored)
        self._updates.append(Update(first, len(output.ids), images, self._since, cost_s, waited_s))

    def _finish(self, state: TrainState) -> None:
        state.pulse.mark("the profile", state.step)
        self._close()
        dist.meet()  # a rank that left would take along one that still writes
        if self._options.exit_on_finished and state.stop_signal is None:
            raise PpclsError(
                f"stopped after {_counted(self._batches)}, as exit_on_finished of -p says: training is not complete, "
                "and what came after the last checkpoint is lost; exit_on_finished=False trains on",
                "profiled",
            )

    def _close(self) -> None:
        """Print the summary and write the trace; a disk that refuses it is worth a warning, not a training."""
        self._is_open, self._is_over = False, True
        if self._recorder is not None:
            self._recorder.stop()
        if not self._updates:
            return
        _LOG.info("%s", summary_line(self._updates))
        if self._recorder is not None:
            _LOG.info("%s", _table(self._recorder, self._options))
        if self._path is None:
            return
        try:
            if self._recorder is None:
                write_whole(self._path, json.dumps(trace(self._updates, dist.rank())).encode())
            else:
                _export(self._recorder, self._path)
            _LOG.info("the profile is in %s; chrome://tracing and ui.perfetto.dev show it", self._path)
        except PpclsError as error:
            _LOG.warning("-p profile_path: %s", error)


def summary_line(updates: Sequence[Update]) -> str:
    """``[Profile]batches 10 to 19: batch_cost: 0.30650s (0.30112 to 0.31820), reader_cost: ..., ips: ... images/sec``;
    seconds a batch."""
    first, last = updates[0].first, updates[-1].first + updates[-1].batches - 1
    batches = sum(update.batches for update in updates)
    total_s = sum(update.cost_s for update in updates)
    costs = [update.cost_s / update.batches for update in updates]
    waited_s = sum(update.waited_s for update in updates)
    images = sum(update.images for update in updates)
    spread = f"{min(costs):.5f} to {max(costs):.5f}"
    return (
        f"[Profile]batches {first} to {last}: batch_cost: {total_s / batches:.5f}s ({spread}), "
        f"reader_cost: {waited_s / batches:.5f}s, ips: {images / total_s:.5f} images/sec"
    )


def trace(updates: Sequence[Update], rank: int) -> dict[str, Any]:
    """In the format of Chrome's traces: a span an update, and within it one for the wait for its batches."""
    events: list[dict[str, Any]] = []
    for update in updates:
        place = {"ph": "X", "pid": rank, "tid": 0, "ts": update.start_s * 1e6}  # microseconds
        details = {"images": update.images, "batches": update.batches}
        events.append({"name": f"batch {update.first}", "dur": update.cost_s * 1e6, "args": details} | place)
        events.append({"name": "wait for the reader", "dur": update.waited_s * 1e6} | place)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _counted(batches: int) -> str:
    return "1 batch" if batches == 1 else f"{batches} batches"


def _path_of(profile_path: str | None, stage: str) -> Path | None:
    """A file for each stage and rank: ``trace.json``, ``trace.stage2.json``, ``trace.stage2.rank1.json``."""
    if profile_path is None:
        return None
    path = Path(profile_path)
    parts = [path.stem, *([stage] if stage else []), *([f"rank{dist.rank()}"] if dist.rank() else [])]
    return path.with_name(".".join(parts) + path.suffix)


def _wait_for_device(output: StepOutput) -> None:
    """Until the update's loss is there: a read is the one wait that every device knows."""
    if output.losses:
        float(output.losses["loss"])


def _start_recorder(options: ProfilerOptions) -> profiler.Profiler:
    recorder = profiler.Profiler(
        targets=compat.profiler_targets(options.state),
        on_trace_ready=lambda recorder: None,  # without it, it fills a folder of its own
        record_shapes=options.tracer_option == "AllOpDetail",
    )
    recorder.start()
    return recorder


def _table(recorder: profiler.Profiler, options: ProfilerOptions) -> str:
    """Paddle's tables, which it prints."""
    device = "GPU" if options.state == "GPU" else "CPU"
    printed = io.StringIO()
    with redirect_stdout(printed):
        recorder.summary(
            sorted_by=getattr(profiler.SortedKeys, device + _SORTED[options.sorted_key]),
            op_detail=options.tracer_option != "Default",
        )
    return printed.getvalue().strip()


def _export(recorder: profiler.Profiler, path: Path) -> None:
    """Paddle's trace, which it writes by name and without a word when it cannot."""
    with written_aside(path) as file:
        recorder.export(file.name)
        if not Path(file.name).is_file():
            return  # a pipe or a device
        with open(file.name, "rb") as written:
            written.seek(max(0, os.fstat(written.fileno()).st_size - 16))
            if not written.read().rstrip().endswith(b"}"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)

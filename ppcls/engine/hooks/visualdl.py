"""Scalars for VisualDL."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.records import Records
from ppcls.engine.state import TrainState
from ppcls.utils.errors import PpclsError

_NO_SCALARS = {"event", "epoch", "step", "iter", "time"}


class VisualDL(Hook):
    """Writes the rows of ``metrics.jsonl``: ``lr`` and ``train_<mean>`` per printed step, ``eval_<metric>`` per epoch.

    VisualDL shows the newest file of a folder alone, and a killed run leaves rows behind its checkpoint in it. So every
    start writes one new file from the rows that the run kept, then follows.
    """

    def __init__(self, records: Records, folder: Path) -> None:
        try:
            from visualdl import LogWriter
        except ImportError as error:
            raise PpclsError(f"Global.use_visualdl needs visualdl ({error}); pip install visualdl", "output") from error
        for earlier in folder.glob("vdlrecords.*.log"):
            earlier.unlink()
        self._records = records
        self._writer = LogWriter(logdir=str(folder))
        logging.getLogger("ppcls").info("watch the run with: visualdl --logdir %s", folder)

    def train_begin(self, state: TrainState) -> None:
        self._records.follow(self._add)

    def train_end(self, state: TrainState) -> None:
        self._writer.close()

    def _add(self, row: Mapping[str, Any]) -> None:
        kind = row["event"]
        place = {"step": row["epoch" if kind == "eval" else "step"], "walltime": round(row["time"] * 1000)}
        for name, value in row.items():
            if kind == "epoch" or name in _NO_SCALARS:
                continue
            self._writer.add_scalar(tag=name if name == "lr" else f"{kind}_{name}", value=float(value), **place)

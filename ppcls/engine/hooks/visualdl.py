"""Scalars for VisualDL."""

import logging
import os
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ppcls.engine.hooks.hook import Hook
from ppcls.engine.records import Records
from ppcls.engine.state import TrainState
from ppcls.utils.errors import PpclsError

_NO_SCALARS = {"event", "epoch", "step", "iter", "time"}
_log = logging.getLogger("ppcls")


class VisualDL(Hook):
    """Writes the rows of ``metrics.jsonl``: ``lr`` and ``train_<mean>`` per printed step, ``eval_<metric>`` per epoch.

    VisualDL shows the newest file of a folder alone, and a killed run leaves rows behind its checkpoint in it. So every
    start writes one new file from the rows that the run kept, then follows.

    The records are VisualDL's, the file is written here: its ``LogWriter`` writes in a thread of its own, which on a
    full disk prints two lines, leaves half a record, after which nothing can be read, and tells nobody.
    """

    def __init__(self, records: Records, folder: Path) -> None:
        try:
            from visualdl.component.base_component import meta_data, scalar
        except ImportError as error:
            raise PpclsError(f"Global.use_visualdl needs visualdl ({error}); pip install visualdl", "output") from error
        now = time.time()
        self._scalar = scalar
        self._records = records
        self._head = _framed(meta_data(display_name="", walltime=round(now * 1000)))
        self._path = folder / f"vdlrecords.{int(now):010d}.log"
        self._is_told = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for earlier in folder.glob("vdlrecords.*.log"):
                earlier.unlink()
        except OSError as error:
            self._tell(error)
        _log.info("watch the run with: visualdl --logdir %s", folder)

    def train_begin(self, state: TrainState) -> None:
        self._records.follow(self._add)

    def _add(self, row: Mapping[str, Any]) -> None:
        """Append the row's records, or none of them."""
        kind = row["event"]
        place = {"step": row["epoch" if kind == "eval" else "step"], "walltime": round(row["time"] * 1000)}
        data = b""
        for name, value in row.items():
            if kind == "epoch" or name in _NO_SCALARS:
                continue
            data += _framed(self._scalar(tag=name if name == "lr" else f"{kind}_{name}", value=float(value), **place))
        try:
            self._append(data)
        except OSError as error:
            self._tell(error)

    def _append(self, data: bytes) -> None:
        length = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("ab") as file:
                file.write(data if length else self._head + data)
        except OSError:
            with suppress(OSError):
                os.truncate(self._path, length)  # behind half a record VisualDL reads nothing
            raise

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            reason = error.strerror or error
            _log.warning("%s cannot be written (%s); VisualDL lacks rows of this run", self._path, reason)


def _framed(record: Any) -> bytes:
    """A record as VisualDL's files hold it: 8 bytes of length, little-endian, then the message."""
    data = record.SerializeToString()
    return struct.pack("<Q", len(data)) + data

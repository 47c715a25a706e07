"""What a run leaves for machines: ``metrics.jsonl``, a row an event, and ``summary.csv``, a row an epoch."""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

EVENTS = "metrics.jsonl"
SUMMARY = "summary.csv"
BAD_SAMPLES = "bad_samples.jsonl"
_NEEDED = {EVENTS: ("event", "epoch", "step", "time"), BAD_SAMPLES: ("where", "reason")}  # in every row


class Records:
    """Appends rows; a resumed run cuts the files back to what its checkpoint knew, so no row is double or missing.

    A row that cannot be written is missing, whole: that is worth a warning, not the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unwritable: set[str] = set()
        self._followers: list[Callable[[Mapping[str, Any]], None]] = []

    def event(self, values: Mapping[str, object]) -> None:
        """One line of ``metrics.jsonl``, with the time in seconds since 1970."""
        row = dict(values) | {"time": round(time.time(), 3)}
        self._append(EVENTS, [json.dumps(row)])
        for follower in self._followers:
            follower(row)

    def follow(self, follower: Callable[[Mapping[str, Any]], None]) -> None:
        """Give ``follower`` every event there is, then every one that comes."""
        for row in self.rows(EVENTS):
            follower(row)
        self._followers.append(follower)

    def epoch(self, values: Mapping[str, object]) -> None:
        """One line of ``summary.csv``, under a header that is written once; ``None`` becomes an empty cell."""
        header = [] if self.lengths()[SUMMARY] else [",".join(values)]
        self._append(SUMMARY, [*header, ",".join("" if value is None else str(value) for value in values.values())])

    def bad_samples(self, rows: Iterable[Mapping[str, str]]) -> None:
        """A line of ``bad_samples.jsonl`` each."""
        self._append(BAD_SAMPLES, [json.dumps(row, ensure_ascii=False) for row in rows])

    def path(self, name: str) -> Path:
        """Where that file is, or would be."""
        return self._folder / name

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What ``metrics.jsonl`` or ``bad_samples.jsonl`` holds; a line that cannot be read is told and left out."""
        path = self.path(name)
        if not path.exists():
            return []
        rows = []
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            try:
                row = dict(json.loads(line))
                rows.append({key: row[key] for key in _NEEDED[name]} | row)
            except (ValueError, TypeError, KeyError) as error:
                logging.getLogger("ppcls").warning("%s:%d cannot be read (%s)", path, number, error)
        return rows

    def lengths(self) -> dict[str, int]:
        """Bytes in each file, to be kept in a checkpoint."""
        paths = [self._folder / name for name in (EVENTS, SUMMARY, BAD_SAMPLES)]
        return {path.name: path.stat().st_size if path.exists() else 0 for path in paths}

    def cut_back(self, lengths: Mapping[str, int]) -> None:
        """Forget what was written after the checkpoint that knew ``lengths``; all, where it knew nothing of a file."""
        for name, length in self.lengths().items():
            if length > lengths.get(name, 0):
                os.truncate(self._folder / name, lengths.get(name, 0))

    def _append(self, name: str, lines: list[str]) -> None:
        path = self._folder / name
        length = self.lengths()[name]
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            with suppress(OSError):
                os.truncate(path, length)  # half a row would be worse than none
            if name not in self._unwritable:
                self._unwritable.add(name)
                reason = error.strerror or error
                logging.getLogger("ppcls").warning("%s cannot be written (%s); rows of this run are lost", path, reason)

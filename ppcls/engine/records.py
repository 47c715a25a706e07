"""What a run leaves for machines: ``metrics.jsonl``, a row an event, and ``summary.csv``, a row an epoch."""

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

EVENTS = "metrics.jsonl"
SUMMARY = "summary.csv"


class Records:
    """Appends rows; a resumed run cuts the files back to what its checkpoint knew, so no row is double or missing.

    A row that cannot be written is missing, whole: that is worth a warning, not the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unwritable: set[str] = set()

    def event(self, values: Mapping[str, object]) -> None:
        """One line of ``metrics.jsonl``."""
        self._append(EVENTS, json.dumps(values))

    def epoch(self, values: Mapping[str, object]) -> None:
        """One line of ``summary.csv``, under a header that is written once; ``None`` becomes an empty cell."""
        header = "" if self.lengths()[SUMMARY] else ",".join(values) + "\n"
        self._append(SUMMARY, header + ",".join("" if value is None else str(value) for value in values.values()))

    def lengths(self) -> dict[str, int]:
        """Bytes in each file, to be kept in a checkpoint."""
        paths = (self._folder / EVENTS, self._folder / SUMMARY)
        return {path.name: path.stat().st_size if path.exists() else 0 for path in paths}

    def cut_back(self, lengths: Mapping[str, int]) -> None:
        """Forget what was written after the checkpoint that knew ``lengths``."""
        for name in (EVENTS, SUMMARY):
            path = self._folder / name
            if name in lengths and path.exists() and path.stat().st_size > lengths[name]:
                with path.open("r+b") as file:
                    file.truncate(lengths[name])

    def _append(self, name: str, line: str) -> None:
        path = self._folder / name
        length = self.lengths()[name]
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            with suppress(OSError):
                os.truncate(path, length)  # half a row would be worse than none
            if name not in self._unwritable:
                self._unwritable.add(name)
                reason = error.strerror or error
                logging.getLogger("ppcls").warning("%s cannot be written (%s); rows of this run are lost", path, reason)

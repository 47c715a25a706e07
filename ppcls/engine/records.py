"""What a run leaves for machines: ``metrics.jsonl``, a row an event, and ``summary.csv``, a row an epoch."""

import json
from collections.abc import Mapping
from pathlib import Path

EVENTS = "metrics.jsonl"
SUMMARY = "summary.csv"


class Records:
    """Appends rows; a resumed run cuts the files back to what its checkpoint knew, so no row is double or missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def event(self, values: Mapping[str, object]) -> None:
        """One line of ``metrics.jsonl``."""
        self._append(EVENTS, json.dumps(values))

    def epoch(self, values: Mapping[str, object]) -> None:
        """One line of ``summary.csv``, under a header that is written once; ``None`` becomes an empty cell."""
        if not (self._folder / SUMMARY).exists() or (self._folder / SUMMARY).stat().st_size == 0:
            self._append(SUMMARY, ",".join(values))
        self._append(SUMMARY, ",".join("" if value is None else str(value) for value in values.values()))

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
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

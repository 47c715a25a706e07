"""``status/rank-00000.json``: what each rank of a run does, for the other ranks and for whoever looks at the folder."""

import dataclasses
import json
import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STACKS = ".stacks.txt"
_STATES = ("running", "complete", "stopped", "failed")


@dataclass(frozen=True)
class Record:
    """One rank as it was when it last said so.

    ``code`` and ``slug`` are those of the exit; ``step`` counts updates, ``saved_step`` those of the newest checkpoint;
    ``number``, ``doing`` and ``place`` tell what the rank was at, as ``watchdog.Mark`` does, and ``waits`` that it
    waited for the others. ``life`` tells the records of this start of the run from those of an earlier one.
    """

    life: str
    rank: int
    state: str = "running"
    code: int = 0
    slug: str = ""
    step: int = 0
    saved_step: int | None = None
    message: str = ""
    number: int = 0
    doing: str = ""
    place: int = 0
    waits: bool = False
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    namespace: str = field(default_factory=lambda: _namespace())  # of pids: containers may share a host's name

    @property
    def is_gone(self) -> bool:
        """Whether it said that it runs and its process is no more; False for one that cannot be seen from here."""
        if self.state != "running" or (self.host, self.namespace) != (socket.gethostname(), _namespace()):
            return False
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return Path("/proc/self/stat").exists()
        return text.rpartition(")")[2].split()[0] in ("Z", "X")  # ended, but its parent has not asked how


class StatusFolder:
    """The records of a run's ranks; each rank writes its own.

    Ranks on machines that share no file system see those of their machine.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin_life(self) -> str:
        """Forget an earlier life of the run, and name this one; for one rank, before any writes."""
        for path in [*self.folder.glob("rank-*"), *self.folder.glob(".rank-*")]:
            path.unlink(missing_ok=True)
        return secrets.token_hex(8)

    def path(self, rank: int, suffix: str = ".json") -> Path:
        """Where a rank's record is, or would be."""
        return self.folder / f"rank-{rank:05d}{suffix}"

    def write(self, record: Record) -> None:
        """Replace the rank's record at once.

        Not flushed to the disk, as it is for the living. A disk that refuses it is met by the next checkpoint.
        """
        path = self.path(record.rank)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n", encoding="utf-8")
            aside.replace(path)

    def write_stacks(self, rank: int, text: str) -> Path:
        """Put what the threads of a rank that hangs were at beside its record."""
        path = self.path(rank, STACKS)
        with suppress(OSError):
            path.write_text(text, encoding="utf-8")
        return path

    def read(self, life: str) -> list[Record]:
        """The records of this life of the run that can be read, by rank."""
        records = []
        for path in sorted(self.folder.glob("rank-*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError):
                records.append(Record(**_checked(json.loads(path.read_text(encoding="utf-8")))))
        return [record for record in records if record.life == life]


def culprit(records: Sequence[Record]) -> Record | None:
    """Of other ranks' records, the one to blame: who failed, or else who is gone without a word."""
    failed = [record for record in records if record.state == "failed"]
    gone = [record for record in records if record.is_gone]
    return next(iter([*failed, *gone]), None)


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    if content["state"] not in _STATES:
        raise ValueError(f"unknown state {content['state']!r}")
    return content


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""

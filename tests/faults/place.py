"""Where a fault happens: a folder with the tiny run's config, and perhaps a run in it that is done or was stopped."""

import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
from process import Process, Processes
from tiny_run import NAME, events, write_config

from ppcls.utils.checkpoint import CheckpointStore, Payload, unit_step
from ppcls.utils.errors import PpclsError

AVERAGED = "EMA: {decay: 0.5}\n"
STOP = "Hooks=[SignalAt: {step: 5}]"
STARTS = {  # what has run in a place before -> overrides, exit code
    "done": (("Global.epochs=2",), 0),
    "stopped": (("Global.save_every_steps=1", "Global.keep_last=9", STOP), 143),  # after update 5 of 6
}


@dataclass
class Place:
    """A folder of one's own; what ``opened`` holds is closed at the end, and what ``running`` holds is ended."""

    folder: Path
    processes: Processes
    start: str = "fresh"
    opened: ExitStack = field(default_factory=ExitStack)
    running: list[Process] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)  # more names for ``fill``

    @property
    def config(self) -> Path:
        """The YAML."""
        return self.folder / "tiny.yaml"

    @property
    def run(self) -> Path:
        """The run's folder, without stages."""
        return self.folder / "out" / NAME

    @property
    def units(self) -> list[Path]:
        """Its units, oldest first."""
        return CheckpointStore(self.run).units()

    @property
    def newest(self) -> Path:
        """Its newest unit, whole or not."""
        return self.units[-1]

    def fill(self, text: str, quote: Callable[[str], str] = str) -> str:
        """``$folder``, ``$run`` and further names in ``text`` replaced by what they are here."""
        names = {"folder": str(self.folder), "run": str(self.run)} | self.values
        return Template(text).safe_substitute({name: quote(value) for name, value in names.items()})

    def pattern(self, text: str) -> str:
        """``text`` as a regular expression in which the names stand for themselves."""
        return self.fill(text, re.escape)


def write_start(folder: Path, start: str, processes: Processes) -> None:
    """A folder as a place begins."""
    folder.mkdir()
    config = write_config(folder, AVERAGED)
    if start != "fresh":
        overrides, code = STARTS[start]
        ended = processes.run(["train", "-c", str(config), *options(overrides)], folder)
        assert ended.code == code, ended.text[-3000:]


def options(overrides: tuple[str, ...]) -> list[str]:
    """``-o`` before each."""
    return [word for override in overrides for word in ("-o", override)]


def stores(folder: Path) -> list[CheckpointStore]:
    """The checkpoints of every run below ``folder``."""
    return [CheckpointStore(path.parent) for path in sorted(folder.rglob("checkpoints")) if path.is_dir()]


class Look(NamedTuple):
    """What a unit turned out to be: why it does not verify, or the best evaluation that it knows."""

    problem: str
    best: float


def look(unit: Path) -> Look:
    """Read and verify a unit; again only when a file of it has changed."""
    entries = [(path.name, path.stat()) for path in sorted(unit.iterdir())]
    return _look(unit, tuple((name, s.st_size, s.st_mtime_ns, s.st_ino) for name, s in entries))


@lru_cache(maxsize=1000)
def _look(unit: Path, marks: tuple[object, ...]) -> Look:
    try:
        return Look("", (CheckpointStore.load(unit).payload.states.get("best") or {}).get("value", 0.0))
    except PpclsError as error:
        return Look(str(error), 0.0)


def problems_of_units(folder: Path) -> dict[Path, str]:
    """The units below ``folder`` that do not verify, with the reason."""
    units = [unit for store in stores(folder) for unit in store.units()]
    return {unit: look(unit).problem for unit in units if look(unit).problem}


def best_value(folder: Path) -> float:
    """The best evaluation that a whole unit of any run below ``folder`` knows."""
    return max((look(unit).best for store in stores(folder) for unit in store.units()), default=0.0)


def newest_step(store: CheckpointStore) -> int:
    """The step of the newest unit that verifies, -1 without one."""
    return next((unit_step(unit) for unit in reversed(store.units()) if not look(unit).problem), -1)


def differences(folder: Path, expected: Path) -> list[str]:
    """In what two finished runs differ, but for times: every checkpoint by its name, the tables."""
    runs = sorted(path.parent.relative_to(expected) for path in expected.rglob("checkpoints"))
    if runs != sorted(path.parent.relative_to(folder) for path in folder.rglob("checkpoints")):
        return ["other runs"]
    return [f"{run}/{what}" for run in runs for what in _differences(folder / run, expected / run)]


def _differences(one: Path, other: Path) -> list[str]:
    found = []
    prefixes = sorted(path.name.removesuffix(".pdparams") for path in other.glob("*.pdparams"))
    if prefixes != sorted(path.name.removesuffix(".pdparams") for path in one.glob("*.pdparams")):
        found.append("names of checkpoints")
    for prefix in prefixes if not found else []:
        ours, theirs = (CheckpointStore.load(folder / prefix).payload for folder in (one, other))
        found += [f"{prefix}: {part}" for part in _unequal_parts(ours, theirs)]
    if events(one) != events(other):
        found.append("metrics.jsonl")
    for name in ("summary.csv", "bad_samples.jsonl"):
        texts = [(folder / name).read_text() if (folder / name).exists() else "" for folder in (one, other)]
        if texts[0] != texts[1]:
            found.append(name)
    return found


def _unequal_parts(one: Payload, other: Payload) -> list[str]:
    found = [name for name in ("params", "ema", "opt") if not _equal(getattr(one, name), getattr(other, name))]
    states = [{**payload.states, "records": {}} for payload in (one, other)]  # lengths differ as times do
    return found + ["states"] * (not _equal(*states))


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return type(one) is type(other) and one == other


def copy_start(base: Path, folder: Path) -> None:
    """A place that begins as ``base`` did; its config names the new folder."""
    shutil.copytree(base, folder)
    write_config(folder, AVERAGED)

"""A fault as data, how it is made to happen, and what must hold afterwards, whatever happened."""

import json
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from bad_runs import told
from place import Place, best_value, differences, newest_step, options, problems_of_units, stores
from process import SECRET, Bent, Ended, Process, members, saves_file

Check = Callable[[Place, Ended], None]
_LEFTOVERS = (".tmp-*", ".del-*", ".link-*")


@dataclass(frozen=True)
class Fault:
    """Something broken, and what is promised then. In all texts ``$folder`` and ``$run`` stand for the place's.

    Args:
        broken: what is, in a sentence.
        command: the words before ``-c``; or with a ``-``, all words.
        given: overrides of the command, and of its continuation.
        spoiling: overrides of the command alone.
        says: a regular expression: of standard error after a failure, of both streams otherwise.
        start: what ran in the place before, see ``place.STARTS``.
        bent: what is done inside the process before the command.
        leaves: what else must hold afterwards.
        continues: ``Global.checkpoints=auto`` must then complete the run, bit-equal to one that was never broken;
            ``continued`` are further overrides of that.
        mute: the run's status cannot be written at the end.
        traced: a traceback may stand above the message.
        whole: the interpreter comes to its own end.
    """

    name: str
    broken: str
    code: int
    slug: str = ""
    says: str = ""
    command: tuple[str, ...] = ("train",)
    given: tuple[str, ...] = ()
    spoiling: tuple[str, ...] = ()
    start: str = "fresh"
    arrange: Callable[[Place], None] = lambda place: None
    bent: tuple[Bent, ...] = ()
    leaves: tuple[Check, ...] = ()
    continues: bool = False
    continued: tuple[str, ...] = ()
    within_s: float = 60.0
    within_mb: float = 1e6
    mute: bool = False
    traced: bool = False
    whole: bool = False
    needs_mounts: bool = False
    slow: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Before:
    """What was there before the fault."""

    bad_units: frozenset[Path]
    best: float
    shared: frozenset[str]

    @classmethod
    def of(cls, place: Place) -> "Before":
        """Look."""
        return cls(frozenset(problems_of_units(place.folder)), best_value(place.folder), _shared_files())


def happen(fault: Fault, place: Place) -> Ended:
    """Arrange the fault, run into it, and require all that is promised."""
    fault.arrange(place)
    before = Before.of(place)
    ended = start(fault, place).wait()
    require_told(fault, place, ended)
    require_invariants(place, ended, before)
    if not fault.mute:
        require_status(place, ended)
    for check in fault.leaves:
        check(place, ended)
    return ended


def start(fault: Fault, place: Place) -> Process:
    """The command of a fault, running."""
    overrides = tuple(place.fill(override) for override in (*fault.given, *fault.spoiling))
    words = [place.fill(word) for word in fault.command]
    if not any(word == "-" for word in words):
        words = [words[0], "-c", str(place.config), *words[1:], *options(overrides)]
    bent = [tuple(place.fill(item) if isinstance(item, str) else item for item in call) for call in fault.bent]
    noted = ("bent.note_saves", str(saves_file(place.folder)))
    return place.processes.start([word for word in words if word != "-"], place.folder, [noted, *bent], fault.whole)


def require_told(fault: Fault, place: Place, ended: Ended) -> None:
    """The exit code and the message are the promised ones, and came in time."""
    assert ended.code == fault.code, f"{fault.broken}: exit code {ended.code}\n{ended.text[-3000:]}"
    message = ended.err[ended.err.rfind("error[") :] if fault.traced else ended.err
    if 0 < ended.code < 128 and fault.slug:
        told(message, fault.slug, ended.code)
    if ended.code >= 0 and not fault.traced:
        assert "Traceback" not in ended.text, ended.text[-3000:]
    where = ended.err if fault.slug else ended.text
    assert re.search(place.pattern(fault.says), where, re.MULTILINE), f"{fault.says} is not in\n{where[-3000:]}"
    assert ended.seconds < fault.within_s, f"it took {ended.seconds:.1f} s"
    assert ended.grown_mb < fault.within_mb, f"it took {ended.grown_mb:.0f} MB"


def require_invariants(place: Place, ended: Ended, before: Before) -> None:
    """What holds after everything that can happen."""
    broken = {unit: reason for unit, reason in problems_of_units(place.folder).items() if unit not in before.bad_units}
    assert not broken, f"units that do not verify: {broken}"
    for store in stores(place.folder):
        reported = [unit for unit in _reported(place) if unit.parent == store.folder]
        steps = [int(re.search(r"step-(\d+)", unit.name)[1]) for unit in reported]
        assert newest_step(store) >= max(steps, default=-1), "a checkpoint that was reported is lost"
    _require_gone(ended.pid)
    left = [name for name in _shared_files() - before.shared if str(ended.pid) in name]
    assert not left, f"left in /dev/shm: {left}"
    assert best_value(place.folder) >= before.best, "the best evaluation got worse"
    if ended.code >= 0:
        assert not leftovers(place.folder), leftovers(place.folder)
    leaks = [path for path in place.folder.parent.rglob("*") if path.is_file() and SECRET.encode() in _bytes(path)]
    assert not leaks, f"a value of the environment is in {leaks}"


def continue_run(fault: Fault, place: Place, unbroken: Path) -> None:
    """Start the run again: it goes on from its newest checkpoint, and ends as ``unbroken`` did."""
    given = tuple(place.fill(override) for override in fault.given)
    words = ["train", "-c", str(place.config), *options((*given, "Global.checkpoints=auto", *fault.continued))]
    before = Before.of(place)
    ended = place.processes.run(words, place.folder, [("bent.note_saves", str(saves_file(place.folder)))])
    assert ended.code == 0, ended.text[-3000:]
    require_invariants(place, ended, before)
    require_status(place, ended)
    found = differences(place.folder / "out", unbroken / "out")
    assert not found, f"not as the unbroken run: {found}"


def leftovers(folder: Path) -> list[Path]:
    """What a process that was killed leaves behind until the next start; one that lives has it in use."""
    found = [path for pattern in _LEFTOVERS for path in folder.rglob(pattern)]
    return [path for path in found if not (path.name.startswith(".tmp-") and _is_of_a_living_process(path))]


def _is_of_a_living_process(aside: Path) -> bool:
    return Path(f"/proc/{aside.name.rpartition('-')[2]}").exists()


def _reported(place: Place) -> list[Path]:
    path = saves_file(place.folder)
    return [Path(line) for line in path.read_text().splitlines()] if path.exists() else []


def require_status(place: Place, ended: Ended) -> None:
    """What the status of each stage says is how it ended, and what it says is saved is there."""
    found = []
    for store in stores(place.folder):
        path = store.run_folder / "status" / "rank-00000.json"
        status = json.loads(path.read_text()) if path.exists() else {"pid": 0}
        if status["pid"] == ended.pid:
            found.append((path.stat().st_mtime_ns, status["state"], status["code"]))
            assert newest_step(store) >= (status["saved_step"] or -1), status
    if found and ended.code >= 0:
        *earlier, last = [(state, code) for _, state, code in sorted(found)]
        state = "complete" if ended.code == 0 else "stopped" if ended.code > 128 else "failed"
        assert last == (state, ended.code), last
        assert set(earlier) <= {("complete", 0)}, earlier


def _require_gone(session: int) -> None:
    """Within two seconds."""
    deadline = time.monotonic() + 2
    while (alive := members(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in alive:
        os.kill(pid, SIGKILL)
    assert not alive, f"processes left: {alive}"


def _shared_files() -> frozenset[str]:
    folder = Path("/dev/shm")
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _bytes(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""

"""A run that is killed inside a save, a prune, a start or a table: the next start ends as the unbroken run.

The save after update 4 of a run that saves every update is the one that is hit: older units are there to be lost.
"""

from functools import partial
from signal import SIGKILL

from checks import units_are
from fault import Check, Fault
from place import Place

_EVERY = ("Global.save_every_steps=1",)
_UNIT = "step-000000004-0"
_killed = partial(Fault, code=-SIGKILL, given=_EVERY, continues=True)


def leave_behind(place: Place) -> None:
    """What a killed process leaves: a unit that was being written, one that was being deleted."""
    for name in (".tmp-step-9", ".del-step-000000001-0"):
        folder = place.run / "checkpoints" / name
        folder.mkdir()
        (folder / "model.pdparams").write_bytes(b"half")


def mix_names(place: Place) -> None:
    """``latest`` is of two units, as after a kill between two links."""
    older = place.units[-2]
    for suffix in (".pdparams", ".manifest.json"):
        link = place.run / f"latest{suffix}"
        link.unlink()
        link.write_bytes((older / f"model{suffix}").read_bytes())


_BEFORE = units_are("1-0", "2-0", "3-1")
_AFTER = units_are("1-0", "2-0", "3-1", "4-0")
_PRUNED = units_are("2-0", "3-1", "4-0")
_FRESH: dict[str, object] = {}
_LEFTOVERS: dict[str, object] = {"start": "stopped", "arrange": leave_behind}
_MIXED: dict[str, object] = {"start": "stopped", "arrange": mix_names}
_SLOW: dict[str, object] = {"slow": True}

# The file that is half written when the kill comes, the how-manieth with that in its path.
_TORN: dict[str, tuple[str, str, int, Check | None, dict[str, object]]] = {
    "killed in the weights": ("weights", f"{_UNIT}-", 1, _BEFORE, _FRESH),
    "killed in the average": ("averaged weights", f"{_UNIT}-", 2, _BEFORE, _SLOW),
    "killed in the moments": ("the optimizer's state", f"{_UNIT}-", 3, _BEFORE, _SLOW),
    "killed in the manifest": ("a manifest", f"{_UNIT}-", 5, _BEFORE, _FRESH),
    "killed in a row of metrics": ("a row of metrics.jsonl", "metrics.jsonl", 3, None, _FRESH),
    "killed in a row of the summary": ("a row of summary.csv", "summary.csv", 2, None, _SLOW),
    "killed in config.yaml": ("config.yaml", "config.yaml", 1, units_are(), _SLOW),
}
# The system call before which the kill comes, the how-manieth that concerns such a path.
_CALLS: dict[str, tuple[str, str, str, int, Check | None, dict[str, object]]] = {
    "killed before the first flush": ("weights may be in memory only", "fsync", f"{_UNIT}-", 1, _BEFORE, _SLOW),
    "killed before the last flush": ("a manifest may be in memory only", "fsync", f"{_UNIT}-", 5, _BEFORE, _SLOW),
    "killed before its folder's flush": ("names may be in memory only", "fsync", f"{_UNIT}-", 6, _BEFORE, _SLOW),
    "killed before the rename": ("a unit has no name yet", "rename", _UNIT, 1, _BEFORE, _SLOW),
    "killed after the rename": ("a unit's name may be in memory only", "fsync", "checkpoints$", 4, _AFTER, _FRESH),
    "killed before a link": ("latest is the unit before", "link", f"{_UNIT}/model.pdparams", 1, _AFTER, _SLOW),
    "killed between two links": ("latest is of two units", "link", f"{_UNIT}/model.pdopt", 1, _AFTER, _SLOW),
    "killed before the last link": ("latest has an older manifest", "replace", "latest.manifest", 4, _AFTER, _FRESH),
    "killed before best_model": ("the best has no name yet", "link", "best_model", 1, _BEFORE, _SLOW),
    "killed before pruning": ("an old unit is to go", "rename", "/step-000000001-0", 2, _AFTER, _SLOW),
    "killed in pruning": ("half of an old unit is gone", "unlink", ".del-step-000000001-0", 3, _PRUNED, _FRESH),
    "killed at the end of pruning": ("an old unit is empty", "rmdir", ".del-step-000000001-0", 1, _PRUNED, _SLOW),
    "killed at the first flush of all": ("nothing is saved yet", "fsync", "step-000000001-0", 1, units_are(), _SLOW),
    "killed at the last rename": ("all updates are done", "rename", "step-000000006-1", 1, None, _SLOW),
    "killed while cleaning up": ("a start removes leftovers", "rmdir", ".tmp-step-9", 1, None, _LEFTOVERS | _SLOW),
    "killed while mending latest": ("a start mends the names", "replace", "latest.", 2, None, _MIXED),
}


def _checks(check: Check | None) -> tuple[Check, ...]:
    return (check,) if check is not None else ()


FAULTS = (
    *(
        _killed(name, f"{what} is half written", bent=(("bent.tear", match, "", nth),), leaves=_checks(check), **more)
        for name, (what, match, nth, check, more) in _TORN.items()
    ),
    *(
        _killed(name, broken, bent=(("bent.kill_at", call, match, nth),), leaves=_checks(check), **more)
        for name, (broken, call, match, nth, check, more) in _CALLS.items()
    ),
)

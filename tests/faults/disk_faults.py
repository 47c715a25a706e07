"""Disks that are full, broken or taken away, at the start or in mid-run: one line, and older checkpoints whole."""

import subprocess
from functools import partial
from signal import SIGTERM

import pytest
from checks import complete, says_once, units_are
from fault import Fault
from place import Place, options
from process import Ended

_EVERY = ("Global.save_every_steps=1",)
_FOURTH = "step-000000004-0"
_KEPT = units_are("1-0", "2-0", "3-1")
_fails = partial(Fault, code=1, given=_EVERY, continues=True)
_warns = partial(Fault, code=0, given=_EVERY)
_LOGS = r"(metrics\.jsonl|summary\.csv|train\.log)$"


def never_says_saved(place: Place, ended: Ended) -> None:
    """Nobody is told that something was saved."""
    assert "saved" not in ended.text.replace("nothing was saved", "").replace("not saved", "")


def as_a_file(place: Place) -> None:
    """The output folder is a file."""
    (place.folder / "out").write_text("in the way")


def small_disk(place: Place) -> None:
    """The output folder is a file system of 3 MiB: two checkpoints and their average fit, not three."""
    out = place.folder / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(out)], check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    place.opened.callback(subprocess.run, ["umount", "-l", str(out)], check=True)


def a_first_trainer(place: Place) -> None:
    """Another process trains in the folder, until the end of the test."""
    words = ["train", "-c", str(place.config), *options((*_EVERY, "Global.epochs=100000"))]
    first = place.processes.start(words, place.folder)
    place.running.append(first)
    place.values["first"] = str(first.pid)
    while not place.units:
        assert first.is_alive(), first.out()


def first_goes_on(place: Place, ended: Ended) -> None:
    """The first trainer was not harmed: it saves on, and stops when it is told to."""
    first = place.running.pop()
    before = place.newest.name
    while place.newest.name == before:
        assert first.is_alive(), first.out()
    first.send(SIGTERM)
    assert first.wait().code == 128 + SIGTERM


def _full(name: str, broken: str, bent: tuple[object, ...], says: str, **more: object) -> Fault:
    return _fails(name, broken, slug="disk-full", bent=(bent,), says=says, leaves=(_KEPT,), **more)


_ADVICE = r"free some space, then start again"
_UNWRITABLE = r"error\[output\]: cannot write $run.*: {}; is the folder there and writable\?"
FAULTS = (
    _full(
        "disk full in the weights",
        "the disk is full after half of the weights",
        ("bent.tear", f"{_FOURTH}-", "ENOSPC", 1),
        rf"cannot write $run/checkpoints/{_FOURTH}: No space left on device; {_ADVICE}",
    ),
    _full(
        "disk full in the manifest",
        "the disk is full after half of the manifest",
        ("bent.tear", f"{_FOURTH}-", "ENOSPC", 5),
        rf"cannot write $run/checkpoints/{_FOURTH}: No space left on device; {_ADVICE}",
        slow=True,
    ),
    _full(
        "quota used up at a flush",
        "the quota is found used up when the weights are flushed",
        ("bent.fail_at", "fsync", f"{_FOURTH}-", "EDQUOT", 2),
        rf"cannot write $run/checkpoints/{_FOURTH}: Disk quota exceeded; {_ADVICE}",
        slow=True,
    ),
    _fails(
        "files may not grow",
        "no file may be longer than 100 kB",
        slug="disk-full",
        bent=(("bent.no_file_above", 100_000),),
        says=rf"cannot write $run/checkpoints/step-000000001-0: File too large; {_ADVICE}",
        leaves=(units_are(),),
        continues=False,
    ),
    _fails(
        "too little space",
        "the disk says beforehand that a checkpoint will not fit",
        slug="disk-full",
        bent=(("bent.claim_free", 1000),),
        says=r"cannot write $run/checkpoints: it needs \d+ bytes and 1000 are free; free some space, or lower Global\.",
        leaves=(units_are(),),
    ),
    _fails(
        "disk of 3 MiB",
        "a real file system fills up",
        slug="disk-full",
        arrange=small_disk,
        spoiling=("Global.keep_last=9",),
        says=r"cannot write $run/checkpoints.*free some space",
        continues=False,
    ),
    _fails(
        "flush fails",
        "the disk reports an error when weights are flushed",
        slug="io-error",
        bent=(("bent.fail_at", "fsync", f"{_FOURTH}-", "EIO", 1),),
        says=rf"cannot write $run/checkpoints/{_FOURTH}: Input/output error",
        leaves=(_KEPT,),
    ),
    _fails(
        "flush of names fails",
        "the disk reports an error when the name of a unit is flushed",
        slug="io-error",
        bent=(("bent.fail_at", "fsync", "checkpoints$", "EIO", 4),),
        says=rf"cannot write $run/checkpoints/{_FOURTH}: Input/output error",
        slow=True,
    ),
    _fails(
        "rename fails",
        "a unit cannot get its name",
        slug="output",
        bent=(("bent.fail_at", "rename", _FOURTH, "EACCES", 1),),
        says=_UNWRITABLE.format("Permission denied"),
        leaves=(_KEPT,),
    ),
    _warns(
        "links not supported",
        "the file system has no hard links: names are copies",
        bent=(("bent.fail_at", "link", "latest|best_model|epoch_", "EPERM"),),
        leaves=(complete,),
        continues=True,
    ),
    _warns(
        "logs on a full disk",
        "the disk is full for the tables and the log alone",
        bent=(("bent.tear", _LOGS, "ENOSPC", 0),),
        says=r"WARNING: $run/metrics\.jsonl cannot be written \(No space left on device\)",
        leaves=(complete, says_once("$run/metrics.jsonl cannot be"), says_once("$run/summary.csv cannot be")),
    ),
    _warns(
        "old unit stays",
        "an old unit cannot be deleted",
        bent=(("bent.fail_at", "rename", "/step-000000001-0$", "EACCES", 2),),
        says=r"WARNING: $run/checkpoints/step-000000001-0 cannot be deleted \(Permission denied\)",
        given=(*_EVERY, "Global.keep_last=2", "Global.epochs=1"),
        leaves=(units_are("1-0", "2-0", "3-1"), says_once("cannot be deleted")),
    ),
    _fails(
        "output is a file",
        "a file has the name of the output folder",
        slug="output",
        arrange=as_a_file,
        says=_UNWRITABLE.format("Not a directory"),
        leaves=(never_says_saved,),
        continues=False,
    ),
    _fails(
        "output read-only at the start",
        "the output folder cannot be written to",
        slug="output",
        arrange=lambda place: (place.folder / "out").mkdir(),
        bent=(("bent.read_only", "$folder/out"),),
        says=_UNWRITABLE.format("Read-only file system"),
        leaves=(never_says_saved,),
        needs_mounts=True,
    ),
    _fails(
        "output read-only in mid-run",
        "the output folder becomes read-only after update 4",
        slug="output",
        spoiling=("Hooks=[SpoilRun: {step: 4, what: protect, target: $folder/out}]",),
        says=_UNWRITABLE.format("Read-only file system"),
        leaves=(_KEPT, never_says_saved),
        needs_mounts=True,
        mute=True,
    ),
    _fails(
        "run folder removed",
        "somebody removes the run's folder after update 4",
        slug="output",
        spoiling=("Hooks=[SpoilRun: {step: 4, what: remove, target: $run}]",),
        says=_UNWRITABLE.format("No such file or directory"),
        leaves=(never_says_saved,),
        continues=False,
    ),
    Fault(
        "second trainer",
        "two runs want the same folder",
        2,
        slug="locked",
        arrange=a_first_trainer,
        spoiling=("Global.checkpoints=auto",),
        says=r"$run is in use by pid $first on \S+; wait for it, stop it, or choose another folder",
        leaves=(first_goes_on,),
    ),
    Fault(
        "fresh start over another run",
        "the folder holds a run, and nobody said what to do with it",
        2,
        slug="locked",
        start="done",
        says=r"$run holds the checkpoints of another run; continue it with --resume, or start afresh with --overwrite",
    ),
)

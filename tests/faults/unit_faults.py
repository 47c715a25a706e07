"""Checkpoints that are damaged or do not fit: by name they are refused, else the one before is used."""

import json
from collections.abc import Callable
from pathlib import Path

import hostile_weights as hostile
from bad_runs import flip_a_bit
from fault import Fault
from place import Place
from process import Ended

_NEWEST = "step-000000005-0"
_AUTO = ("Global.checkpoints=auto",)
_NAMED = (f"Global.checkpoints=$run/checkpoints/{_NEWEST}",)

Arrange = Callable[[Place], None]


def set_aside(place: Place, ended: Ended) -> None:
    """The bad unit is kept under another name."""
    assert (place.run / "checkpoints" / f"bad-{_NEWEST}").is_dir()


def untouched(place: Place, ended: Ended) -> None:
    """No unit was renamed, none was written."""
    assert [unit.name[5:] for unit in place.units] == [f"00000000{n}" for n in ("1-0", "2-0", "3-1", "4-0", "5-0")]


def newest(change: Callable[[Path], None], name: str = "model.pdparams") -> Arrange:
    """Arranges that a file of the newest unit is changed."""
    return lambda place: change(place.newest / name)


def cut(path: Path) -> None:
    """The second half of a file is missing."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def every_unit_bad(place: Place) -> None:
    """One bit of each is wrong."""
    for unit in place.units:
        flip_a_bit(unit / "model.pdopt")


def newer_format(path: Path) -> None:
    """A manifest as a later version might write it."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))


def without_moments(place: Place) -> None:
    """A checkpoint without manifest, as PaddleClas leaves it, and without optimizer state."""
    for suffix in (".pdparams", ".pdstates"):
        (place.folder / f"brought{suffix}").write_bytes((place.run / f"latest{suffix}").read_bytes())
    hostile.write_pickle(place.folder / "brought.pdopt", {})


def _damage(name: str, broken: str, arrange: Arrange, reason: str, **more: object) -> tuple[Fault, Fault]:
    """The newest unit is damaged: ``auto`` sets it aside and goes on from the one before; by name it is refused."""
    return (
        Fault(
            f"{name}, auto",
            broken,
            0,
            start="stopped",
            arrange=arrange,
            spoiling=_AUTO,
            says=rf"WARNING: $run/checkpoints/{_NEWEST} is set aside as bad-{_NEWEST}: .*{reason}",
            leaves=(set_aside,),
            continues=True,
            **more,
        ),
        Fault(
            f"{name}, named",
            broken,
            4,
            slug="damaged",
            start="stopped",
            arrange=arrange,
            spoiling=_NAMED,
            says=reason,
            leaves=(untouched,),
            **more,
        ),
    )


def _changed(name: str, override: str, says: str) -> tuple[Fault, Fault]:
    """A setting that decides the numbers is another than the checkpoint's."""
    broken = f"{name} is another than the checkpoint's"
    both = {"start": "stopped", "given": (override,), "spoiling": _AUTO, "says": says}
    allowed = ("train", "--allow-config-change")
    return (
        Fault(f"changed {name}", broken, 4, slug="config-changed", leaves=(untouched,), **both),
        Fault(f"changed {name}, allowed", broken, 0, command=allowed, slow=True, **both),
    )


FAULTS = (
    *_damage(
        "bit flipped", "one bit of the weights", newest(flip_a_bit), r"has sha256 \w{64}, its manifest says \w{64}"
    ),
    *_damage("file missing", "the moments are gone", newest(Path.unlink, "model.pdopt"), r"model\.pdopt is missing; "),
    *_damage(
        "file cut",
        "half of the average",
        newest(cut, "model.pdema"),
        r"has \d+ bytes, its manifest says \d+",
        slow=True,
    ),
    *_damage(
        "file empty",
        "the states are empty",
        newest(lambda path: path.write_bytes(b""), "model.pdstates"),
        "has 0 bytes",
        slow=True,
    ),
    *_damage(
        "file too many", "a foreign file", newest(Path.touch, "model.old"), r"holds model\.old, which its manifest"
    ),
    *_damage(
        "manifest broken",
        "half of the manifest",
        newest(cut, "model.manifest.json"),
        r"manifest\.json is damaged: JSON",
    ),
    *_damage(
        "manifest newer",
        "a later format",
        newest(newer_format, "model.manifest.json"),
        "written by a newer version",
        slow=True,
    ),
    *_damage(
        "manifest missing",
        "no manifest",
        newest(Path.unlink, "model.manifest.json"),
        r"has no model\.manifest\.json",
        slow=True,
    ),
    Fault(
        "every unit bad",
        "no checkpoint is whole: no start from scratch",
        4,
        slug="damaged",
        start="stopped",
        arrange=every_unit_bad,
        spoiling=_AUTO,
        says=r"no checkpoint in $run/checkpoints is whole: step-000000005-0: .*; step-000000001-0: .* has sha256",
        leaves=(untouched,),
    ),
    Fault(
        "other width",
        "the network is wider than the checkpoint's",
        4,
        slug="mismatch",
        start="stopped",
        given=("Arch.scale=0.25",),
        spoiling=_AUTO,
        says=r"^  misshapen +\d+: conv1\.0\.weight \(float32 \[4, 3, 3, 3\] in the file, float32 \[8, 3, 3, 3\] in",
        leaves=(untouched,),
    ),
    Fault(
        "other classes",
        "the network has another number of classes than the checkpoint's",
        4,
        slug="mismatch",
        start="stopped",
        given=("Arch.class_num=3",),
        spoiling=_AUTO,
        says=r"408 of its 410 tensors could be loaded",
        leaves=(untouched,),
    ),
    Fault(
        "other optimizer",
        "the optimizer is another than the checkpoint's",
        4,
        slug="mismatch",
        start="stopped",
        given=("Optimizer={name: SGD, lr: {learning_rate: 0.1}}",),
        spoiling=_AUTO,
        says=r"the checkpoint's optimizer state holds velocity_0, which SGD does not have: another optimizer",
        leaves=(untouched,),
    ),
    Fault(
        "empty optimizer state",
        "a checkpoint without a manifest has no moments",
        4,
        slug="mismatch",
        start="stopped",
        arrange=without_moments,
        spoiling=("Global.checkpoints=$folder/brought", "Global.output_dir=$folder/other", "EMA=null"),
        says=r"the checkpoint has no optimizer state; \S+ would start with fresh moments",
    ),
    *_changed("rate", "Optimizer.lr.learning_rate=0.02", r"Optimizer\.lr\.learning_rate was 0\.01, is 0\.02"),
    *_changed("batch size", "DataLoader.Train.sampler.batch_size=4", r"sampler\.batch_size was 8, is 4"),
    *_changed("data length", "DataLoader.Train.dataset.samples=30", r"dataset\.samples was 22, is 30"),
    *_changed("seed", "Global.seed=8", r"Global\.seed was 7, is 8"),
)

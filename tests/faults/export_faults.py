"""Exports that are killed, damaged, or of other weights: the program under its name is whole, or there is none."""

from functools import partial
from pathlib import Path
from signal import SIGKILL

from fault import Check, Fault
from place import Place
from process import Ended

from ppcls.utils.exported import verify_export

_export = partial(
    Fault,
    command=("export",),
    start="done",
    spoiling=("Global.pretrained_model=$run/latest", "Global.save_inference_dir=$folder/program"),
)
_damaged = partial(_export, code=4, slug="damaged")
_killed = partial(_export, code=-SIGKILL)


def earlier(place: Place) -> None:
    """An export stands there already, with a note beside it."""
    words = ["export", "-c", str(place.config), "-o", f"Global.pretrained_model={place.run}/epoch_1"]
    ended = place.processes.run([*words, "-o", f"Global.save_inference_dir={place.folder}/program"], place.folder)
    assert ended.code == 0, ended.text
    (place.folder / "program" / "note.txt").write_text("mine")
    place.values["earlier"] = _hashes(place.folder / "program")


def no_program(place: Place, ended: Ended) -> None:
    """Nothing stands under the name."""
    assert not (place.folder / "program").exists()


def is_earlier(expected: bool) -> Check:
    """The program is whole, and the earlier one, or not; the foreign file is there."""

    def check(place: Place, ended: Ended) -> None:
        folder = place.folder / "program"
        verify_export(folder / "inference")
        assert (_hashes(folder) == place.values["earlier"]) is expected
        assert (folder / "note.txt").read_text() == "mine"

    return check


def whole(place: Place, ended: Ended) -> None:
    """The program and its manifest agree."""
    verify_export(place.folder / "program" / "inference")


def leftover_goes(place: Place, ended: Ended) -> None:
    """The next export removes what the killed one left, and is whole."""
    words = ["export", "-c", str(place.config), "-o", f"Global.pretrained_model={place.run}/latest"]
    again = place.processes.run([*words, "-o", f"Global.save_inference_dir={place.folder}/program"], place.folder)
    assert again.code == 0, again.text
    assert not list(place.folder.glob(".tmp-*")), list(place.folder.iterdir())
    whole(place, again)


def _hashes(folder: Path) -> str:
    return str(verify_export(folder / "inference").files) + (folder / "inference.manifest.json").read_text()


_DAMAGE = {
    "flipped": ("one bit of the parameters", r"inference\.pdiparams has \d+ bytes, sha256 \w{64}; its manifest says"),
    "missing": ("the parameters are gone", r"inference\.pdiparams is missing: its manifest lists \d+ bytes"),
    "cut": ("half of the parameters is gone", r"inference\.pdiparams has \d+ bytes, sha256 \w{64}; its manifest says"),
}
FAULTS = (
    *(
        _damaged(
            f"export with parameters {how}",
            f"{broken} when the program is tried",
            bent=(("bent.spoil_export", how),),
            says=says,
            leaves=(no_program,),
        )
        for how, (broken, says) in _DAMAGE.items()
    ),
    _damaged(
        "export over another, damaged",
        "an export fails, and an earlier one stands",
        arrange=earlier,
        bent=(("bent.spoil_export", "flipped"),),
        says=_DAMAGE["flipped"][1],
        leaves=(is_earlier(True),),
        slow=True,
    ),
    _export(
        "export of other weights",
        "the program answers otherwise than the network",
        code=4,
        slug="mismatch",
        bent=(("bent.answer_otherwise",),),
        says=r"the exported program differs from the network by \S+; nothing was written",
        leaves=(no_program,),
    ),
    _export(
        "export with a wrong rewriting",
        "the rewritten ONNX program answers otherwise than the network",
        code=4,
        slug="mismatch",
        command=("export", "--onnx", "--optimize"),
        bent=(("bent.rewrite_otherwise",),),
        says=r"inference\.onnx differs from the network by \S+; nothing was written",
        leaves=(no_program,),
        slow=True,
    ),
    _export(
        "export onto a full disk",
        "paddle writes what fits, and says nothing",
        code=4,
        slug="damaged",
        bent=(("bent.no_file_above", 100_000),),
        says=r"paddle cannot read \S+/inference\.(json|pdmodel): .*; was the disk full\? export again",
        leaves=(no_program,),
    ),
    _export(
        "export over another",
        "an earlier export and a foreign file stand where the program goes",
        slow=True,
        code=0,
        arrange=earlier,
        says=r"the exported program answers as the network does",
        leaves=(is_earlier(False),),
    ),
    _export(
        "export beside a folder",
        "a foreign folder stands where the program goes",
        code=1,
        slug="output",
        arrange=lambda place: (place.folder / "program" / "mine").mkdir(parents=True),
        says=r"$folder/program also holds mine, no plain file; choose a folder of its own",
    ),
    _export(
        "export of weights that do not fit",
        "the network has other classes than the weights",
        code=4,
        slug="mismatch",
        given=("Arch.class_num=3",),
        says=r"408 of its 410 tensors could be loaded",
        leaves=(no_program,),
    ),
    _killed(
        "export killed at a flush",
        "a program is written, and not flushed",
        bent=(("bent.kill_at", "fsync", ".tmp-program-.*pdiparams"),),
        leaves=(no_program, leftover_goes),
        slow=True,
    ),
    _killed(
        "export killed before its name",
        "a program is whole, and has no name yet",
        bent=(("bent.kill_at", "rename", ".tmp-program-"),),
        leaves=(no_program, leftover_goes),
    ),
    _killed(
        "export killed over another",
        "a program is about to take the place of an earlier one",
        arrange=earlier,
        bent=(("bent.kill_at", "fsync", ".tmp-program-[^/]*$"),),
        leaves=(is_earlier(True), leftover_goes),
        slow=True,
    ),
    _killed(
        "export killed after the exchange",
        "a program has taken the place of an earlier one, which is not deleted yet",
        arrange=earlier,
        bent=(("bent.kill_at", "fsync", "/place$"),),
        leaves=(is_earlier(False), leftover_goes),
    ),
)

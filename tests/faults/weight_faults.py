"""Weights that are hostile, foreign or unfit: refused by name, at once, and nothing runs or hangs."""

import os
from collections.abc import Callable
from functools import partial

import hostile_weights as hostile
import numpy as np
from fault import Fault
from place import Place
from process import Ended

from ppcls.utils.save_load import read_weights, write_weights

_HEAD = "head.5.bias"
_LATEST = ("Global.pretrained_model=$run/latest",)
_weights = partial(Fault, code=4, command=("eval",), spoiling=("Global.pretrained_model=$folder/bad.pdparams",))
_at_once = partial(_weights, within_s=5.0, within_mb=200.0)

Arrange = Callable[[Place], None]


def nothing_ran(place: Place, ended: Ended) -> None:
    """The file did not do what it wanted to."""
    assert not (place.folder / "ran").exists()


def bytes_file(data: bytes, name: str = "bad.pdparams") -> Arrange:
    """Arranges a file of weights that holds this."""
    return lambda place: (place.folder / name).write_bytes(data)


def part_of_weights(end: Callable[[int], int]) -> Arrange:
    """Arranges real weights that end early."""

    def arrange(place: Place) -> None:
        data = (place.run / "latest.pdparams").read_bytes()
        (place.folder / "bad.pdparams").write_bytes(data[: end(len(data))])

    return arrange


def with_head(change: Callable[[np.ndarray], np.ndarray]) -> Arrange:
    """Arranges real weights one tensor of which is changed."""

    def arrange(place: Place) -> None:
        arrays = dict(read_weights(str(place.run / "latest")).arrays)
        arrays[_HEAD] = change(arrays[_HEAD])
        write_weights(place.folder / "bad.pdparams", arrays)

    return arrange


_CUTS = {"0 bytes": lambda n: 0, "1 byte": lambda n: 1, "2 bytes": lambda n: 2, "10 bytes": lambda n: 10}
_CUTS |= {"half": lambda n: n // 2, "all but a byte": lambda n: n - 1}
WEIGHTS = (
    *(
        _at_once(
            f"pickle that asks for {name}",
            "weights that run code, or ask for what no weights need",
            slug=slug,
            arrange=lambda place, make=make: make(place.folder / "bad.pdparams", place.folder / "ran"),
            says=f"bad.pdparams {says}",
            leaves=(nothing_ran,),
        )
        for name, (slug, make, says) in hostile.PICKLES.items()
    ),
    *(
        _at_once(
            f"weights of {name}",
            "the file ends early",
            slug="damaged",
            start="done",
            arrange=part_of_weights(end),
            says=r"bad\.pdparams (is damaged|holds no weights|is empty)",
        )
        for name, end in _CUTS.items()
    ),
    *(
        _at_once(
            name,
            "a file that is no weights",
            slug="damaged",
            arrange=bytes_file(data),
            says=rf"bad\.pdparams holds no weights: it is {look}",
        )
        for name, (data, look) in hostile.STRANGERS.items()
    ),
    _at_once(
        "folder as weights",
        "a folder without weights in it has their name",
        code=2,
        slug="config",
        arrange=lambda place: (place.folder / "bad.pdparams").mkdir(),
        says=r"no weights at $folder/bad\.pdparams",
    ),
    _at_once(
        "pipe as weights",
        "a pipe has the name of the weights, and nobody writes into it",
        slug="damaged",
        arrange=lambda place: os.mkfifo(place.folder / "bad.pdparams"),
        says=r"bad\.pdparams is not a regular file",
    ),
    *(
        _at_once(
            f"safetensors: {name}",
            "a safetensors file with a damaged header",
            slug="damaged",
            spoiling=("Global.pretrained_model=$folder/bad.safetensors",),
            arrange=bytes_file(data, "bad.safetensors"),
            says=rf"bad\.safetensors.*{says}",
        )
        for name, (data, says) in hostile.SAFETENSORS.items()
    ),
    _weights(
        "head of other classes",
        "fine-tuning begins with the weights of another number of classes",
        code=0,
        command=("train",),
        start="done",
        spoiling=(*_LATEST, "Arch.class_num=5", "Global.output_dir=$folder/other"),
        says=r"has another number of classes; head\.5\.weight, head\.5\.bias keep their initial values",
    ),
    _weights(
        "weights with NaN",
        "one value of the weights is NaN",
        slug="non-finite-weights",
        start="done",
        arrange=with_head(lambda bias: np.where(np.arange(4) == 2, np.nan, bias).astype("float32")),
        says=rf"bad\.pdparams: {_HEAD} holds NaN or infinity; use other weights",
    ),
    _weights(
        "weights with infinity",
        "one value of the weights is infinite",
        slug="non-finite-weights",
        start="done",
        arrange=with_head(lambda bias: np.where(np.arange(4) == 2, -np.inf, bias).astype("float32")),
        says=rf"bad\.pdparams: {_HEAD} holds NaN or infinity; use other weights",
    ),
    _weights(
        "weights of another shape",
        "a tensor has another shape, and it is no head",
        slug="mismatch",
        start="done",
        arrange=with_head(lambda bias: bias.reshape(2, 2)),
        says=r"^  misshapen +1: head\.5\.bias \(float32 \[2, 2\] in the file, float32 \[4\] in the model\)",
    ),
)


def same_numbers_as_logged(place: Place, ended: Ended) -> None:
    """What an evaluation prints is what the run had logged for these weights."""
    log = (place.run / "train.log").read_text()
    expected = log.split("[Eval][Epoch 2][Avg]")[1].splitlines()[0].split(", ema_")[0]
    assert expected in ended.out


OVERWRITTEN = tuple(
    Fault(
        f"weights {name} after loading",
        "the file of the weights changes while they are used",
        0,
        command=("eval",),
        start="done",
        spoiling=_LATEST,
        bent=(("bent.after_loading", how, "$run/latest.pdparams"),),
        says=r"\[Eval\]\[Epoch 0\]\[Avg\]",
        leaves=(same_numbers_as_logged,),
    )
    for name, how in {"cut": "cut", "overwritten": "zeros"}.items()
)
FAULTS = (*WEIGHTS, *OVERWRITTEN)

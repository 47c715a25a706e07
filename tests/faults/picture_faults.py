"""Pictures that cannot be read or do not fit together, in training, in evaluation and in inference."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from checks import complete_epoch
from fault import Check, Fault
from list_faults import TRAINED, from_list, listing
from odd_pictures import UNREADABLE, UNUSUAL
from place import Place
from process import Ended

_HALF = "DataLoader.Train.dataset.max_bad_ratio=0.5"
_EVAL = (from_list("Eval"), "Global.pretrained_model=$run/latest")
_LIGHT = {"within_s": 10.0, "within_mb": 600.0}
_STILL = "DataLoader.Train.sampler.shuffle=False"


def odd(names_and_writers: dict[str, Callable[[Path], object]]) -> Callable[[Place], None]:
    """Arranges eight good pictures, then these, as ``odd0``, ``odd1``, ... with label 1."""

    def arrange(place: Place) -> None:
        listing("".join(f"odd{number} 1\n" for number in range(len(names_and_writers))))(place)
        for number, write in enumerate(names_and_writers.values()):
            write(place.folder / "pictures" / f"odd{number}")

    return arrange


def only(write: Callable[[Path], object], count: int) -> Callable[[Place], None]:
    """Arranges a list of this picture alone, under ``count`` names."""

    def arrange(place: Place) -> None:
        listing("".join(f"odd{number} 1\n" for number in range(count)), good="")(place)
        for number in range(count):
            write(place.folder / "pictures" / f"odd{number}")

    return arrange


def listed_as_bad(*numbers: int) -> Check:
    """``bad_samples.jsonl`` names exactly these, each once."""

    def check(place: Place, ended: Ended) -> None:
        rows = [json.loads(line) for line in (place.run / "bad_samples.jsonl").read_text().splitlines()]
        assert {row["where"] for row in rows} == {f"list.txt:{9 + number} odd{number}" for number in numbers}, rows
        assert len(rows) == len(numbers), rows

    return check


def no_accuracy(place: Place, ended: Ended) -> None:
    """No number is given that leaves a picture out."""
    assert "[Avg]" not in ended.out


_ALL = {name: write for name, (write, _) in UNREADABLE.items()}
_CUT = UNREADABLE["truncated JPEG"][0]
_stop = partial(Fault, code=3, slug="bad-image")
FAULTS = (
    Fault(
        "unreadable pictures, training",
        "every kind of picture that cannot be read: left out, counted and named",
        0,
        given=(*TRAINED, "Global.epochs=3", "DataLoader.Train.dataset.max_bad_ratio=0.6"),
        arrange=odd(_ALL),
        says=rf"{len(_ALL)} of {8 + len(_ALL)} listed pictures could not be read: see $run/bad_samples\.jsonl",
        leaves=(listed_as_bad(*range(len(_ALL))),),
        **_LIGHT,
    ),
    *(
        _stop(
            f"{name}, training stops",
            "a picture cannot be read, and the config wants to stop then",
            given=(*TRAINED, _STILL, "DataLoader.Train.dataset.on_error=stop"),
            arrange=odd({name: write}),
            says=rf"list\.txt:9 odd0: .*({says}).*; repair it, or take it out of the list",
            slow=name not in ("truncated JPEG", "pipe", "PNG of 14000 x 14000"),
            **_LIGHT,
        )
        for name, (write, says) in UNREADABLE.items()
    ),
    *(
        _stop(
            f"{name}, evaluation",
            "a picture of the evaluation cannot be read",
            command=("eval",),
            start="done",
            given=_EVAL,
            arrange=odd({name: write}),
            says=rf"list\.txt:9 odd0: .*({says}).*; repair it, or take it out of the list",
            leaves=(no_accuracy,),
            slow=name not in ("truncated JPEG", "wrong PNG checksum", "missing file", "PNG of 14000 x 14000"),
            **_LIGHT,
        )
        for name, (write, says) in UNREADABLE.items()
    ),
    Fault(
        "unreadable picture, counted as wrong",
        "a picture of the evaluation cannot be read, and the config says how to count it",
        0,
        command=("eval",),
        start="done",
        given=(*_EVAL, "DataLoader.Eval.dataset.on_error=count_wrong"),
        arrange=odd({"cut": _CUT}),
        says=r"cannot read list\.txt:9 odd0: the JPEG file",
    ),
    _stop(
        "too many unreadable pictures",
        "more pictures cannot be read than max_bad_ratio allows",
        given=(*TRAINED, _STILL, "DataLoader.Train.dataset.max_bad_ratio=0.1"),
        arrange=odd({str(number): _CUT for number in range(3)}),
        says=r"2 of 11 listed pictures cannot be read, more than the 1 that max_bad_ratio allows; first list\.txt:",
    ),
    _stop(
        "every picture unreadable",
        "not one picture can be read",
        given=(*TRAINED, "DataLoader.Train.dataset.max_bad_ratio=1"),
        arrange=only(_CUT, 12),
        says=r"list\.txt:\d+ odd\d+: the JPEG file.*; nor can the 11 pictures after it be read",
        within_s=8.0,
    ),
    _stop(
        "twenty unreadable in a row",
        "forty pictures that cannot be read stand behind each other",
        given=(*TRAINED, _STILL, "DataLoader.Train.dataset.max_bad_ratio=1"),
        arrange=only(_CUT, 40),
        says=r"list\.txt:1 odd0: the JPEG file.*; nor can the 20 pictures after it be read",
        within_s=8.0,
    ),
    Fault(
        "unusual pictures",
        "grey, transparent, palette, 16 bit, CMYK, turned, animated, one pixel wide: all are read",
        0,
        given=TRAINED,
        arrange=odd(UNUSUAL),
        says=r"18 pictures in 4 of 4 classes",
        leaves=(complete_epoch,),
    ),
    Fault(
        "pictures of several sizes",
        "no op brings the pictures of a batch to one size",
        3,
        slug="bad-batch",
        given=(
            *TRAINED,
            _STILL,
            "DataLoader.Train.dataset.transform_ops=[DecodeImage: {}, NormalizeImage: {order: ''}]",
        ),
        arrange=odd({}),
        says=r"differ: list\.txt:1 0\.png is uint8 \[36, 40, 3\], list\.txt:2 1\.png is uint8 \[37, 40, 3\]",
    ),
    Fault(
        "unreadable picture, inference",
        "one of the pictures to be named cannot be read: the others are answered",
        1,
        slug="partial",
        command=("infer",),
        start="done",
        given=("Global.pretrained_model=$run/latest", "Infer.infer_imgs=$folder/pictures"),
        arrange=listing(""),
        says=r"not answered: $folder/pictures/cut\.jpg: the JPEG(.*\n)+.*3 of 11 pictures could not be read",
    ),
    Fault(
        "input smaller than the network",
        "the pictures are so small that the last map of the network would be empty",
        0,
        given=("DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=1", "DataLoader.Eval.dataset.side=1"),
        says="training is complete",
    ),
)

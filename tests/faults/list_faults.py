"""List files that are wrong, unusual or too short: told by file and line before the first batch."""

from collections.abc import Callable
from functools import partial

from bad_runs import TRAIN, make_pictures
from checks import complete_epoch
from fault import Fault
from place import Place
from process import Ended

_GOOD = "".join(f"{number}.png {number % 4}\n" for number in range(8))
_OPS = "[DecodeImage: {}, ResizeImage: {size: 32}, NormalizeImage: {order: ''}]"
_FROM_LIST = f"image_root: $folder/pictures, cls_label_path: $folder/list.txt, transform_ops: {_OPS}"


def from_list(split: str) -> str:
    """The override that makes a split read the place's list."""
    return f"DataLoader.{split}.dataset={{name: ImageNetDataset, {_FROM_LIST}}}"


def listing(lines: str | bytes, good: str = _GOOD) -> Callable[[Place], None]:
    """Arranges eight pictures, and a list of them that goes on with ``lines``."""

    def arrange(place: Place) -> None:
        make_pictures(place.folder / "pictures")
        more = lines if isinstance(lines, bytes) else place.fill(lines).encode()
        (place.folder / "list.txt").write_bytes(good.encode() + more)

    return arrange


def no_unit(place: Place, ended: Ended) -> None:
    """The fault was found before the first update."""
    assert not place.units
    assert "[Train]" not in ended.out


TRAINED = (*TRAIN, from_list("Train"))
_HEAD = r"DataLoader\.Train\.dataset: 1 bad line, expected '<path> <label>' with a label in \[0, 4\): "
_refused = partial(Fault, code=3, given=TRAINED, leaves=(no_unit,))
_line = partial(_refused, slug="data-list")
_little = partial(_refused, slug="too-little-data")
_taken = partial(Fault, code=0, given=TRAINED, leaves=(complete_epoch,))

_BAD_LINES = {
    "one column": ("one_column.png", r"has one column: 'one_column\.png'"),
    "label that is a word": ("0.png cat", "label 'cat' is no integer"),
    "label -1": ("0.png -1", r"label -1 is not in \[0, 4\)"),
    "label beyond the classes": ("0.png 4", r"label 4 is not in \[0, 4\)"),
    "label with a point": ("0.png 1.0", r"label '1\.0' is no integer"),
    "path that climbs out": ("../pictures/0.png 1", r"path '\.\./pictures/0\.png' climbs out of image_root"),
    "zero byte in a path": ("0\0.png 1", r"list\.txt:9 "),
}
_GOOD_LINES: dict[str, str | bytes] = {
    "blank lines": "\n  \n0.png 1\n\n",
    "CRLF": "0.png 1\r\n1.png 2\r\n",
    "no last newline": "0.png 1",
    "blanks in a name": "../pictures/a b.png 1\n".replace("../pictures/", ""),
    "absolute path": "$folder/pictures/0.png 1\n",
    "duplicates": "0.png 1\n0.png 1\n0.png 2\n",
}


def _with_blank(lines: str | bytes) -> Callable[[Place], None]:
    arrange_list = listing(lines)

    def arrange(place: Place) -> None:
        arrange_list(place)
        pictures = place.folder / "pictures"
        (pictures / "a b.png").write_bytes((pictures / "0.png").read_bytes())

    return arrange


def _marked(place: Place) -> None:
    """The list begins with a byte order mark."""
    listing("")(place)
    path = place.folder / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


FAULTS = (
    *(
        _line(
            f"list with {name}",
            f"a line of the list: {line!r}",
            arrange=listing(f"{line}\n"),
            says=_HEAD + rf"$folder/list\.txt:9 {says}" if "zero" not in name else says,
        )
        for name, (line, says) in _BAD_LINES.items()
    ),
    *(
        _taken(f"list with {name}", "unusual, but right", arrange=_with_blank(lines), says="pictures in 4 of 4 classes")
        for name, lines in _GOOD_LINES.items()
    ),
    _taken("list with a byte order mark", "unusual, but right", arrange=_marked, says="8 pictures in 4 of 4 classes"),
    _taken(
        "path that may climb out",
        "a path climbs out of image_root, and the config permits it",
        arrange=listing("../pictures/0.png 1\n"),
        given=(*TRAINED, "DataLoader.Train.dataset.allow_outside_root=True"),
        says="9 pictures in 4 of 4 classes",
    ),
    _little(
        "empty list",
        "the list holds blank lines alone",
        arrange=listing("\n  \n", good=""),
        says=r"DataLoader\.Train\.dataset: $folder/list\.txt lists no picture",
    ),
    _little(
        "less than a batch",
        "the list is shorter than a batch, and incomplete batches are dropped",
        arrange=listing(""),
        spoiling=("DataLoader.Train.sampler={batch_size: 64, drop_last: True}",),
        says=r"DataLoader\.Train\.sampler: 8 samples on 1 ranks make no batch of 64 with drop_last",
    ),
    _refused(
        "missing list",
        "the list is not there",
        code=2,
        slug="config",
        says=r"DataLoader\.Train\.dataset: (folder $folder/pictures|list file $folder/list\.txt) is not there",
    ),
)

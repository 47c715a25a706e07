"""The embedded digits: one packed file -> pictures and list files in the ImageNet layout.

Source: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
CC BY 4.0. ``demo/README.md`` tells how the pack was made.
"""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ppcls.data.prepare.write import TRAIN_LIST, VAL_LIST, list_line, write_lines
from ppcls.utils.errors import ConfigError, DataError
from ppcls.utils.files import output_errors

LABEL_LIST = "digits_label_list.txt"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PACK = Path(__file__).resolve().parents[3] / "demo" / "digits.npz"
SIDE = 32
GREYS = 16


class Digits(NamedTuple):
    """The pack, N = 1797: ``images`` uint8 ``[N, 8, 8]`` in 0..16, ``labels`` uint8 and ``held_out`` bool ``[N]``."""

    images: np.ndarray
    labels: np.ndarray
    held_out: np.ndarray


class Unpacked(NamedTuple):
    """What ``unpack_digits`` left behind: pictures a split, and how many files were missing or different before."""

    train: int
    val: int
    written: int


def read_pack(path: Path = PACK) -> Digits:
    """The packed digits.

    Raises:
        ConfigError: no such file.
        DataError: the file is damaged.
    """
    if not path.is_file():
        raise ConfigError(
            f"the packed digits are not at {path}; run from a clone of the repository, or pass --pack demo/digits.npz"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as pack:
            images, labels, val = pack["images"], pack["labels"], pack["val"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or no pack of digits ({type(error).__name__}); restore it: git checkout demo",
            slug="archive",
        ) from error
    held_out = np.zeros(len(labels), bool)
    held_out[val] = True
    return Digits(images, labels, held_out)


def picture(digit: np.ndarray) -> np.ndarray:
    """A digit ``[8, 8]`` in 0..16 as a picture: ``[32, 32, 3]`` uint8, white on black.

    Enlarged by 4 with linear interpolation, as a scan of that size would look, so that crops and resizing act on it as
    on a photograph. All weights are eighths, so the result is exact and the same on every machine.
    """
    count = len(digit)
    places = (np.arange(SIDE) + 0.5) * count / SIDE - 0.5
    weights = np.stack([np.interp(places, np.arange(count), row) for row in np.eye(count)], axis=1)  # [32, 8]
    grey = np.rint(weights @ digit @ weights.T * 255 / GREYS).astype(np.uint8)  # [32, 32]
    return np.repeat(grey[:, :, None], 3, axis=2)


def unpack_digits(out: Path, pack: Path = PACK) -> Unpacked:
    """Leave the digits in ``out``: ``train/7/digit_0042.png`` and so on, two list files and the label map.

    The split is the pack's own: 36 of each digit are held out. Called again, it compares every file with what should be
    there and writes only those that are missing or differ. The list files come last: where they are, so is the rest.
    """
    digits = read_pack(pack)
    lines: dict[str, list[str]] = {"train": [], "val": []}
    written = 0
    for number, (image, label) in enumerate(zip(digits.images, digits.labels.tolist(), strict=True)):
        split = "val" if digits.held_out[number] else "train"
        name = f"{split}/{label}/digit_{number:04d}.png"
        written += _write_picture(out / name, picture(image))
        lines[split].append(list_line(name, label))
    written += write_lines(out / LABEL_LIST, (f"{label} {name}" for label, name in enumerate(NAMES)))
    written += write_lines(out / TRAIN_LIST, lines["train"])
    written += write_lines(out / VAL_LIST, lines["val"])
    return Unpacked(len(lines["train"]), len(lines["val"]), written)


def _write_picture(path: Path, image: np.ndarray) -> bool:
    """Leave ``image`` in ``path`` as PNG; false when it was there already."""
    encoded, data = cv2.imencode(".png", image)
    assert encoded
    content = data.tobytes()
    if path.is_file() and path.read_bytes() == content:
        return False
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return True

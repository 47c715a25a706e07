"""Class folders of one's own: a fixed, stratified split, list files and a label map."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ppcls.data.prepare.write import TRAIN_LIST, VAL_LIST, list_line, write_lines
from ppcls.utils.errors import ConfigError, DataError

LABEL_LIST = "label_list.txt"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
SPLITS = ("train", "val")


@dataclass(frozen=True)
class ClassPictures:
    """One class: its name, and its pictures' paths below the image root, sorted, with ``/`` between folders."""

    name: str
    train: tuple[str, ...]
    val: tuple[str, ...]


def split_folder(root: Path, val_ratio: float, seed: int) -> list[ClassPictures]:
    """The classes of ``root`` in label order, each with its pictures split.

    Each folder in ``root`` is a class, with all pictures below it; names sort as people count, ``class2`` before
    ``class10``. Where ``train`` and ``val`` are the only folders, theirs are the classes, and the split is kept.

    Args:
        val_ratio: share of each class held out, in [0, 1), rounded; above 0, a class of 2 pictures or more gets at
            least one on either side.
        seed: of the split. Its order is by a hash of seed and path: other machines and versions agree, and a picture
            that is added moves at most one other.
    Raises:
        ConfigError: no such folder, or ``val_ratio`` out of range.
        DataError: no class folders, or classes without a picture to train on; all of them are named.
    """
    if not 0 <= val_ratio < 1:
        raise ConfigError(f"the share held out is in [0, 1); got --val-ratio {val_ratio}", "usage")
    if not root.is_dir():
        raise ConfigError(f"no folder at {root}; expected one with a folder for each class")
    folders = _folders(root)
    if not folders:
        raise DataError(f"{root}: no class folders in it; expected one folder for each class", "too-little-data")
    if set(folders) == set(SPLITS):
        classes = _split_as_found(root)
    else:
        classes = [_split_class(name, _pictures(root, root / name), val_ratio, seed) for name in folders]
    empty = [repr(one.name) for one in classes if not one.train]
    if empty:
        raise DataError(
            f"{root}: no picture to train on ({' '.join(sorted(SUFFIXES))}) in {', '.join(empty)}; "
            "add some, or move the folder away",
            slug="too-little-data",
        )
    return classes


def write_lists(classes: list[ClassPictures], out: Path) -> None:
    """Leave ``train_list.txt``, ``val_list.txt`` and ``label_list.txt`` in ``out``.

    Raises:
        DataError: a name that no list file can hold.
    """
    train = [list_line(path, label) for label, one in enumerate(classes) for path in one.train]
    val = [list_line(path, label) for label, one in enumerate(classes) for path in one.val]
    write_lines(out / LABEL_LIST, (f"{label} {one.name}" for label, one in enumerate(classes)))
    write_lines(out / VAL_LIST, val)
    write_lines(out / TRAIN_LIST, train)


def training_keys(root: Path, lists: Path, class_num: int) -> dict[str, int | str]:
    """What a config must say to train on ``root`` with the lists that ``write_lists`` left in ``lists``."""
    image_root = str(root.resolve())
    return {
        "Arch.class_num": class_num,
        "DataLoader.Train.dataset.image_root": image_root,
        "DataLoader.Train.dataset.cls_label_path": str(lists.resolve() / TRAIN_LIST),
        "DataLoader.Eval.dataset.image_root": image_root,
        "DataLoader.Eval.dataset.cls_label_path": str(lists.resolve() / VAL_LIST),
    }


def _split_class(name: str, pictures: list[str], val_ratio: float, seed: int) -> ClassPictures:
    held_out = round(len(pictures) * val_ratio)
    if val_ratio and len(pictures) > 1:
        held_out = min(max(held_out, 1), len(pictures) - 1)
    shuffled = sorted(pictures, key=lambda path: hashlib.sha256(f"{seed}/".encode() + os.fsencode(path)).digest())
    return ClassPictures(name, tuple(sorted(shuffled[held_out:])), tuple(sorted(shuffled[:held_out])))


def _split_as_found(root: Path) -> list[ClassPictures]:
    names = sorted({name for split in SPLITS for name in _folders(root / split)}, key=_natural)
    found = [[tuple(_pictures(root, root / split / name)) for split in SPLITS] for name in names]
    return [ClassPictures(name, train, val) for name, (train, val) in zip(names, found, strict=True)]


def _folders(root: Path) -> list[str]:
    found = (path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(found, key=_natural)


def _pictures(root: Path, folder: Path) -> list[str]:
    found = (path.relative_to(root) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path.as_posix() for path in found if not _is_hidden(path) and (root / path).is_file())


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts runs of digits as numbers and letters without regard to case; the name itself settles ties."""
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if part.isdecimal() and part.isascii() else part for part in parts], name

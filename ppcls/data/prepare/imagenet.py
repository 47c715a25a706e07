"""ImageNet (ILSVRC2012) from its official archives: class folders and the recipe's list files.

Done again after an interruption, it goes on where it stopped: a class's folder appears when it is complete and on the
disk, and is not read again; a class that has none is done from its first picture. One process at a time works in a
folder.
"""

import re
import tarfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ppcls.data.prepare.archives import open_inner_tar, open_tar, regular_files, require_space, unpack_files
from ppcls.data.prepare.write import TRAIN_LIST, VAL_LIST, list_line, write_lines
from ppcls.utils.errors import DataError
from ppcls.utils.files import Lock

WNIDS = Path(__file__).with_name("imagenet1k_wnids.txt")
VAL_PICTURE = re.compile(r"ILSVRC2012_val_[0-9]{8}\.JPEG")
TRAIN_PICTURES = 1_281_167
VAL_PICTURES = 50_000
REPORT_EVERY = 50
LOCK = ".prepare.lock"


class Progress(NamedTuple):
    """Classes done and to do, pictures so far."""

    done: int
    total: int
    pictures: int


def read_wnids() -> tuple[str, ...]:
    """The WordNet ids of the 1,000 classes; a class's label is its place, from 0."""
    return tuple(WNIDS.read_text(encoding="ascii").split())


def unpack_train(
    archive: Path,
    out: Path,
    wnids: Sequence[str],
    expected: int = TRAIN_PICTURES,
    report: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Leave ``train/<wnid>/*.JPEG`` and ``train_list.txt`` in ``out``; the number of pictures.

    Args:
        archive: ``ILSVRC2012_img_train.tar``, a tar of one tar a class.
        expected: pictures in all.
        report: told every 50 classes.
    Raises:
        DataError: damaged archive, foreign member, a class or a picture too few or too many.
        ConfigError: slug ``locked``: another process is at it.
    """
    train = out / "train"
    train.mkdir(parents=True, exist_ok=True)
    with Lock(out / LOCK), open_tar(archive) as outer:
        members = regular_files(outer, re.compile(r"n[0-9]{8}\.tar"), str(archive))
        classes = {name.removesuffix(".tar"): member for name, member in members.items()}
        _check_classes(classes, wnids, archive)
        todo = [wnid for wnid in wnids if not (train / wnid).is_dir()]
        require_space(train, sum(classes[wnid].size for wnid in todo))
        pictures = sum(len(_names(train / wnid)) for wnid in set(wnids).difference(todo))
        for done, wnid in enumerate(todo, start=len(wnids) - len(todo) + 1):
            where = f"{archive}: {wnid}.tar"
            with open_inner_tar(outer, classes[wnid], where) as inner:
                unpack_files(inner, _pictures_of(wnid), train / wnid, where)
            pictures += len(_names(train / wnid))
            if done % REPORT_EVERY == 0 or done == len(wnids):
                report(Progress(done, len(wnids), pictures))
        if pictures != expected:
            changed = [train / wnid for wnid in wnids if not _as_in_archive(outer, classes[wnid], train / wnid)]
            raise _miscount(train, pictures, expected, changed)
    lines = (list_line(f"train/{w}/{name}", label) for label, w in enumerate(wnids) for name in _names(train / w))
    write_lines(out / TRAIN_LIST, lines)
    return pictures


def unpack_val(archive: Path, out: Path, labels: Mapping[str, int], expected: int = VAL_PICTURES) -> int:
    """Leave ``val/*.JPEG`` and ``val_list.txt`` in ``out``; the number of pictures.

    Args:
        archive: ``ILSVRC2012_img_val.tar``.
        labels: picture name -> label, see ``val_labels``.
        expected: pictures in all.
    Raises:
        DataError: damaged archive, foreign member, a picture too few or too many, a picture without a label.
        ConfigError: slug ``locked``: another process is at it.
    """
    val = out / "val"
    with Lock(out / LOCK):
        if not val.is_dir():
            with open_tar(archive) as tar:
                unpack_files(tar, VAL_PICTURE, val, str(archive))
    names = _names(val)
    if len(names) != expected:
        raise _miscount(val, len(names), expected, [val])
    unlabelled = [name for name in names if name not in labels]
    if unlabelled:
        message = f"{len(unlabelled)} validation pictures have no label, the first is {unlabelled[0]}; see --val-labels"
        raise DataError(message, slug="data-list")
    write_lines(out / VAL_LIST, (list_line(f"val/{name}", labels[name]) for name in names))
    return len(names)


def _pictures_of(wnid: str) -> re.Pattern[str]:
    return re.compile(rf"{wnid}_[0-9]+\.JPEG")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _check_classes(found: Collection[str], wnids: Sequence[str], archive: Path) -> None:
    missing, foreign = sorted(set(wnids) - set(found)), sorted(set(found) - set(wnids))
    if missing or foreign:
        raise DataError(
            f"{archive}: {len(found)} classes, expected {len(wnids)}"
            + (f"; missing: {_some(missing)}" if missing else "")
            + (f"; not of the 1,000: {_some(foreign)}" if foreign else "")
            + "; it is cut short, or not ILSVRC2012_img_train.tar",
            slug="archive",
        )


def _as_in_archive(outer: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> bool:
    with open_inner_tar(outer, member, member.name) as inner:
        return sorted(regular_files(inner, _pictures_of(folder.name), member.name)) == _names(folder)


def _miscount(folder: Path, found: int, expected: int, suspects: Sequence[Path]) -> DataError:
    advice = "fetch the official archive, remove the folder and run this again"
    if suspects:
        advice = f"remove {_some([str(path) for path in suspects])} and run this again"
    return DataError(f"{folder}: {found:,} pictures, expected {expected:,}; {advice}", slug="archive")


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")

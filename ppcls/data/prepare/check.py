"""Looking at every picture of a list, as a run would read it, and at the lines that a run would refuse."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from ppcls.data.dataloader import imagenet_dataset
from ppcls.data.dataloader.bad_samples import ReadRule
from ppcls.data.dataloader.list_file import ListFile, Scan, scan_list
from ppcls.registry import Registry
from ppcls.utils.errors import DataError
from ppcls.utils.seed import Stream, generator

WINDOW = 1024  # pictures in flight: a future for each of a million would fill the memory
MAX_BAD_LINES = 1000  # told of one list; a list with more has one mistake in all of them

CHECKED = Registry("dataset")  # the data sets of a config, as those that do not end at a bad line

Decode = Callable[[bytes, np.random.Generator], np.ndarray]


@CHECKED.register(accepts=ReadRule)
class ImageNetDataset(imagenet_dataset.ImageNetDataset):
    """The pictures of the good lines; ``scan`` also has the bad ones. A list of nothing is no error here."""

    scan: Scan

    def _read_list(self, file: str, class_num: int, delimiter: str | None, allow_outside_root: bool) -> ListFile:
        self.scan = scan_list(file, class_num, delimiter, allow_outside_root, keep=MAX_BAD_LINES)
        return self.scan.good


class PictureList(NamedTuple):
    """A list file, its pictures, how the run would decode them, and what for.

    ``splits`` are ``Train``, ``Eval``, both, or none for a list by itself; ``class_num`` is None if nobody told.
    """

    file: str
    root: str
    splits: frozenset[str]
    class_num: int | None
    dataset: ImageNetDataset
    decode: Decode

    def place(self, index: int) -> str:
        """``lists/train.txt:17 a/b.JPEG``, which is unique where lists of different folders have one name."""
        return f"{self.file}:{self.dataset.scan.good.lines[index]} {self.path(index)}"

    def path(self, index: int) -> str:
        """As the list says it."""
        return self.dataset.where(index).removeprefix(f"{self.dataset.scan.good.name}:").split(" ", 1)[1]


class Finding(NamedTuple):
    """One picture: its index, why it cannot be read, and its file's sha256.

    ``reason`` is None when it can be read, ``sha256`` when there is no file.
    """

    index: int
    reason: str | None
    sha256: bytes | None


def check_pictures(pictures: PictureList, workers: int) -> Iterator[Finding]:
    """Read and decode every picture, in list order, in ``workers`` threads; close it to begin no more of them."""
    total = len(pictures.dataset)
    pool = ThreadPoolExecutor(workers)
    try:
        for start in range(0, total, WINDOW):
            yield from pool.map(partial(_check, pictures), range(start, min(start + WINDOW, total)))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C may come while they are handed out


def _check(pictures: PictureList, index: int) -> Finding:
    try:
        data = pictures.dataset[index].data
    except DataError as error:
        return Finding(index, str(error).removeprefix(f"{pictures.dataset.where(index)}: "), None)
    digest = hashlib.sha256(data).digest()
    try:
        pictures.decode(data, generator(0, Stream.SAMPLE, 0, index))
    except DataError as error:
        return Finding(index, str(error), digest)
    return Finding(index, None, digest)

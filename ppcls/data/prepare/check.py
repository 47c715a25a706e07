"""Finding all pictures of a list that cannot be read, and all that have changed."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
from ppcls.data.prepare.write import write_lines
from ppcls.utils.errors import ConfigError, DataError
from ppcls.utils.seed import Stream, generator

WINDOW = 1024  # pictures in flight: a future for each of a million would fill the memory
_DIGEST_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")

Decode = Callable[[bytes, np.random.Generator], np.ndarray]


class PictureList(NamedTuple):
    """A list file's name and image root, its pictures, and how the run would decode them."""

    name: str
    root: str
    dataset: ImageNetDataset
    decode: Decode


class Finding(NamedTuple):
    """One picture: where it is listed, its path as the list says it, why it cannot be read, and its file's sha256.

    ``reason`` is None when it can be read, ``sha256`` when there is no file.
    """

    where: str
    path: str
    reason: str | None
    sha256: str | None


def check_pictures(pictures: PictureList, workers: int) -> Iterator[Finding]:
    """Read and decode every picture, in list order, in ``workers`` threads."""
    total = len(pictures.dataset)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, total, WINDOW):
            yield from pool.map(partial(_check, pictures), range(start, min(start + WINDOW, total)))


def write_digests(path: Path, digests: Mapping[str, str]) -> None:
    """``<sha256>  <path>`` a line, which ``sha256sum -c`` reads when called in the image root."""
    write_lines(path, (f"{digest}  {name}" for name, digest in digests.items()))


def read_digests(path: Path) -> dict[str, str]:
    """What ``write_digests`` wrote.

    Raises:
        ConfigError: no such file.
        DataError: a line of another form; it is named.
    """
    if not path.is_file():
        raise ConfigError(f"no sha256 list at {path}; write one with --sha256 {path}")
    digests = {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        match = _DIGEST_LINE.fullmatch(line)
        if match:
            digests[match[2]] = match[1]
        elif line:
            raise DataError(f"{path}:{number}: expected '<sha256>  <path>', as --sha256 writes it", slug="data-list")
    return digests


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """One line for each path whose file is not as recorded, or that only one side knows."""
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield f"{name}: recorded, but not listed or not there"
        elif name not in recorded:
            yield f"{name}: not recorded"
        elif recorded[name] != found[name]:
            yield f"{name}: changed"


def _check(pictures: PictureList, index: int) -> Finding:
    where = pictures.dataset.where(index)
    path = where.removeprefix(f"{pictures.name}:").split(" ", 1)[1]
    try:
        data = pictures.dataset[index].data
    except DataError as error:
        return Finding(where, path, str(error).removeprefix(f"{where}: "), None)
    digest = hashlib.sha256(data).hexdigest()
    try:
        pictures.decode(data, generator(0, Stream.SAMPLE, 0, index))
    except DataError as error:
        return Finding(where, path, str(error), digest)
    return Finding(where, path, None, digest)

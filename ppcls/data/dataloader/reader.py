"""One sample, from the list to pixels: the work that threads and processes share out."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import NamedTuple

import numpy as np

from ppcls.data.dataloader.bad_samples import BadSample
from ppcls.data.dataloader.values import BatchId, Dataset
from ppcls.utils.errors import DataError, PpclsError
from ppcls.utils.seed import Stream, generator

TRIES = 20  # pictures looked at in place of an unreadable one

Host = Callable[[bytes, np.random.Generator], np.ndarray]  # Pipeline.host


class Sample(NamedTuple):
    """What fills a row of a batch; without an image it counts as wrong."""

    image: np.ndarray | None  # [H, W, 3]
    label: int
    bad: tuple[BadSample, ...] = ()


@dataclass
class Piece:
    """What one worker made of its rows of a batch."""

    rows: list[int] = field(default_factory=list)  # that were read
    labels: list[int] = field(default_factory=list)
    loose: dict[int, np.ndarray] = field(default_factory=dict)  # pictures that do not fit into the buffer, by row
    bad: list[tuple[int, BadSample]] = field(default_factory=list)  # with the row
    error: tuple[int, PpclsError] | None = None  # with the row; the rows after it were not read


@dataclass(frozen=True)
class Reader:
    """Reads, decodes and transforms; what it returns depends on seed, epoch and index alone.

    Args:
        host: the workers' part of the transforms.
        on_error: ``skip``, ``stop`` or ``count_wrong``, for pictures that cannot be opened, read or decoded.
    """

    dataset: Dataset
    host: Host
    seed: int
    on_error: str

    def sample(self, epoch: int, index: int) -> Sample:
        """The sample, or by ``skip`` the next readable one of the list, under the random numbers of this one.

        Raises:
            DataError: unreadable under ``stop``, too many in a row under ``skip``, or an op failed on it.
        """
        bad: list[BadSample] = []
        for candidate in range(index, index + min(TRIES + 1, len(self.dataset))):
            candidate %= len(self.dataset)
            where = self.dataset.where(candidate)
            try:
                with Told(where):
                    item = self.dataset[candidate]
                    image = self.host(item.data, generator(self.seed, Stream.SAMPLE, epoch, index))
            except DataError as error:
                if error.slug != "bad-image":
                    raise
                if self.on_error == "stop":
                    raise DataError(f"{error}; repair it, or take it out of the list") from error
                bad.append(BadSample(where, str(error).removeprefix(f"{where}: ")))
                if self.on_error == "count_wrong":
                    return Sample(None, -1, tuple(bad))
            else:
                _check(image, where)
                return Sample(image, item.label, tuple(bad))
        raise DataError(f"{bad[0].where}: {bad[0].reason}; nor can the {len(bad) - 1} pictures after it be read")

    def piece(self, batch: BatchId, rows: Iterable[int], buffer: np.ndarray | None, place: np.ndarray) -> Piece:
        """Read these rows of a batch.

        Args:
            buffer: ``[B, H, W, 3]``; pictures of its shape and dtype go there, others, or all without it, are loose.
            place: ``[1]``, says which sample is being read, -1 for none; for whoever wonders why it takes so long.
        """
        piece = Piece()
        for row in rows:
            place[0] = index = int(batch.indices[row])
            try:
                sample = self.sample(batch.epoch, index)
            except PpclsError as error:
                piece.error = row, error
                break
            piece.rows.append(row)
            piece.labels.append(sample.label)
            piece.bad.extend((row, bad) for bad in sample.bad)
            _store(sample.image, row, buffer, piece)
        place[0] = -1
        return piece

    def frame(self, batch: BatchId, place: np.ndarray) -> np.ndarray:
        """The first readable picture of a batch, or else of the data set: pictures to come are expected to have its
        shape and dtype."""
        first: BadSample | None = None
        for index in chain(batch.indices.tolist(), range(len(self.dataset))):
            place[0] = index
            sample = self.sample(batch.epoch, index)
            if sample.image is not None:
                return sample.image
            first = first or sample.bad[0]
        raise DataError(f"none of {len(self.dataset)} pictures can be read; {first.where}: {first.reason}")


def _store(image: np.ndarray | None, row: int, buffer: np.ndarray | None, piece: Piece) -> None:
    if image is None:
        if buffer is not None:
            buffer[row] = 0
    elif buffer is not None and (image.shape, image.dtype) == (buffer.shape[1:], buffer.dtype):
        buffer[row] = image
    else:
        piece.loose[row] = image


def _check(image: np.ndarray, where: str) -> None:
    """Refuse what a row of a batch would wrap, broadcast or hide in silence."""
    is_picture = isinstance(image, np.ndarray) and image.ndim == 3 and image.size > 0
    if not is_picture or image.dtype not in (np.uint8, np.float32, np.float16):
        got = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise DataError(f"{where}: transform_ops gave {got}, expected uint8 or float32 [H, W, 3]", "bad-batch")
    if image.dtype != np.uint8 and not np.isfinite(image).all():
        raise DataError(f"{where}: transform_ops gave NaN or infinite values; look at the float ops", "bad-batch")


class Told(AbstractContextManager[None]):
    """Puts the sample's place into whatever is raised inside, and makes it a DataError.

    A bare StopIteration would end an epoch early and a SystemExit the run; both are mistakes of an op.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt | MemoryError):
            return
        text = " ".join(str(error).split())
        if isinstance(error, PpclsError):
            raise DataError(text if text.startswith(self.where) else f"{self.where}: {text}", error.slug) from error
        last = extract_tb(trace)[-1]  # the one thing that would be lost on the way from a process
        place = f"{Path(last.filename).name}:{last.lineno}"
        raise DataError(f"{self.where}: {place} raised {kind.__name__}: {text}", "bad-batch") from error

"""Batches in order from workers that read every N-th row; threads and processes differ in the workers alone."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np

from ppcls.data.dataloader.bad_samples import BadSample
from ppcls.data.dataloader.reader import Piece, Reader
from ppcls.data.dataloader.values import BatchId, HostBatch
from ppcls.utils.errors import DataError

AHEAD = 2  # batches that workers are told to read before they are asked for


T = TypeVar("T")


class Task(NamedTuple):
    """Rows of a batch for one worker; the pictures go into the buffer of that number."""

    batch: BatchId
    rows: list[int]
    slot: int


class Worker(ABC):
    """Works through its tasks in order; lives from its making to ``stop``."""

    @abstractmethod
    def give(self, task: Task) -> None:
        """Add a task; returns at once."""

    @abstractmethod
    def take(self) -> Piece:
        """Wait for the oldest task not taken yet; WorkerError when the worker is gone."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Do nothing more than the sample at hand; returns at once."""

    @abstractmethod
    def join(self) -> None:
        """Wait until it has ended."""


class Source(ABC):
    """Reads ahead of whoever iterates, with workers that live as long as the iteration.

    A pass makes its own workers and buffers: closing the iterator ends and frees them, and nothing outlives an epoch.

    Args:
        num_workers: 0 counts as one, for sources that then do without.
    """

    ahead = AHEAD

    def __init__(self, reader: Reader, num_workers: int) -> None:
        self.reader = reader
        self.num_workers = num_workers
        self._places = np.full([1], -1)

    @abstractmethod
    def _array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory that workers can write to."""

    @abstractmethod
    def _worker(self, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> Worker:
        """A running worker; see ``Reader.piece`` for the arguments."""

    def _buffers(self, frame: np.ndarray, batch_size: int) -> Sequence[np.ndarray | None]:
        """One for each batch on its way."""
        return self._array((self.ahead, batch_size, *frame.shape), frame.dtype)

    def reading(self) -> list[str]:
        """Which samples the workers are at, to be asked from another thread when nothing seems to happen."""
        return [self.reader.dataset.where(int(index)) for index in self._places if index >= 0]

    def batches(self, ids: Iterator[BatchId], use: Callable[[HostBatch], T]) -> Iterator[T]:
        """What ``use`` makes of each of these batches, which it must copy: it is read over as soon as ``use`` is done.

        Not before, so that workers are idle meanwhile: ``use`` is many short calls, which would all wait for Python's
        lock.

        Raises:
            DataError: at exactly the batch it concerns.
            WorkerError: a worker ended on its own.
        """
        first = next(ids, None)
        if first is None:
            return
        frame = self.reader.frame(first, self._places)
        buffers = self._buffers(frame, len(first.indices))
        self._places = self._array((max(self.num_workers, 1),), np.dtype(np.int64))
        self._places[:] = -1
        workers: list[Worker] = []
        pending: deque[tuple[BatchId, int]] = deque()
        try:
            for place in np.split(self._places, len(self._places)):
                workers.append(self._worker(buffers, place))
            waiting = chain([first], ids)
            for slot, batch in zip(range(len(buffers)), waiting, strict=False):
                self._give(workers, batch, slot)
                pending.append((batch, slot))
            while pending:
                batch, slot = pending.popleft()
                result = use(self._collect(workers, batch, buffers[slot], frame))
                following = next(waiting, None)
                if following is not None:
                    self._give(workers, following, slot)
                    pending.append((following, slot))
                yield result
        finally:
            for worker in workers:
                worker.ask_to_stop()
            for worker in workers:
                worker.join()
            self._places[:] = -1  # of those that had to be ended

    def _give(self, workers: list[Worker], batch: BatchId, slot: int) -> None:
        for number, worker in enumerate(workers):
            worker.give(Task(batch, list(range(number, len(batch.indices), len(workers))), slot))

    def _collect(
        self, workers: list[Worker], batch: BatchId, buffer: np.ndarray | None, frame: np.ndarray
    ) -> HostBatch:
        pieces = [worker.take() for worker in workers]
        errors = [piece.error for piece in pieces if piece.error is not None]
        if errors:
            raise min(errors, key=lambda error: error[0])[1]
        labels = np.empty(len(batch.indices), dtype=np.int64)
        loose: dict[int, np.ndarray] = {}
        bad: list[tuple[int, BadSample]] = []
        for piece in pieces:
            labels[piece.rows] = piece.labels
            loose |= piece.loose
            bad += piece.bad
        images = self._assemble(batch, labels, loose, buffer, frame)
        return HostBatch(batch, images, labels, tuple(sample for _, sample in sorted(bad, key=lambda entry: entry[0])))

    def _assemble(
        self,
        batch: BatchId,
        labels: np.ndarray,
        loose: dict[int, np.ndarray],
        buffer: np.ndarray | None,
        frame: np.ndarray,
    ) -> np.ndarray:
        """All pictures of a batch in one array; the buffer itself when nothing is loose."""
        if not loose and buffer is not None:
            return buffer[: len(labels)]
        black = np.zeros_like(frame if not loose else next(iter(loose.values())))
        images = [
            loose.get(row, black if buffer is None or labels[row] < 0 else buffer[row]) for row in range(len(labels))
        ]
        return stack(images, lambda row: self.reader.dataset.where(int(batch.indices[row])))


def stack(images: Sequence[np.ndarray], where: Callable[[int], str]) -> np.ndarray:
    """``[N, H, W, C]`` of pictures.

    Args:
        where: of the picture with this number.
    Raises:
        DataError: ``bad-batch``: two differ in shape or dtype.
    """
    kinds = [f"{image.dtype} {list(image.shape)}" for image in images]
    for number, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise DataError(
                f"pictures of one batch differ: {where(0)} is {kinds[0]}, {where(number)} is {kind}; "
                "end transform_ops with a crop or resize to one size",
                "bad-batch",
            )
    return np.stack(images)

"""Batches from threads: OpenCV releases the interpreter lock while it decodes and resizes."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import cv2
import numpy as np

from ppcls.data.dataloader.reader import Piece, Reader
from ppcls.data.dataloader.source import Source, Task, Worker
from ppcls.utils.errors import WorkerError

_LOOK_S = 1.0  # between two looks whether a silent thread still lives
_JOIN_S = 10.0  # a thread cannot be ended from outside, and a read that hangs must not keep us from saving

_log = logging.getLogger("ppcls")


class ThreadSource(Source):
    """As ``Source``; 0 workers read in the caller, when a batch is asked for."""

    def __init__(self, reader: Reader, num_workers: int) -> None:
        super().__init__(reader, num_workers)
        self.ahead = Source.ahead if num_workers else 1
        cv2.setNumThreads(1)  # a pool of its own inside each of ours would fight over the cores

    def _array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.empty(shape, dtype)

    def _worker(self, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> Worker:
        kind = _Thread if self.num_workers else _Caller
        return kind(self.reader, buffers, place)


class _Caller(Worker):
    """No worker at all: the work is done when its result is taken."""

    def __init__(self, reader: Reader, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> None:
        self._reader, self._buffers, self._place = reader, buffers, place
        self._tasks: deque[Task] = deque()

    def give(self, task: Task) -> None:
        self._tasks.append(task)

    def take(self) -> Piece:
        batch, rows, slot = self._tasks.popleft()
        return self._reader.piece(batch, rows, self._buffers[slot], self._place)

    def ask_to_stop(self) -> None:
        self._tasks.clear()

    def join(self) -> None:
        pass


class _Thread(Worker):
    def __init__(self, reader: Reader, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> None:
        self._reader, self._buffers, self._place = reader, buffers, place
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._pieces: SimpleQueue[Piece] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ppcls-loader", daemon=True)
        self._thread.start()

    def give(self, task: Task) -> None:
        self._tasks.put(task)

    def take(self) -> Piece:
        while True:
            is_alive = self._thread.is_alive()  # before the look: what it left behind still counts
            try:
                return self._pieces.get(timeout=_LOOK_S if is_alive else 0)
            except Empty:
                if not is_alive:
                    raise WorkerError("a loader thread ended early; its traceback stands above") from None

    def ask_to_stop(self) -> None:
        self._stopping.set()
        self._tasks.put(None)

    def join(self) -> None:
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("a loader thread hangs at %s; it is left behind", self._reader.dataset.where(self._place[0]))

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            rows = (row for row in task.rows if not self._stopping.is_set())
            self._pieces.put(self._reader.piece(task.batch, rows, self._buffers[task.slot], self._place))

"""The same batches from processes, for transforms that are mostly Python.

Not Paddle's ``DataLoader``: measured on 3.3.1 it hides a worker's error, hangs when a worker is killed while it sends,
ignores its timeout, and leaves processes and /dev/shm files behind a killed parent. Here pictures are written into
anonymous shared memory, which has no name to leave behind and does not count against /dev/shm; each worker has a
pipe of its own, which ends when the worker does.
"""

import ctypes
import faulthandler
import math
import mmap
import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

import cv2
import numpy as np

from ppcls.data.dataloader.reader import Piece, Reader
from ppcls.data.dataloader.source import Source, Task, Worker
from ppcls.utils.errors import WorkerError
from ppcls.utils.watchdog import STACKS_SIGNAL

_PR_SET_PDEATHSIG = 1
_JOIN_S = 10.0
# By us, and by paddle, whose handlers of crashes print pages and may go on.
_HANDLED = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")


class ProcessSource(Source):
    """As ``Source``; Linux only, since workers are forked and so share list and buffers.

    Args:
        num_workers: at least 1.
        use_shared_memory: False sends pictures through the pipes, slower.
    """

    def __init__(self, reader: Reader, num_workers: int, use_shared_memory: bool = True) -> None:
        if num_workers < 1:
            raise ValueError(f"loader.backend: process needs num_workers of at least 1; got {num_workers}")
        super().__init__(reader, num_workers)
        self.use_shared_memory = use_shared_memory

    def _array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        count = math.prod(shape)
        memory = mmap.mmap(-1, max(1, count * dtype.itemsize))  # freed with its last user
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def _buffers(self, frame: np.ndarray, batch_size: int) -> Sequence[np.ndarray | None]:
        return super()._buffers(frame, batch_size) if self.use_shared_memory else [None] * self.ahead

    def _worker(self, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> Worker:
        return _Process(self.reader, buffers, place)


class _Process(Worker):
    def __init__(self, reader: Reader, buffers: Sequence[np.ndarray | None], place: np.ndarray) -> None:
        self._reader, self._place = reader, place
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        arguments = (reader, buffers, place, theirs, os.getpid())
        self._process = context.Process(target=_work, args=arguments, name="ppcls-loader", daemon=True)
        self._process.start()
        theirs.close()  # theirs alone from now on: when the worker ends, so does the pipe

    def give(self, task: Task) -> None:
        with suppress(OSError):  # it is gone, which ``take`` tells once what it had done is used up
            self._pipe.send(task)

    def take(self) -> Piece:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> WorkerError:
        self._process.join()
        code = self._process.exitcode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"
        index = int(self._place[0])
        at = f" while it read {self._reader.dataset.where(index)}" if index >= 0 else ""
        return WorkerError(f"loader process {self._process.pid} {how}{at}; resume, or take loader.backend: thread")

    def ask_to_stop(self) -> None:
        self._process.kill()  # it owns nothing that must be put in order

    def join(self) -> None:
        self._process.join(_JOIN_S)  # not for ever: a read from a dead network drive survives even SIGKILL
        self._pipe.close()


def _work(
    reader: Reader, buffers: Sequence[np.ndarray | None], place: np.ndarray, pipe: Connection, parent: int
) -> None:
    """The life of a worker."""
    os.setpgid(0, 0)  # a signal to the group is for the parent, which saves before it ends us
    for name in _HANDLED:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    faulthandler.register(STACKS_SIGNAL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it died before the line above
    cv2.setNumThreads(1)
    while True:
        batch, rows, slot = pipe.recv()
        pipe.send(reader.piece(batch, rows, buffers[slot], place))

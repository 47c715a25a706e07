"""Whether a run goes on: its pulse, and who looks at it from another thread."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import NamedTuple

STACKS_SIGNAL = signal.SIGUSR2  # a loader's worker process answers it with its stack
_FIRST = 2  # marks: the first batch and the first update of a process get more time
_FIRST_FACTOR = 5
_HARD_S = 10.0  # after which the process ends even if some C++ code keeps Python's threads from running
_STDERR = 2
_ANSWER_S = 0.2  # for a worker process to print its stacks

Reading = Callable[[], Iterable[str]]


class Mark(NamedTuple):
    """What a run is at.

    ``step`` counts the updates done, ``place`` the marks since then, ``number`` all that was finished in this process;
    ``since`` is of the monotonic clock, in seconds. ``reading`` tells which samples are being read, where the run waits
    for a batch.
    """

    doing: str
    since: float
    number: int = 0
    step: int = 0
    place: int = 0
    reading: Reading | None = None


class Pulse:
    """Is told whenever something was finished, and remembers the last."""

    def __init__(self) -> None:
        self.last = Mark("the start", time.monotonic())

    def mark(self, doing: str, step: int, reading: Reading | None = None) -> None:
        """Something was finished; the run is now at ``doing``, after ``step`` updates."""
        last = self.last
        place = last.place + 1 if step == last.step else 0
        self.last = Mark(doing, time.monotonic(), last.number + 1, step, place, reading)

    def part(self) -> None:
        """A part of what the run is at was finished."""
        self.last = self.last._replace(since=time.monotonic(), number=self.last.number + 1)

    def wait_on(self) -> None:
        """What the run waits for goes on."""
        self.last = self.last._replace(since=time.monotonic())


class Watchdog:
    """Looks at a pulse from a thread of its own while it is open.

    Args:
        limit_s: without a mark for so long, ``stalled`` is called; five times that for the first two marks. 0: never.
        looked: called at every look, before anything is judged.
        stalled: called once, with the last mark and the seconds since; is expected to end the process.
        look_s: between two looks; a tenth of ``limit_s`` if that is less.
    """

    def __init__(
        self,
        pulse: Pulse,
        limit_s: float,
        *,
        looked: Callable[[], None],
        stalled: Callable[[Mark, float], None],
        look_s: float = 0.5,
    ) -> None:
        self._pulse = pulse
        self._limit_s = limit_s
        self._looked = looked
        self._stalled = stalled
        self._look_s = min(look_s, limit_s / 10) if limit_s else look_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ppcls-watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self._limit_s:
            self._arm(_FIRST_FACTOR * self._limit_s)  # here: what comes next may never let the thread run
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        if self._limit_s:
            faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while not self._closing.wait(self._look_s):
            self._looked()
            if not self._limit_s:
                continue
            mark = self._pulse.last
            limit_s = self._limit_s * (_FIRST_FACTOR if mark.number <= _FIRST else 1)
            waited_s = time.monotonic() - mark.since
            self._arm(max(limit_s - waited_s, 0))
            if waited_s > limit_s:
                self._stalled(mark, waited_s)

    @staticmethod
    def _arm(within_s: float) -> None:
        """The second net: a timer in C, which needs no thread of Python; it can only leave with code 1."""
        faulthandler.dump_traceback_later(within_s + _HARD_S, exit=True, file=_STDERR)


def stacks() -> str:
    """Where every thread of this process is; worker processes of its loader print theirs on standard error."""
    for child in multiprocessing.active_children():
        os.kill(child.pid, STACKS_SIGNAL)
        time.sleep(_ANSWER_S)  # each its turn, or they write through each other
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    texts = [
        f"thread {names.get(ident, ident)}, the last call at the end:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    ]
    return "\n".join(texts)


def end_children() -> None:
    """Kill this process's own worker processes, which hold nothing that must be put in order."""
    for child in multiprocessing.active_children():
        child.kill()

"""A rank's place among the ranks: what it says of itself, and what it makes of the others' failing."""

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn

from ppcls.utils import dist, logger
from ppcls.utils.errors import PpclsError, RankError, StallError
from ppcls.utils.signals import StopRequests, leave, overhear
from ppcls.utils.status import STACKS, Record, StatusFolder, culprit
from ppcls.utils.watchdog import Mark, Pulse, Watchdog, end_children, stacks

_GRACE_S = 2.5  # to leave in good order once another rank has failed; the launcher kills after four
_SEARCH_S = 3.0  # for the record of a rank that broke a connection
_PUBLISH_S = 2.0  # between two records of a rank that goes on
_PADDLE = (RuntimeError, ValueError, OSError, SystemError)  # what it raises when ranks lose each other
_CONNECTION = ("gloo", "nccl", "tcp", "socket")  # words of what paddle says when ranks lose each other


class Presence:
    """Open while ranks train or evaluate.

    Keeps this rank's record, ends a run that makes no progress, and follows a rank that failed: with its exit code and
    its reason, or with code 6 when it died without a word.

    Args:
        life: of all ranks, as ``folder.begin_life`` gave it to rank 0.
        watchdog_s: ``Global.watchdog_s``.
        requests: to stop; they say in the record when they end the process.
    """

    def __init__(
        self, folder: StatusFolder, life: str, watchdog_s: float, requests: StopRequests | None = None
    ) -> None:
        self.pulse = Pulse()
        self.requests = requests or StopRequests()
        self._folder = folder
        self._record = Record(life, dist.rank())
        self._lock = threading.Lock()  # around the record: the watchdog's thread publishes too
        self._failed_since: float | None = None
        self._published = 0.0
        self._numbers: list[int] = []
        self._watchdog: Watchdog | None = None
        if watchdog_s or dist.world_size() > 1:
            self._watchdog = Watchdog(self.pulse, watchdog_s, looked=self._look, stalled=self._stalled)

    def __enter__(self) -> "Presence":
        self._publish()
        self.requests.leaving = lambda code, message: self._end("stopped", code, "stopped", message)
        if self._watchdog is not None:
            self._watchdog.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say how it ended.

        Raises:
            RankError: in place of what paddle says when another rank is gone.
        """
        if self._watchdog is not None:
            self._watchdog.__exit__(kind, error, trace)
        self.requests.leaving = lambda code, message: None
        if error is None:
            return
        may_be_lost = isinstance(error, _PADDLE) and not isinstance(error, PpclsError) and dist.world_size() > 1
        lost = self._lost(error) if may_be_lost else None
        told = lost or error
        if isinstance(told, PpclsError):
            self._end("failed", told.code, told.slug, str(told))
        else:
            self._end("failed", 1, "failed", f"{type(told).__name__}: {told}")
        if dist.world_size() > 1:
            overhear()  # the launcher, when it sees the first of us leave, tells the others to
        if lost is not None:
            raise lost from error

    def saved(self, step: int) -> None:
        """A checkpoint of ``step`` updates stands."""
        self._publish(saved_step=step)

    def complete(self) -> None:
        """All that was asked for is done."""
        self._end("complete", 0, "", "")

    def stopped(self, code: int) -> None:
        """A signal ended the run, after a save."""
        self._end("stopped", code, "stopped", "")

    def _end(self, state: str, code: int, slug: str, message: str) -> None:
        self._publish(state=state, code=code, slug=slug, message=message)

    def _publish(self, **changes: Any) -> None:
        last = self.pulse.last
        now = {name: getattr(last, name) for name in ("step", "number", "doing", "place")}
        now["waits"] = _waits_for_ranks()
        with self._lock:
            self._published = time.monotonic()
            self._record = dataclasses.replace(self._record, **now, **changes)
            self._folder.write(self._record)

    def _look(self) -> None:
        """From the watchdog's thread: tell the others how far we are, and follow one that failed."""
        if dist.world_size() == 1:
            return
        if time.monotonic() - self._published > _PUBLISH_S:
            self._publish()
        others = self._read_others()
        numbers = [record.number for record in others]
        if numbers != self._numbers and _waits_for_ranks():
            self.pulse.wait_on()
        self._numbers = numbers
        blamed = culprit(others)
        if blamed is None:
            return
        self._failed_since = self._failed_since or time.monotonic()
        if time.monotonic() - self._failed_since > _GRACE_S:
            self._leave(_follow(blamed))

    def _stalled(self, mark: Mark, waited_s: float) -> None:
        """From the watchdog's thread: say what was waited for, and end."""
        reading = list(mark.reading()) if mark.reading is not None else []
        at = f", reading {', '.join(reading)}" if reading else ""
        what = f"no progress for {waited_s:.1f} s at {mark.doing}{at}"
        slug = "data-stall" if reading else "step-stall"
        slowest = _slowest(self._read_others(), None if _waits_for_ranks() else mark)
        if slowest is not None:
            slug, what = "step-stall", f"{what}; rank {slowest.rank} is behind, at {slowest.doing}"
        text = stacks()
        end_children()
        path = self._folder.path(dist.rank(), STACKS)
        advice = "look at what it waits for, or raise Global.watchdog_s"
        self._leave(StallError(f"{what}; the stacks of all threads are in {path}; {advice}", slug), text)

    def _leave(self, error: PpclsError, text: str = "") -> NoReturn:
        """From the watchdog's thread; ``text`` is what the threads were at."""

        def last() -> None:
            self._end("failed", error.code, error.slug, str(error))
            if text:
                self._folder.write_stacks(dist.rank(), text)
            logger.note_in_files(f"error[{error.slug}]: {error}\n{text}".rstrip())

        leave(error.code, error.slug, str(error), last)

    def _lost(self, error: BaseException) -> RankError | None:
        """What to say in place of ``error``, if that came of another rank's end; None if it is our own."""
        deadline = time.monotonic() + _SEARCH_S
        while (blamed := culprit(self._read_others())) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if blamed is not None:
            return _follow(blamed)
        text = " ".join(str(error).split())
        if not any(word in text.lower() for word in _CONNECTION):
            return None
        slowest = _slowest(self._read_others(), None)
        at = f"; rank {slowest.rank} was last at {slowest.doing}" if slowest is not None else ""
        return RankError(f"the ranks lost each other{at}: {text[-300:]}")

    def _read_others(self) -> list[Record]:
        return [record for record in self._folder.read(self._record.life) if record.rank != dist.rank()]


@contextmanager
def ranks_together() -> Iterator[None]:
    """Where no ``Presence`` is open, as before the first stage and between two: code 6 when another rank is gone."""
    try:
        yield
    except _PADDLE as error:
        text = " ".join(str(error).split())
        is_lost = not isinstance(error, PpclsError) and any(word in text.lower() for word in _CONNECTION)
        if not is_lost or dist.world_size() == 1:
            raise
        raise RankError(f"the ranks lost each other; look at their logs: {text[-300:]}") from error


def _follow(blamed: Record) -> RankError:
    """The error of a rank whose fellow failed."""
    log = f"its log is workerlog.{blamed.rank}"
    if blamed.state == "failed":
        return RankError(f"rank {blamed.rank}: {blamed.message}; {log}", blamed.slug, blamed.code)
    at = f"rank {blamed.rank} (pid {blamed.pid} on {blamed.host}) is gone without a word, last at {blamed.doing}"
    return RankError(f"{at}; {log}; --resume goes on from the last checkpoint")


def _slowest(others: list[Record], mark: Mark | None) -> Record | None:
    """The rank that the others wait for; None if that is this one, which is at ``mark`` or, without it, waits too."""
    behind = [record for record in others if not record.waits]
    if mark is not None:
        behind = [record for record in behind if (record.step, record.place) < (mark.step, mark.place)]
    return min(behind, key=lambda record: (record.step, record.place), default=None)


def _waits_for_ranks() -> bool:
    """Whether the main thread is in an exchange with other ranks, by the innermost of our functions that it is in."""
    frame = sys._current_frames().get(threading.main_thread().ident)
    package = os.path.dirname(os.path.dirname(dist.__file__))
    while frame is not None and not frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == dist.__file__

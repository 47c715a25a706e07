"""SIGTERM, SIGINT and SIGUSR1 as a request to stop, with a deadline."""

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
DEADLINE_S = 25.0  # from a signal to the end; the launcher kills after 30
ONE_REQUEST_S = 2.0  # the launcher sends a signal three times
_DEAF_S = 5.0  # after the end
_LOOK_S = 0.2
_LAST_S = 2.0


class StopRequests:
    """While it is open, a signal is noted in ``received`` instead of ending the process; 0 is none.

    A thread hears signals too, also while the main thread is inside an operation of paddle. It ends the process with
    128 + the first signal when a signal comes again after two seconds, or when the deadline has passed; or at once
    before ``begin``, when nobody looks at ``received`` yet. Once closed
    after a signal or an error, further signals are overheard for some seconds: launchers repeat theirs, and the exit
    code would be lost.

    Open it in the main thread, after paddle was imported, which installs handlers of its own.
    """

    def __init__(self) -> None:
        self.received = 0
        self.leaving: Callable[[int, str], None] = lambda code, reason: None  # told before the process is ended
        self._has_begun = False
        self._since = 0.0
        self._previous: dict[int, object] = {}
        self._wakeup = -1
        self._thread = threading.Thread(target=self._listen, name="ppcls-signals", daemon=True)

    def begin(self) -> None:
        """From now on somebody asks, and has something to bring to an end."""
        self._has_begun = True

    def __enter__(self) -> "StopRequests":
        self._ours, self._theirs = socket.socketpair()
        self._ours.settimeout(_LOOK_S)
        self._theirs.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        for number in SIGNALS:
            signal.siginterrupt(number, False)  # paddle's store takes an interrupted read for a lost connection
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.received or error is not None:
            overhear()
        signal.set_wakeup_fd(self._wakeup)
        self._theirs.close()  # the thread reads the end of it, and ends
        self._thread.join()
        self._ours.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Called in the main thread, once it is back in Python; without it the wakeup descriptor would stay silent."""
        self._note(number)

    def _note(self, number: int) -> None:
        if not self.received:
            self._since = time.monotonic()
            self.received = number

    def _listen(self) -> None:
        while True:
            with suppress(TimeoutError):
                numbers = self._ours.recv(64)
                if not numbers:
                    return
                for number in numbers:
                    self._hear(number)
            if self.received and not self._has_begun:
                self._leave("before the first update")
            if self.received and time.monotonic() - self._since > DEADLINE_S:
                self._leave(f"no end within {DEADLINE_S:g} s")

    def _hear(self, number: int) -> None:
        if number not in SIGNALS:
            return  # SIGCHLD, where somebody listens for that
        if self.received and time.monotonic() - self._since > ONE_REQUEST_S:
            self._leave(f"told again by {signal.Signals(number).name}")
        self._note(number)

    def _leave(self, reason: str) -> NoReturn:
        name = signal.Signals(self.received).name
        message = f"stopped by {name}, {reason}: not saved; the checkpoints before are whole, --resume goes on"
        leave(128 + self.received, "stopped", message, lambda: self.leaving(128 + self.received, message))


def overhear() -> None:
    """For a process that is about to leave with an exit code of its own: signals change it no more.

    They are heard again after some seconds, should it not leave.
    """
    atexit.register(_ignore)
    for number in SIGNALS:
        signal.signal(number, _Overhear(signal.getsignal(number)))


def _ignore() -> None:
    """In the last moments of the process, when Python has taken its handlers down, a signal would still end it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Overhear:
    """A signal handler that does nothing for a while, and then what the one before it did."""

    def __init__(self, before: Callable[[int, FrameType | None], object] | int | None) -> None:
        self._before = before
        self._until = time.monotonic() + _DEAF_S

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() < self._until:
            return
        signal.signal(number, self._before)
        signal.raise_signal(number)


def leave(code: int, slug: str, message: str, last: Callable[[], None] = lambda: None) -> NoReturn:
    """End the process from whatever thread, without a look at what the others do.

    Args:
        last: is done before, but not waited for longer than two seconds: a disk that hangs may hold it up.
    """
    with suppress(OSError):
        os.write(2, f"error[{slug}]: {message}\n".encode(errors="backslashreplace"))
    helper = threading.Thread(target=last, name="ppcls-last", daemon=True)
    helper.start()
    helper.join(_LAST_S)
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    os._exit(code)

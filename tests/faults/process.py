"""Commands of ``ppcls`` as processes of their own: started, signalled, waited for, never longer than a minute."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from zygote import Request

LIMIT_S = 60.0
SECRET = "secret-b5d3a1c9"  # in the environment of every command, and in no file that it leaves

Bent = tuple[Any, ...]  # ("module.function", arguments...): called inside the process before its command


class Ended(NamedTuple):
    """How a process ended; ``code`` is negative after a signal, as for subprocess."""

    code: int
    out: str
    err: str
    seconds: float
    grown_mb: float
    pid: int

    @property
    def text(self) -> str:
        """Both streams."""
        return f"{self.out}{self.err}"


class Process:
    """A command that runs."""

    def __init__(self, connection: socket.socket, out: Path, err: Path) -> None:
        self._connection = connection
        self._answers = connection.makefile()
        self._out, self._err = out, err
        self._started = time.monotonic()
        self.pid = int(self._answers.readline())

    def out(self) -> str:
        """Its standard output so far."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    def is_alive(self) -> bool:
        """Whether it has not ended yet; looks at most every 10 ms."""
        return not select.select([self._connection], [], [], 0.01)[0]

    def send(self, number: int) -> None:
        """A signal, to it alone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        """Its end; AssertionError ``HANG`` when that takes longer than ``limit_s``."""
        self._connection.settimeout(limit_s)
        try:
            status, grown_kb = map(int, self._answers.readline().split())
        except TimeoutError:
            for pid in members(self.pid):
                os.kill(pid, signal.SIGKILL)
            tail = f"{self.out()}{self._err.read_text(errors='replace')}"[-3000:]
            raise AssertionError(f"HANG: no end within {limit_s:.0f} s\n{tail}") from None
        finally:
            self._answers.close()
            self._connection.close()
        seconds = time.monotonic() - self._started
        err = self._err.read_text(encoding="utf-8", errors="replace")
        return Ended(os.waitstatus_to_exitcode(status), self.out(), err, seconds, grown_kb / 1024, self.pid)


class Processes:
    """Where processes come from: see ``zygote``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def start(self, words: Sequence[str], folder: Path, bent: Sequence[Bent] = (), whole: bool = False) -> Process:
        """A command in ``folder``, its streams in files beside it."""
        self._count += 1
        out, err = (folder.parent / f"{folder.name}.{self._count}.{name}" for name in ("out", "err"))
        request = Request([*words], str(folder), str(out), str(err), [list(call) for call in bent], whole)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(LIMIT_S)
        connection.connect(str(self._path))
        connection.sendall(f"{json.dumps(request._asdict())}\n".encode())
        return Process(connection, out, err)

    def run(self, words: Sequence[str], folder: Path, bent: Sequence[Bent] = (), whole: bool = False) -> Ended:
        """A command from its start to its end."""
        return self.start(words, folder, bent, whole).wait()


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """A zygote that lives as long as the block."""
    path = folder / "zygote"
    command = [sys.executable, str(Path(__file__).with_name("zygote.py")), str(path)]
    environment = os.environ | {"PPCLS_TEST_SECRET": SECRET}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as zygote:
        try:
            while not path.exists():
                assert zygote.poll() is None, "the zygote did not start"
                time.sleep(0.01)
            yield Processes(path)
        finally:
            zygote.kill()


def saves_file(folder: Path) -> Path:
    """Where the units stand that a command in ``folder`` reported as saved."""
    return folder.with_name(f"{folder.name}.saved")


def saved_units(folder: Path) -> list[str]:
    """Their names, in the order of the reports."""
    path = saves_file(folder)
    return [Path(line).name for line in path.read_text().splitlines()] if path.exists() else []


def members(session: int) -> list[int]:
    """The processes of a command: itself, and all that it started, whatever group those are in."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                state, _, _, their_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(their_session) == session and state != "Z":
                    found.append(int(entry.name))
    return found

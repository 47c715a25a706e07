"""Starts real processes in milliseconds: ``python zygote.py SOCKET`` imports paddle and ppcls once, then forks.

Whoever connects sends one line, a ``Request`` as JSON, and reads two: the pid, and when it is over the wait status
and by how many KiB the process grew. Nothing is computed before a fork, so that there is no thread to lose.
"""

import ctypes
import importlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1
_MOST_CPU_S = 120  # the last net: no process outlives the tests for long


class Request(NamedTuple):
    """One command of ``ppcls``.

    ``bent`` are calls ``[module.function, arguments...]`` made inside the process before the command; with ``whole``
    the interpreter comes to its own end, which costs 0.4 s, instead of leaving once everything is flushed.
    """

    words: list[str]
    folder: str
    out: str
    err: str
    bent: list[list[Any]]
    whole: bool


def serve(path: str) -> None:
    """Answer connections until the parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the supervisors
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)  # from now on it answers
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                supervise(connection)
            connection.close()


def supervise(connection: socket.socket) -> None:
    """The life of the process between the zygote and a command: fork it, wait, tell."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = Request(**json.loads(connection.makefile().readline()))
    before_kb = _resident_kb()
    pid = os.fork()
    if pid == 0:
        connection.close()
        command(request)
        return  # to the end of the interpreter
    connection.sendall(f"{pid}\n".encode())
    _, status, used = os.wait4(pid, 0)
    connection.sendall(f"{status} {used.ru_maxrss - before_kb}\n".encode())
    os._exit(0)


def command(request: Request) -> None:
    """Become the command."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    os.chdir(request.folder)
    for path, number in ((os.devnull, 0), (request.out, 1), (request.err, 2)):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    for name, *arguments in request.bent:
        module, _, function = name.partition(".")
        getattr(importlib.import_module(module), function)(*arguments)
    code = importlib.import_module("ppcls.cli").main(request.words)
    if request.whole:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    """Import what is slow, then serve."""
    sys.path[:0] = [str(TESTS / "faults"), str(TESTS / "engine"), str(TESTS.parent)]
    importlib.import_module("ppcls.utils.runtime").prepare()
    for name in ("paddle", "ppcls.engine.stages", "misdeeds", "bent", "bad_parts"):
        importlib.import_module(name)
    # Drawing takes a third of a tiny run's time, and is no part of what is promised about faults.
    importlib.import_module("ppcls.engine.hooks.curves").draw_curves = lambda runs, target: None
    serve(sys.argv[1])


if __name__ == "__main__":
    main()

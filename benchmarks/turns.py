"""Ways that take turns, each in a process of its own, so that each has its own environment and nobody's threads."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CHOSEN = ("OMP_NUM_THREADS", "MKL_DEBUG_CPU_TYPE")  # what ppcls sets before paddle is imported
REST = 0.2  # seconds before a turn, in which threads of the way before stop spinning
_MARK = "turn: "


def default_environment() -> dict[str, str]:
    """This process's environment without those two variables, as a script that knows nothing of them starts."""
    return {name: value for name, value in os.environ.items() if name not in CHOSEN}


class Turn:
    """A process that runs ``serve``, and waits between its turns."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=dict(environment))
        self._answer()

    def times(self, calls: int) -> list[float]:
        """Seconds of each of ``calls`` calls."""
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return json.loads(self._answer())

    def close(self) -> int:
        """End the process; its code."""
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()

    def _answer(self) -> str:
        for line in self._process.stdout:
            if line.startswith(_MARK):
                return line.removeprefix(_MARK)
        raise SystemExit(f"a way of the benchmark ended with {self.close()}; its own message is above")


def serve(call: Callable[[], object], warm: int = 3) -> None:
    """In the process of a way: ``call`` as often as each line of standard input asks for."""
    for _ in range(warm):
        call()
    print(f"{_MARK}ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        print(f"{_MARK}{json.dumps(seconds)}", flush=True)


def take_turns(turns: Mapping[Any, Turn], rounds: int, calls: int) -> dict[Any, list[float]]:
    """Seconds of every call of each way; each has ``calls`` in a row, ``rounds`` times, the first of a row not counted.

    The first call after a pause finds cold caches and sleeping threads. Each round begins with another way, so that
    none always follows the same one.
    """
    names = list(turns)
    found: dict[Any, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        at = number * len(names) // rounds
        for name in names[at:] + names[:at]:
            time.sleep(REST)
            found[name] += turns[name].times(calls + 1)[1:]
    return found

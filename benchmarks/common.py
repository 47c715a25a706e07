"""What the benchmarks share: the machine, ways that take turns, and numbers in a file."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from ppcls.utils import runtime
from ppcls.utils.files import write_whole

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Seconds:
    """What a way took, a number a round: by the clock, and of the processor over all threads of this process.

    On a machine that others use too, the processor says more than the clock.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall_median(self) -> float:
        """The median by the clock."""
        return median(self.wall)

    @property
    def cpu_median(self) -> float:
        """The median of the processor."""
        return median(self.cpu)


def machine() -> dict[str, Any]:
    """What the numbers hold for; imports paddle, so after ``runtime.prepare``."""
    import cv2
    import numpy as np
    import paddle

    return {
        "processor": _processor(),
        "cores": runtime.usable_cores(),
        "load": round(os.getloadavg()[0], 2),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "mkl_debug_cpu_type": os.environ.get("MKL_DEBUG_CPU_TYPE"),
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def show(values: Mapping[str, Any]) -> str:
    """``name value  name value`` on one line."""
    return "  ".join(f"{name} {value}" for name, value in values.items())


def in_turns(ways: Mapping[str, Callable[[], Answer]], *, repeat: int, warm: int = 0) -> dict[str, list[Answer]]:
    """What each way gives, a number a round: all take their turn in every round, so that what else the machine does
    falls on all alike.

    Args:
        warm: rounds before those that count.
    """
    found: dict[str, list[Answer]] = {name: [] for name in ways}
    for number in range(warm + repeat):
        for name, way in ways.items():
            answer = way()
            if number >= warm:
                found[name].append(answer)
    return found


def seconds(ways: Mapping[str, Callable[[], Any]], *, repeat: int, warm: int = 1) -> dict[str, Seconds]:
    """What each way takes; a way returns once its work is done, also on a device."""
    rounds = in_turns({name: partial(_timed, way) for name, way in ways.items()}, repeat=repeat, warm=warm)
    return {name: Seconds(*map(list, zip(*taken, strict=True))) for name, taken in rounds.items()}


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """The numbers, for other programs."""
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode())


def _timed(way: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    return time.perf_counter() - wall, time.process_time() - cpu


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    _, found, rest = text.partition("model name")
    return rest.splitlines()[0].strip("\t: ") if found else platform.processor()

"""Threads and environment, set before paddle is imported: afterwards it is too late."""

import ctypes
import os
import sys
import warnings
import zlib
from collections.abc import Mapping, MutableMapping

_THREADS = "OMP_NUM_THREADS"
_MKL_SWITCH = "MKL_DEBUG_CPU_TYPE"
_MALLOC = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")  # what a user may have set
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of malloc.h
_KEPT_BYTES = 1 << 30


def prepare(environ: MutableMapping[str, str] = os.environ, parent: str | None = None) -> str:
    """Set what the user has not set, and say so in one line.

    * ``OMP_NUM_THREADS``: the cores this process may use, over the ranks that the launcher started on it.
    * ``MKL_DEBUG_CPU_TYPE=5`` on AMD processors with AVX2, where the bundled MKL otherwise takes its slow path
      (2048x2048 products: 18-20 GFLOP/s on one thread without, 157 on two threads with both settings).

    * malloc, unless the user has set how, keeps what is freed; see ``keep_freed_memory``.
    """
    done = []
    if _THREADS not in environ or _launcher_chose(_THREADS, environ, parent or f"/proc/{os.getppid()}/environ"):
        environ[_THREADS] = str(max(1, usable_cores() // local_ranks(environ)))
        done.append(f"{_THREADS}={environ[_THREADS]}")
    if _MKL_SWITCH not in environ and is_amd_with_avx2():
        environ[_MKL_SWITCH] = "5"
        done.append(f"{_MKL_SWITCH}=5")
    if not any(name in environ for name in _MALLOC) and keep_freed_memory():
        done.append("malloc=keep")
    # Paddle says at every import that ccache is missing, which matters only to who compiles operators, and at every
    # training step of a batch norm that it tracks statistics.
    for message in ("No ccache found", "When training, we now always track"):
        warnings.filterwarnings("ignore", message=message)
    # Paddle 2.6 carries a zlib of its own, on which Python's breaks unless it was bound to the system's before.
    zlib.decompress(zlib.compress(b""))
    if not done:
        return "environment: as set by the user"
    late = " (too late: paddle is already imported)" if "paddle" in sys.modules else ""
    return f"environment: set {' '.join(done)}{late}"


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, so that a process stays about as large as it once was; False where it is
    none that can be told to.

    glibc otherwise gives large blocks back at once, and the next layer gets its memory page by page from the system: a
    training step of OctMobileNetV2_x1_125 at 192 px, batch 16, took 827 ms so and 795 ms with what was kept (medians
    of 7 in turns, 2 cores, Paddle 3.3.1). What lies above all that is in use is given back from 1 GiB on.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    takes_all = mallopt(_MMAP_THRESHOLD, _KEPT_BYTES) or mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most before 2.35
    return bool(takes_all and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def _launcher_chose(name: str, environ: MutableMapping[str, str], parent: str) -> bool:
    """Whether the launcher made this variable up: the user, who started it with the variables in ``parent``, did not.

    Importing paddle sets OMP_NUM_THREADS to 1, and the launcher hands that on to its ranks.
    """
    if "PADDLE_LOCAL_SIZE" not in environ:
        return False
    try:
        with open(parent, "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return False
    return not any(entry.startswith(f"{name}=".encode()) for entry in given)


def compute_threads(environ: Mapping[str, str] = os.environ) -> int:
    """Threads for an exported program, whoever runs it: ``OMP_NUM_THREADS``, or where that is no number the usable
    cores."""
    first = environ.get(_THREADS, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else usable_cores()


def usable_cores(quota: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Cores this process may run on: those it is bound to, and no more than its container has the time of, rounded up.

    Args:
        quota: Linux's file (cgroup v2) of the microseconds in how many, ``200000 100000`` for two cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(quota, encoding="ascii") as file:
            granted, period = file.read().split()
    except OSError:
        return cores
    return cores if granted == "max" else max(1, min(cores, -(-int(granted) // int(period))))


def local_ranks(environ: MutableMapping[str, str] = os.environ) -> int:
    """Ranks on this machine, from what ``paddle.distributed.launch`` sets; 1 without it."""
    return max(1, int(environ.get("PADDLE_LOCAL_SIZE", "1") or 1))


def is_amd_with_avx2(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the processor calls itself AMD and has AVX2; False where that cannot be read."""
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return False
    return "AuthenticAMD" in text and "avx2" in text.split()

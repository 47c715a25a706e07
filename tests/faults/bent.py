"""System calls that fail, kill or are cut short inside one process, and disks that are smaller than they should be.

Functions of this module are run in a forked process before its command (``process.Bent``); they change it for good.
"""

import ctypes
import errno
import functools
import io
import os
import re
import resource
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ppcls.engine import Engine, export, onnx_rewrite
from ppcls.utils.checkpoint import CheckpointStore
from ppcls.utils.exported import PARAMETERS

_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18

Effect = Callable[[], None]


def kill_at(call: str, match: str, nth: int = 1) -> None:
    """SIGKILL before the ``nth`` call of ``os.<call>`` that concerns a path in which ``match``, a regex, is found."""
    _bend(call, match, nth, _kill)


def fail_at(call: str, match: str, reason: str, nth: int = 0) -> None:
    """The ``nth`` such call, or every one, fails with ``reason``, such as ``EIO``."""
    _bend(call, match, nth, functools.partial(_refuse, reason))


def signal_at(call: str, match: str, numbers: Sequence[int], nth: int = 1) -> None:
    """Before such a call the process receives signals."""
    _bend(call, match, nth, functools.partial(_raise_all, numbers))


def tear(match: str, reason: str = "", nth: int = 1) -> None:
    """Half of what is written into the ``nth`` file opened with ``match`` in its path; then SIGKILL, or ``reason``."""
    seen = _Counter(match, nth)
    original = io.open

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if ("w" in mode or "a" in mode) and seen.is_due(os.fspath(file)):
            return _Torn(os.fspath(file), mode, functools.partial(_refuse, reason) if reason else _kill)
        return original(file, mode, *args, **kwargs)

    io.open = opened


def no_file_above(size: int) -> None:
    """Files end at ``size`` bytes (EFBIG), as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def claim_free(size: int) -> None:
    """The disk says that ``size`` bytes are free."""
    usage = shutil.disk_usage
    shutil.disk_usage = lambda path: usage(path)._replace(free=size)


def read_only(folder: str) -> None:
    """From now on this process cannot write into ``folder``, which others can."""
    _own_mounts()
    _mount(folder, folder, None, _MS_BIND)
    _mount("none", folder, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)


def small_shared_memory(size: str) -> None:
    """/dev/shm of this process has room for ``size``."""
    _own_mounts()
    _mount("tmpfs", "/dev/shm", "tmpfs", 0, f"size={size}")


def note_saves(path: str) -> None:
    """Append the step of every checkpoint to ``path`` once the product says that it is saved."""
    save = CheckpointStore.save

    @functools.wraps(save)
    def noted(store: CheckpointStore, payload: Any, info: Any, *args: Any, **kwargs: Any) -> Path:
        unit = save(store, payload, info, *args, **kwargs)
        with original_open(path, "a") as file:
            file.write(f"{unit}\n")
        return unit

    original_open = io.open
    CheckpointStore.save = noted


def after_loading(how: str, path: str) -> None:
    """Once an engine has its weights, their file is overwritten in place: ``cut``, or filled with ``zeros``."""
    original = Engine.load_weights

    def load_weights(engine: Engine, source: str | bool, *, strict: bool) -> Path:
        found = original(engine, source, strict=strict)
        with open(path, "rb+") as file:
            size = file.seek(0, io.SEEK_END)
            file.truncate(size // 2 if how == "cut" else 0)
            file.write(bytes(size) if how == "zeros" else b"")
        return found

    Engine.load_weights = load_weights


def spoil_export(how: str) -> None:
    """Between writing and trying a program its parameters are ``flipped``, ``missing`` or ``cut``."""
    original = export.write_manifest

    def write_manifest(prefix: Path, about: Any) -> Path:
        path = original(prefix, about)
        parameters = Path(f"{prefix}{PARAMETERS}")
        data = bytearray(parameters.read_bytes())
        data[len(data) // 2] ^= 1
        parameters.write_bytes(data[: len(data) // 2] if how == "cut" else data)
        if how == "missing":
            parameters.unlink()
        return path

    export.write_manifest = write_manifest


def answer_otherwise() -> None:
    """Every exported program gives other numbers than it should."""
    original = export.load_program
    export.load_program = lambda prefix: lambda images: original(prefix)(images) + 1


def rewrite_otherwise() -> None:
    """A rewritten ONNX program forgets the shifts of its first convolution."""
    original = onnx_rewrite.fold_batch_norms

    def fold_batch_norms(graph: Any) -> None:
        original(graph)
        first = next(node for node in graph.nodes if node.op_type == "Conv" and len(node.input) > 2)
        graph.constants[first.input[2]] = graph.constants[first.input[2]] * 0

    onnx_rewrite.fold_batch_norms = fold_batch_norms


def at_home_in(folder: str) -> None:
    """Caches are below this folder."""
    os.environ["HOME"] = folder


class _Counter:
    """Counts the calls that concern a path in which ``match`` is found; due at the ``nth``, or always if that is 0."""

    def __init__(self, match: str, nth: int) -> None:
        self._match, self._nth, self._count = match, nth, 0

    def is_due(self, *paths: Any) -> bool:
        if not any(re.search(self._match, str(path)) for path in paths):
            return False
        self._count += 1
        return self._nth in (0, self._count)


class _Torn(io.FileIO):
    """A file that takes half of the first thing written into it."""

    def __init__(self, path: str, mode: str, effect: Effect) -> None:
        super().__init__(path, mode.replace("b", ""))
        self._effect = effect

    def write(self, data: Any) -> int:
        data = data.encode() if isinstance(data, str) else data
        super().write(data[: len(data) // 2])
        self._effect()
        return len(data)


def _bend(call: str, match: str, nth: int, effect: Effect) -> None:
    seen = _Counter(match, nth)
    original = getattr(os, call)

    @functools.wraps(original)
    def bent(*args: Any, **kwargs: Any) -> Any:
        paths = [_path_of(value, kwargs.get("dir_fd")) for value in args[:2]]
        if seen.is_due(*paths):
            effect()
        return original(*args, **kwargs)

    setattr(os, call, bent)


def _path_of(value: Any, folder: int | None) -> str:
    """The path that an argument of a system call means."""
    if isinstance(value, int):
        try:
            return os.readlink(f"/proc/self/fd/{value}")
        except OSError:
            return ""
    beside = os.readlink(f"/proc/self/fd/{folder}") if folder is not None else ""
    return os.path.join(beside, os.fsdecode(value)) if isinstance(value, str | bytes | os.PathLike) else ""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse(reason: str) -> None:
    number = getattr(errno, reason)
    raise OSError(number, os.strerror(number))


def _raise_all(numbers: Sequence[int]) -> None:
    for number in numbers:
        signal.raise_signal(number)


def _own_mounts() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [text.encode() if text is not None else None for text in (source, target, kind)]
    if ctypes.CDLL(None, use_errno=True).mount(*words, flags, options.encode() if options else None):
        raise OSError(ctypes.get_errno(), f"mount {target}")

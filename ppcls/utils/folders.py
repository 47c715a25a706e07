"""Folders that are whole or absent: filled aside, flushed to the disk, then exchanged with the old at once."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ppcls.utils.errors import PpclsError
from ppcls.utils.files import link_over, output_errors, sync, sync_folder

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


@contextmanager
def filled_aside(folder: Path, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    """An empty folder that takes the place of ``folder`` when the block ends, and vanishes when it raises.

    Whoever looks at ``folder`` sees all of the old or all of the new, also after a kill. Other files in it stay.

    Args:
        is_ours: whether a file of that name belongs to what is replaced.
    Raises:
        PpclsError: ``output``: another folder is inside, or the system refused; ``folder`` is as it was.
    """
    folder = folder.resolve()
    with output_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _restore(folder)
        foreign = _foreign_files(folder, is_ours)
        _remove_leftovers(folder)
        aside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
        aside.mkdir()
        handle = os.open(aside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # says that it is being filled; ends with this process, however that ends
        yield aside
        with output_errors(folder):
            _flush(aside)
            for path in foreign:
                link_over(path, aside / path.name)
            sync_folder(aside)
            _put(aside, folder)
            sync_folder(folder.parent)
    finally:
        os.close(handle)
        shutil.rmtree(aside, ignore_errors=True)  # after the exchange: the old


def _foreign_files(folder: Path, is_ours: Callable[[str], bool]) -> list[Path]:
    """What must move along."""
    if not folder.exists():
        return []
    if folder in (Path.cwd(), *Path.cwd().parents):
        raise PpclsError(f"{folder} holds the working directory; choose a folder of its own", "output")
    foreign = [path for path in folder.iterdir() if not is_ours(path.name)]
    for path in foreign:
        if path.is_symlink() or not path.is_file():
            raise PpclsError(f"{folder} also holds {path.name}, no plain file; choose a folder of its own", "output")
    return foreign


def _remove_leftovers(folder: Path) -> None:
    """Those of processes that were killed; one that lives holds a lock."""
    for leftover in folder.parent.glob(f".tmp-{folder.name}-*"):
        try:
            handle = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # gone meanwhile, or no folder
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def _flush(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as file:
            sync(file)


def _put(aside: Path, folder: Path) -> None:
    """Let ``aside`` have the name ``folder``; what had it ends up under the name ``aside``."""
    if not folder.exists():
        aside.rename(folder)
        return
    try:
        _exchange(aside, folder)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        old = _old(folder)
        folder.rename(old)  # between this and the next the name is free, and the old whole under another: see _restore
        aside.rename(folder)
        old.rename(aside)


def _exchange(one: Path, other: Path) -> None:
    """Swap two names at once; OSError where the system or the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, "no renameat2")
    if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _restore(folder: Path) -> None:
    old = _old(folder)
    if not old.exists():
        return
    if folder.exists():
        shutil.rmtree(old)
    else:
        old.rename(folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".old-{folder.name}")

"""Files that are whole or absent: written aside, flushed to the disk, then renamed."""

import ctypes
import errno
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ppcls.utils.errors import ConfigError, PpclsError, WeightsError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn what the system says while ``path`` is written into a PpclsError: disk-full, output or io-error."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise PpclsError(
                f"cannot write {path}: {reason}; free some space, then start again", "disk-full"
            ) from error
        slug = "io-error" if error.errno == errno.EIO else "output"
        raise PpclsError(f"cannot write {path}: {reason}; is the folder there and writable?", slug) from error


def write_synced(path: Path, data: bytes) -> None:
    """Write ``path`` and return once the disk has it; mode 0644. Under a name nobody reads yet."""
    with path.open("wb") as file:
        file.write(data)
        sync(file)
        os.fchmod(file.fileno(), 0o644)


def sync(file: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files_in(folder: Path) -> None:
    """Flush the files in ``folder`` and their names to the disk, so that a power cut after it harms none of them.

    One call flushes the whole file system where the system has such a call: 1,300 pictures took 1.4 s, one by one 5 s.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(folder)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


@contextmanager
def written_aside(path: Path) -> Iterator[IO[bytes]]:
    """An open file that becomes ``path`` when the block ends, and vanishes when it raises.

    A pipe or a device, such as ``/dev/stdout``, is written to as it is: to put a file in its place would break it.

    Raises:
        PpclsError: the system refused (code 1); ``path`` is as it was.
    """
    aside = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    with output_errors(path):
        if _is_no_place_for_a_file(path):
            with path.open("wb") as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                yield file
                sync(file)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(path.parent)


def _is_no_place_for_a_file(path: Path) -> bool:
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    return is_special or path.parent in (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` under ``path`` at once: a reader sees the old bytes or the new ones, never a part."""
    with written_aside(path) as file:
        file.write(data)


def link_over(source: Path, target: Path) -> None:
    """Make ``target`` another name of ``source``'s bytes, at once; a copy where links are not supported."""
    if target.exists() and target.samefile(source):
        return  # rename of a file over its own other name does nothing and would leave the one aside
    aside = target.with_name(f".link-{target.name}-{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, aside)
        with aside.open("rb+") as file:
            sync(file)
    aside.replace(target)


def read_regular(path: Path, limit: int = 16 << 30) -> bytes:
    """All bytes of a regular file, never of a folder, a pipe or a device.

    Args:
        limit: bytes; a larger file is refused before it is read.
    Raises:
        ConfigError: nothing is there.
        WeightsError: not a regular file, or too large.
        PpclsError: the system refused to read it (io-error).
    """
    try:
        with _open_unblocked(path) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError(f"{path} is not a regular file; expected a file with weights", "damaged")
            if status.st_size > limit:
                raise WeightsError(f"{path} has {status.st_size} bytes; at most {limit} are read", "damaged")
            return file.read()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path} is a folder; expected a file with weights", "damaged") from error
    except OSError as error:
        raise PpclsError(f"cannot read {path}: {error.strerror or error}", "io-error") from error


def read_picture(path: str | bytes, limit: int = 1 << 30) -> bytes:
    """All bytes of a picture's file, as the data sets and ``infer`` read it; a pipe is never waited for.

    Args:
        limit: bytes; 50 million pixels of 16 bits and four channels are 400 MB without any compression.
    Raises:
        OSError: the system refused, or it is no regular file, or empty, or too large; ``strerror`` says which.
    """
    with _open_unblocked(path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if status.st_size == 0:
            raise OSError(errno.ENODATA, "the file is empty")
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"the file has {status.st_size} bytes; at most {limit} are read")
        return file.read()


class Lock:
    """The right to work in a folder, held until ``release`` or the end of the process, however it ends.

    Args:
        wait_s: how long to wait for another holder.
    Raises:
        ConfigError: another process holds it (slug ``locked``); the message names its pid and host.
    """

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        deadline = time.monotonic() + wait_s
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+")
            while not self._take():
                if time.monotonic() >= deadline:
                    raise self._refusal(path)
                time.sleep(0.1)
            self._file.truncate(0)
            self._file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()

    def release(self) -> None:
        """Let the next one in."""
        self._file.close()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _take(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def _refusal(self, path: Path) -> ConfigError:
        self._file.seek(0)
        holder = self._file.read(200).strip() or "another process"
        self._file.close()
        return ConfigError(
            f"{path.parent} is in use by {holder}; wait for it, stop it, or choose another folder", "locked"
        )


def _open_unblocked(path: str | bytes | Path) -> IO[bytes]:
    """Open for reading at once, also a pipe: without O_NONBLOCK that waits for a writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return open(descriptor, "rb")
    except OSError:
        os.close(descriptor)  # a folder's: open refuses it and leaves it open
        raise

"""Taking pictures out of tar archives that nobody vouches for.

Nothing here calls ``extract``: members are read as streams and written under names this code has checked, so owners,
modes, links, devices and paths in the archive have no way to act.
"""

import gzip
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ppcls.utils.errors import ConfigError, DataError, PpclsError
from ppcls.utils.files import sync_files_in, sync_folder


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive at ``path``, plain or compressed; damage met while it is open is told as such.

    Raises:
        ConfigError: no such file.
        DataError: not a tar archive, or damaged, or cut short.
    """
    if not path.is_file():
        raise ConfigError(f"no archive at {path}; check the path")
    with _telling_damage(str(path)), tarfile.open(path) as archive:
        yield archive


@contextmanager
def open_inner_tar(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> Iterator[tarfile.TarFile]:
    """The plain tar archive that is a member of another, without writing it to disk; errors as of ``open_tar``."""
    with _telling_damage(where), open_member(archive, member) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        yield tar


def open_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The content of a regular file in ``archive``."""
    stream = archive.extractfile(member)
    assert stream is not None, "regular_files lets nothing else through"
    return stream


def regular_files(archive: tarfile.TarFile, names: re.Pattern[str], where: str) -> dict[str, tarfile.TarInfo]:
    """The files of ``archive`` by name; ``names`` matches each in full.

    Raises:
        DataError: a member is something else than a file or a folder, or has another name, or one that was there
            before; it is named.
    """
    files = {}
    for member in archive:
        name = member.name.removeprefix("./")
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            message = f"{where}: member {member.name!r} is not a regular file; fetch the official archive"
            raise DataError(message, slug="archive")
        if not names.fullmatch(name):
            raise DataError(
                f"{where}: member {member.name!r} does not belong there (expected {names.pattern}); "
                "fetch the official archive",
                slug="archive",
            )
        if name in files:
            raise DataError(f"{where}: member {member.name!r} is there twice; fetch the official archive", "archive")
        files[name] = member
    return files


def unpack_files(archive: tarfile.TarFile, names: re.Pattern[str], folder: Path, where: str) -> None:
    """Leave the files of ``archive`` in ``folder``, which appears when it is complete and on the disk.

    Until then they are in ``<folder>.partial``. Called again, it starts afresh: after a power cut a file there may have
    the right size and hold nothing but zeros.

    Raises:
        DataError: as ``regular_files``, before anything is written.
        PpclsError: the disk has no room.
    """
    files = regular_files(archive, names, where)
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    require_space(partial, sum(member.size for member in files.values()))
    for name, member in files.items():
        with open_member(archive, member) as source, (partial / name).open("wb") as sink:
            shutil.copyfileobj(source, sink)
    sync_files_in(partial)
    partial.rename(folder)
    sync_folder(folder.parent)


def require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what will not fit.

    Args:
        folder: exists already.
        needed: bytes.
    Raises:
        PpclsError: slug ``disk-full``.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PpclsError(
            f"{folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; make room or choose another --out",
            slug="disk-full",
        )


@contextmanager
def _telling_damage(where: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile goes on with a line a compression it tried
        message = f"{where}: not a tar archive, damaged or cut short ({reason}); fetch it again"
        raise DataError(message, slug="archive") from error

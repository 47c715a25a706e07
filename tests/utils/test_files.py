"""Files that are whole or absent, locks, and what is not a regular file."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ppcls.utils import files
from ppcls.utils.errors import ConfigError, PpclsError, WeightsError
from ppcls.utils.files import Lock, link_over, read_regular, sync_files_in, write_whole, written_aside

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_replaced_at_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["a.json"]


def test_an_exception_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"), written_aside(path) as file:
        file.write("text, not bytes")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "slug"),
    [(errno.ENOSPC, "disk-full"), (errno.EFBIG, "disk-full"), (errno.EROFS, "output"), (errno.EIO, "io-error")],
)
def test_what_the_system_refuses_is_told_with_path_and_reason(
    number: int, slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(PpclsError, match=os.strerror(number)) as caught:
        write_whole(path, b"new")
    assert str(path) in str(caught.value)
    assert (caught.value.slug, caught.value.code) == (slug, 1)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PpclsError, match=r"cannot write .*file/a: .*; is the folder there and writable\?"):
        write_whole(tmp_path / "file" / "a", b"")


class _Library:
    """A C library whose ``syncfs`` does as told; without one, if it is not told."""

    def __init__(self, **calls: object) -> None:
        """Have ``calls``."""
        self.__dict__.update(calls)


def test_the_files_of_a_folder_are_flushed_by_one_call_or_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    places = {(tmp_path / name).stat().st_ino for name in "abc"} | {tmp_path.stat().st_ino}
    flushed: list[int] = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: _Library())
    sync_files_in(tmp_path)
    assert set(flushed) == places
    flushed.clear()
    whole = _Library(syncfs=lambda handle: flushed.append(os.fstat(handle).st_ino))
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: whole)
    sync_files_in(tmp_path)
    assert flushed == [tmp_path.stat().st_ino]


def test_a_file_system_that_cannot_be_flushed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_files_in(tmp_path)
    monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: _Library(syncfs=lambda handle: -1))
    monkeypatch.setattr(files.ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(OSError, match="Input/output error") as caught:
        sync_files_in(tmp_path)
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize("supported", [True, False])
def test_a_name_moves_to_another_file_at_once(supported: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links here")

    if not supported:
        monkeypatch.setattr(files.os, "link", refuse)
    (tmp_path / "1").write_bytes(b"one")
    (tmp_path / "2").write_bytes(b"two")
    for source in ("1", "2", "2"):
        link_over(tmp_path / source, tmp_path / "name")
    assert (tmp_path / "name").read_bytes() == b"two"
    assert (tmp_path / "name").samefile(tmp_path / "2") == supported
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "name"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "folder"),
        (Path("/dev/zero"), "regular"),
    ):
        with pytest.raises(WeightsError, match=reason):
            read_regular(path)
    with pytest.raises(ConfigError, match="absent does not exist"):
        read_regular(tmp_path / "absent")


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"
    with pytest.raises(WeightsError, match="has 5 bytes; at most 4 are read"):
        read_regular(tmp_path / "a", 4)


def test_a_second_holder_is_refused_with_pid_and_host_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    code = f"""
from pathlib import Path
from ppcls.utils.files import Lock
lock = Lock(Path({str(path)!r}))
print("held", flush=True)
input()
"""
    root = Path(__file__).parents[2]
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=rf"in use by pid {holder.pid} on {os.uname().nodename}") as caught:
        Lock(path)
    assert caught.value.slug == "locked"
    holder.kill()
    holder.communicate()
    Lock(path, wait_s=5).release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    with Lock(tmp_path / "run.lock"), pytest.raises(ConfigError, match="in use"):
        Lock(tmp_path / "run.lock")
    with Lock(tmp_path / "run.lock"):
        assert (tmp_path / "run.lock").read_text().startswith(f"pid {os.getpid()} on ")


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(pipe.read_bytes)
        write_whole(pipe, b"answers")
        assert read.result(timeout=10) == b"answers"
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_standard_output_may_be_named_as_a_file() -> None:
    code = "import pathlib, ppcls.utils.files as files; files.write_whole(pathlib.Path('/dev/fd/1'), b'answers')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"answers"

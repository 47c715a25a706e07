"""``prepare imagenet`` killed at any moment and started again: the files of an unbroken run, no class done twice."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ppcls.data.prepare import archives as unpacking
from ppcls.data.prepare.imagenet import unpack_train, unpack_val
from ppcls.data.prepare.val_labels import picture_name

ROOT = Path(__file__).resolve().parents[2]
WNIDS = ("n00000001", "n00000002", "n00000003")
LABELS = {picture_name(number): number for number in range(5)}

# Kills itself in the middle of the given write: half of the bytes are in the file.
DRIVER = """
import json, os, signal, sys
from pathlib import Path
from ppcls.data.prepare import archives, imagenet

kill_at, out, archive, what, labels = json.loads(sys.argv[1])
count = 0

def copy(source, sink):
    global count
    data = source.read()
    if count == kill_at:
        sink.write(data[: len(data) // 2])
        sink.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    sink.write(data)

archives.shutil.copyfileobj = copy
if what == "train":
    imagenet.unpack_train(Path(archive), Path(out), labels, 9)
else:
    imagenet.unpack_val(Path(archive), Path(out), labels, 5)
"""


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, Path]:
    """Three classes of three pictures each, and five for evaluation; of 100 to 120 random bytes."""
    rng = np.random.default_rng(0)
    classes = {w: {f"{w}_{k}.JPEG": rng.bytes(100 + k) for k in range(3)} for w in WNIDS}
    (tmp_path / "train.tar").write_bytes(_tar({f"{w}.tar": _tar(files) for w, files in classes.items()}))
    (tmp_path / "val.tar").write_bytes(_tar({name: rng.bytes(120) for name in LABELS}))
    return {"train": tmp_path / "train.tar", "val": tmp_path / "val.tar"}


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _unpack(what: str, archive: Path, out: Path) -> None:
    if what == "train":
        unpack_train(archive, out, WNIDS, 9)
    else:
        unpack_val(archive, out, LABELS, 5)


def _killed(what: str, archive: Path, out: Path, kill_at: int) -> None:
    order = json.dumps([kill_at, str(out), str(archive), what, WNIDS if what == "train" else LABELS])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", DRIVER, order], env=environment, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("what", "kill_at"), [("train", 0), ("train", 4), ("train", 8), ("val", 3)])
def test_killed_and_started_again_it_leaves_what_an_unbroken_run_leaves(
    what: str, kill_at: int, archives: dict[str, Path], tmp_path: Path
) -> None:
    _unpack(what, archives[what], tmp_path / "unbroken")
    whole = _files(tmp_path / "unbroken")
    out = tmp_path / "out"
    _killed(what, archives[what], out, kill_at)
    found = [path for path in _files(out) if path.endswith(".JPEG")]
    final = {path for path in found if ".partial/" not in path}
    assert all(_files(out)[path] == whole[path] for path in final)
    assert len(found) == kill_at + 1
    assert not list(out.glob("*.txt"))
    kept = {path: (out / path).stat() for path in final}
    _unpack(what, archives[what], out)
    assert _files(out).keys() == whole.keys()
    assert all(_files(out)[path] == whole[path] for path in whole if not path.endswith(".lock"))
    assert not list(out.rglob("*.partial"))
    assert all((out / path).stat().st_mtime_ns == status.st_mtime_ns for path, status in kept.items())


def test_killed_twice_it_still_finishes_and_never_does_a_whole_class_again(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _killed("train", archives["train"], out, 4)
    first = out / "train/n00000001/n00000001_0.JPEG"
    written = first.stat().st_mtime_ns
    _killed("train", archives["train"], out, 4)  # in the third class: the second was begun afresh
    assert sorted(path.name for path in (out / "train").iterdir()) == [*WNIDS[:2], f"{WNIDS[2]}.partial"]
    _unpack("train", archives["train"], out)
    assert first.stat().st_mtime_ns == written
    _unpack("train", archives["train"], tmp_path / "unbroken")
    pictures = {path: data for path, data in _files(out).items() if not path.endswith(".lock")}
    assert pictures.items() <= _files(tmp_path / "unbroken").items()


@pytest.mark.parametrize("what", ["train", "val"])
def test_what_a_power_cut_may_leave_is_not_taken_for_a_picture(
    what: str, archives: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _unpack(what, archives[what], out)
    whole = _files(out)
    done = out / "val" if what == "val" else out / "train" / WNIDS[1]
    partial = done.rename(done.with_name(f"{done.name}.partial"))
    for path in partial.iterdir():
        path.write_bytes(bytes(path.stat().st_size))  # the name and the size reached the disk, the content did not
    (partial / "foreign.JPEG").touch()
    _unpack(what, archives[what], out)
    assert {path: data for path, data in _files(out).items() if not path.endswith(".lock")}.items() <= whole.items()


@pytest.mark.parametrize("what", ["train", "val"])
def test_a_folder_gets_its_name_only_when_its_files_are_on_the_disk(
    what: str, archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, out = [], tmp_path / "out"

    def note(folder: Path) -> None:
        final = folder.with_name(folder.name.removesuffix(".partial"))
        order.append((folder.name, len(list(folder.iterdir())), final.exists()))

    monkeypatch.setattr(unpacking, "sync_files_in", note)
    monkeypatch.setattr(unpacking, "sync_folder", note)
    _unpack(what, archives[what], out)
    if what == "val":
        assert order == [("val.partial", 5, False), ("out", 2, True)]
    else:
        assert order[:2] == [("n00000001.partial", 3, False), ("train", 1, True)]
        assert len(order) == 6


def test_what_the_disk_refuses_leaves_the_class_to_be_done_again(
    archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "sync_files_in", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            _unpack("train", archives["train"], tmp_path)
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["n00000001.partial"]
    _unpack("train", archives["train"], tmp_path)

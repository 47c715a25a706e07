"""VisualDL: what it shows is what ``metrics.jsonl`` holds, and a disk that is full for it stops no run."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_run import NAME, run, train, write_config

from ppcls.engine.hooks.visualdl import VisualDL
from ppcls.engine.records import Records

pytest.importorskip("visualdl", reason="visualdl is not installed")

USED = "Global.use_visualdl=True"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one page of 4 KiB: some 60 records."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def shown(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Step and value of each row, as VisualDL itself reads them."""
    from visualdl import LogReader

    (log,) = folder.iterdir()
    return [(row.id, row.value) for row in LogReader(file_path=str(log)).get_data("scalar", tag)]


def test_a_full_disk_is_one_warning_and_a_complete_run(
    tmp_path: Path, full_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / NAME).mkdir(parents=True)
    (tmp_path / "out" / NAME / "vdl").symlink_to(full_disk)
    folder = train(tmp_path, USED, "Global.epochs=9", "Global.print_batch_step=1")
    printed = capfd.readouterr()
    assert printed.err == ""
    (log,) = full_disk.iterdir()
    said = f"{folder}/vdl/{log.name} cannot be written (No space left on device); VisualDL lacks rows of this run"
    assert (printed.out.count(said), printed.out.count("WARNING")) == (1, 1)
    assert "Writing data" not in printed.out
    assert (folder / "checkpoints" / "step-000000027-1").is_dir()
    kept = shown(full_disk, "train_loss")
    assert 5 < len(kept) < 27
    assert [step for step, _ in kept] == list(range(1, len(kept) + 1))


def test_a_folder_that_cannot_be_made_is_one_warning_and_a_complete_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out" / NAME
    folder.mkdir(parents=True)
    (folder / "vdl").touch()
    assert run("train", write_config(tmp_path), USED, "Global.epochs=1") == 0
    assert capsys.readouterr().out.count("cannot be written (File exists); VisualDL lacks rows of this run") == 1


def test_a_row_of_which_half_fits_is_left_out_and_later_rows_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = Records(tmp_path)
    hook = VisualDL(records, tmp_path / "vdl")
    hook.train_begin(None)
    records.event({"event": "train", "epoch": 1, "step": 1, "loss": 0.5})
    (log,) = (tmp_path / "vdl").iterdir()
    with files_end_at(log.stat().st_size + 20):
        for step in (2, 3):
            records._followers[0]({"event": "train", "epoch": 1, "step": step, "loss": 9.0, "time": 1.0})
    records.event({"event": "train", "epoch": 1, "step": 4, "loss": 0.25})
    assert shown(tmp_path / "vdl", "train_loss") == [(1, 0.5), (4, 0.25)]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"{log} cannot be written (File too large); VisualDL lacks rows of this run"
    ]

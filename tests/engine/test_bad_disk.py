"""Outputs that cannot be written: folders in use, full disks, consoles that are gone."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_runs import ends, told
from tiny_run import NAME, ROOT, run, same, train, weights, write_config

from ppcls.engine.records import Records
from ppcls.utils import logger
from ppcls.utils.files import Lock

LONGER = ("--resume", "--allow-config-change")  # with more epochs than before


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond ``size`` bytes: EFBIG, which a full disk's error is a brother of."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB: three checkpoints of the tiny run, not four."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def start(*words: str, cwd: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """``python -m ppcls ...`` as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ppcls", *words]
    return subprocess.Popen(command, cwd=cwd, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment)


def with_a_deaf_reader(words: Sequence[str], cwd: Path) -> tuple[int, str]:
    """Exit code and standard error of a command whose ``| head`` left at once."""
    process = start(*words, cwd=cwd)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    return process.wait(timeout=120), error


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_file_in_the_place_of_the_output_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    source = f"Global.pretrained_model={folder / 'latest'}"
    config = write_config(tmp_path)
    text = ends(capsys, 1, "output", command, config, source, f"Global.output_dir={config}")
    reason = f"cannot write {config}/{NAME}: Not a directory; is the folder there and writable?"
    assert text == f"error[output]: {reason}\n"


def test_export_into_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"Global.pretrained_model={train(tmp_path, 'Global.epochs=1') / 'latest'}"
    config = write_config(tmp_path)
    text = ends(capsys, 1, "output", "export", config, source, f"Global.save_inference_dir={config}")
    assert text.endswith(f"cannot write {config}: Not a directory; is the folder there and writable?\n")


def test_a_folder_in_the_place_of_the_log_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "out" / NAME / "train.log"
    log.mkdir(parents=True)
    text = ends(capsys, 1, "output", "train", write_config(tmp_path))
    assert f"cannot write {log}: Is a directory; is the folder there and writable?" in text


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    before = weights(folder / "latest")
    with files_end_at(100_000):
        text = ends(capsys, 1, "disk-full", "train", write_config(tmp_path), flags=LONGER)
    unit = folder / "checkpoints" / "step-000000006-1"
    assert text == f"error[disk-full]: cannot write {unit}: File too large; free some space, then start again\n"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-000000003-1"]
    assert same(weights(folder / "latest"), before)
    assert text.strip() in (folder / "train.log").read_text()
    assert run("train", write_config(tmp_path), flags=LONGER) == 0


def test_a_full_disk_ends_the_run_with_needed_and_free_bytes(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (f"Global.output_dir={small_disk}", "Global.epochs=5", "Global.keep_last=9")
    text = ends(capsys, 1, "disk-full", "train", write_config(tmp_path), *given)
    folder = small_disk / NAME
    assert f"cannot write {folder}/checkpoints: it needs 970" in text
    assert "are free; free some space, or lower Global.keep_last or save_interval\n" in text
    units = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert units == [f"step-{step:09d}-1" for step in (3, 6, 9)]
    assert run("eval", write_config(tmp_path), f"Global.pretrained_model={folder / 'latest'}") == 0


def test_export_onto_a_full_disk_announces_no_program(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"Global.pretrained_model={train(tmp_path, 'Global.epochs=1') / 'latest'}"
    (small_disk / "other").write_bytes(bytes(2_500_000))
    given = ("export", write_config(tmp_path), source, f"Global.save_inference_dir={small_disk}/program")
    text = ends(capsys, 1, "disk-full", *given)
    assert f"cannot write {small_disk}/program: it needs " in text
    assert [path.name for path in small_disk.iterdir()] == ["other"]


def test_answers_that_cannot_be_written_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"Global.pretrained_model={train(tmp_path, 'Global.epochs=1') / 'latest'}"
    given = ("infer", write_config(tmp_path), source, f"Infer.infer_imgs={tmp_path}/out")
    text = ends(capsys, 1, "output", *given, flags=("--csv", str(tmp_path)))
    assert text.endswith(f"cannot write {tmp_path}: Is a directory; is the folder there and writable?\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
def test_a_run_outlives_logs_that_cannot_be_written_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    logs = [folder / name for name in ("train.log", "metrics.jsonl", "summary.csv")]
    for log in logs:
        log.unlink()
        log.symlink_to("/dev/full")
    capsys.readouterr()
    assert run("train", write_config(tmp_path), flags=LONGER) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert all(printed.out.count(f"WARNING: {log} cannot be written (No space left on device)") == 1 for log in logs)
    assert (folder / "checkpoints" / "step-000000006-1").is_dir()


def test_a_row_of_which_half_fits_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger.setup()
    records = Records(tmp_path)
    records.epoch({"epoch": 1, "lr": 0.5})
    with files_end_at(20):
        records.epoch({"epoch": 2, "lr": 0.123456789})
        records.epoch({"epoch": 3, "lr": 0.123456789})
    records.epoch({"epoch": 4, "lr": 0.25})
    assert (tmp_path / "summary.csv").read_text() == "epoch,lr\n1,0.5\n4,0.25\n"
    assert capsys.readouterr().out.count("cannot be written (File too large); rows of this run are lost") == 1


def test_a_row_of_somebody_else_is_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger.setup()
    records = Records(tmp_path)
    for row in ({"event": "eval", "epoch": 1, "step": 3}, {"event": "eval", "epoch": 2, "step": 6}):
        records.event(row)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"x": 1}\n[]\nno json\n')
    assert [row["epoch"] for row in records.rows("metrics.jsonl")] == [1, 2]
    assert capsys.readouterr().out.count("metrics.jsonl:") == 3


def test_a_second_trainer_is_refused_and_the_first_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    first = start("train", "-c", str(config), "-o", "Global.epochs=100000", cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_for(tmp_path / "out" / NAME / "latest.manifest.json", first)
        for flags in ((), ("--resume",), ("--overwrite",)):
            text = ends(capsys, 2, "locked", "train", config, flags=flags)
            holder = rf"{tmp_path}/out/{NAME} is in use by pid {first.pid} on {os.uname().nodename}; "
            assert text == f"error[locked]: {holder}wait for it, stop it, or choose another folder\n"
        assert [path.name for path in (tmp_path / "out").iterdir()] == [NAME]
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_overwrite_moves_no_folder_that_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    with Lock(folder / "run.lock"):
        text = ends(capsys, 2, "locked", "train", write_config(tmp_path), flags=("--overwrite",))
    assert f"is in use by pid {os.getpid()} on " in text
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


@pytest.mark.parametrize("words", [("list",), ("config", "-c", "two_stage.yaml"), ("models",)])
def test_a_reader_that_leaves_ends_a_listing_in_silence(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert with_a_deaf_reader(words, tmp_path) == (1, "")


def test_a_reader_that_leaves_does_not_end_a_training(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    code, error = with_a_deaf_reader(("train", "-c", str(config), "-o", "Global.epochs=1"), tmp_path)
    log = (tmp_path / "out" / NAME / "train.log").read_text()
    assert (code, "training is complete: 1 epochs" in log) == (0, True)
    warning = "WARNING: the console cannot be written (Broken pipe); going on without it"
    assert warning in error + log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
def test_a_full_disk_behind_standard_output_is_told(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start("list", cwd=tmp_path, stdout=full.fileno())
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left on device: standard output" in told(error, "disk-full", 1)

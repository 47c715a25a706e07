"""What the launcher leaves on disk, and who leaves with it."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ppcls.utils.launcher import is_launched, tidy_logs

ROOT = Path(__file__).resolve().parents[2]
DUMPS = ("envlog.0", "envlog.1", "backup_env.0.json", "default.qwerty.log")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the default log folder of a launch of two ranks, and a file of the user's in it."""
    (tmp_path / "log").mkdir()
    for name in (*DUMPS, "workerlog.0", "workerlog.1", "published.csv"):
        (tmp_path / "log" / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(folder: Path, local_rank: int = 0) -> dict[str, str]:
    numbers = {"PADDLE_LOCAL_RANK": str(local_rank), "PADDLE_LOCAL_SIZE": "2", "PADDLE_TRAINER_ID": str(2 + local_rank)}
    return {"PADDLE_LOG_DIR": str(folder), "POD_NAME": "qwerty", "PADDLE_BACKUP_ENV_PATH": "x", **numbers}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_worker_logs_move_under_their_global_numbers_and_dumps_go(home: Path) -> None:
    environ = environment(home / "log")
    moved = tidy_logs(home / "out", environ)
    assert moved is not None
    assert moved.parent == home / "out" / "launch"
    assert {path.name: path.read_text() for path in moved.iterdir()} == {
        "workerlog.2": "workerlog.0",
        "workerlog.3": "workerlog.1",
    }
    assert names(home / "log") == ["published.csv"]
    assert moved.stat().st_mode & 0o777 == 0o700
    assert "PADDLE_BACKUP_ENV_PATH" not in environ


def test_a_log_folder_that_the_user_named_keeps_its_logs(home: Path) -> None:
    (home / "log").rename(home / "mine")
    assert tidy_logs(home / "out", environment(home / "mine")) is None
    assert names(home / "mine") == ["published.csv", "workerlog.0", "workerlog.1"]
    assert not (home / "out").exists()


def test_one_rank_a_machine_tidies(home: Path) -> None:
    before = names(home / "log")
    assert tidy_logs(home / "out", environment(home / "log", local_rank=1)) is None
    assert names(home / "log") == before


def test_without_a_launcher_nothing_is_touched(home: Path) -> None:
    before = names(home / "log")
    assert not is_launched({})
    assert tidy_logs(home / "out", {}) is None
    assert names(home / "log") == before


def test_logs_that_cannot_move_stay(home: Path) -> None:
    (home / "out").write_text("a file where the folder should be")
    assert tidy_logs(home / "out", environment(home / "log")) is None
    assert names(home / "log") == ["published.csv", "workerlog.0", "workerlog.1"]


WORKER = """
import os, sys, time
sys.path.insert(0, {root!r})
from ppcls.utils.launcher import leave_with_launcher
leave_with_launcher({environ!r})
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("launched", [True, False])
def test_a_rank_is_told_when_its_launcher_is_killed_and_others_live_on(launched: bool) -> None:
    worker = WORKER.format(root=str(ROOT), environ={"PADDLE_LOG_DIR": "log"} if launched else {})
    with subprocess.Popen([sys.executable, "-c", PARENT, worker], stdout=subprocess.PIPE, text=True) as parent:
        rank = int(parent.stdout.readline())
        parent.kill()
        ended = select.select([parent.stdout], [], [], 5.0 if launched else 0.3)[0]  # its end closes the pipe
        assert bool(ended) is launched
        if not launched:
            os.kill(rank, signal.SIGKILL)

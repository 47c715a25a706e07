"""Living under ``paddle.distributed.launch``: leave when it dies, and tidy what it leaves on disk."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def is_launched(environ: MutableMapping[str, str] = os.environ) -> bool:
    """Whether the launcher started this process."""
    return "PADDLE_LOG_DIR" in environ


def leave_with_launcher(environ: MutableMapping[str, str] = os.environ) -> None:
    """Be told by SIGTERM when the launcher is killed, which otherwise leaves its ranks running; Linux only.

    Call it first of all: a launcher that is gone by then cannot be told from another parent.
    """
    if not is_launched(environ) or sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def tidy_logs(output_dir: Path, environ: MutableMapping[str, str] = os.environ) -> Path | None:
    """Remove the launcher's dumps of the environment; without ``--log_dir``, move its logs out of ``log/``.

    The dumps hold every secret of the user's shell, for all to read. The moved logs go on growing where they are: the
    launcher and the ranks hold them open. Call on every rank, after all have joined; one rank a machine acts.

    Returns:
        Where the logs are now, ``output_dir/launch/<time>``; None where they stay.
    """
    environ.pop("PADDLE_BACKUP_ENV_PATH", None)  # one of the dumps, which a process of ours might yet look for
    if not is_launched(environ) or environ.get("PADDLE_LOCAL_RANK") != "0":
        return None
    folder = Path(environ["PADDLE_LOG_DIR"])
    pod = environ.get("POD_NAME", "")
    for pattern in ("envlog.*", "backup_env.*.json", f"*.{pod}.log"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    if folder != Path.cwd() / "log":
        return None
    return _move_logs(folder, output_dir / "launch" / time.strftime("%Y%m%d-%H%M%S"), environ)


def _move_logs(folder: Path, target: Path, environ: MutableMapping[str, str]) -> Path | None:
    """Rename ``workerlog.<rank on this machine>`` to ``workerlog.<rank>``; where another disk refuses, they stay."""
    first = int(environ["PADDLE_TRAINER_ID"])
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(int(environ["PADDLE_LOCAL_SIZE"])):
            (folder / f"workerlog.{number}").replace(target / f"workerlog.{first + number}")
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError:
        return None
    return target

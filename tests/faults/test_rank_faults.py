"""Every fault of a rank ends the whole run, in time, with a word about the culprit and the checkpoints whole."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_runs import listed, make_pictures
from rank_faults import RANK_FAULTS, RankFault
from test_ranks import many
from test_resume import events
from tiny_run import NAME, same, weights, write_config

from ppcls.utils.checkpoint import CheckpointStore

DRIVER = Path(__file__).with_name("broken_ranks.py")
SECRET = "secret-9f2c61d0"
LIMIT_S = 120  # of a launch; importing paddle twice on a busy machine is most of it
CASES = [
    pytest.param(fault, id=name, marks=[pytest.mark.slow] if fault.slow else []) for name, fault in RANK_FAULTS.items()
]


def launch(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """Two ranks of the tiny run, on 32 pictures of which the list names 8, saving after every update."""
    calm = (
        listed(folder, "Train"),
        *("DataLoader.Train.sampler.batch_size=1", "Global.save_every_steps=1", "Global.print_batch_step=1"),
        *("Optimizer.lr.learning_rate=0.002", "Global.keep_last=99"),
    )
    words = [word for override in (*calm, *overrides) for word in ("-o", override)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PADDLE_", "FLAGS_"))}
    command = [sys.executable, "-m", "paddle.distributed.launch", *many(2), str(DRIVER), "train", "-c", "tiny.yaml"]
    with (folder / "console.txt").open("a") as console:
        return subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env=environment | {"PPCLS_TEST_SECRET": SECRET},
            stdout=console,
            stderr=subprocess.STDOUT,
        )


def prepare(folder: Path) -> Path:
    make_pictures(folder / "pictures")
    write_config(folder)
    return folder


def finish(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(LIMIT_S)
    finally:
        process.kill()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("unbroken"))
    assert finish(launch(folder)) == 0, (folder / "console.txt").read_text()[-3000:]
    return folder / "out" / NAME


@pytest.mark.parametrize("fault", CASES)
def test_a_fault_of_a_rank_ends_all_of_them_with_a_word_about_it(
    fault: RankFault, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = prepare(tmp_path)
    process = launch(folder, *given(fault))
    if fault.kills:
        wait_for_checkpoint(folder, process)
        process.send_signal(signal.Signals[fault.kills])
    code = finish(process)
    console = "".join((folder / name).read_text(errors="replace") for name in ("console.txt", "launch/workerlog.0"))
    assert code == fault.code, console[-3000:]
    assert re.search(fault.says, console), console[-3000:]
    require_gone(folder)
    require_record(folder, fault)
    require_whole(folder)
    if fault.code == 7:
        stacks = folder / "out" / NAME / "status" / f"rank-{fault.culprit:05d}.stacks.txt"
        assert "thread MainThread" in stacks.read_text()
    if fault.continues:
        require_continuation(folder, request.getfixturevalue("unbroken"))


def given(fault: RankFault) -> tuple[str, ...]:
    """Overrides that are no words of the continuation."""
    if fault.more[-1:] == ("DataLoader.Train.dataset.name=StuckDataset",):
        return (*fault.more, "DataLoader.Train.dataset.stuck=3", "DataLoader.Train.dataset.rank=1")
    return (*fault.more, f"Hooks={fault.hook}")


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not list(folder.glob(f"out/{NAME}/checkpoints/step-*")):
        assert process.poll() is None, (folder / "console.txt").read_text()[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "out" / NAME / "status").glob("rank-*.json"))]


def require_gone(folder: Path) -> None:
    """No rank lives on."""
    deadline = time.monotonic() + 5
    while alive := [record["pid"] for record in records(folder) if Path(f"/proc/{record['pid']}").exists()]:
        assert time.monotonic() < deadline, f"ranks that live on: {alive}"
        time.sleep(0.05)


def require_record(folder: Path, fault: RankFault) -> None:
    record = records(folder)[0]
    state, code, slug = fault.status
    assert (record["state"], record["code"]) == (state, code)
    assert re.fullmatch(slug, str(record["slug"]))


def require_whole(folder: Path) -> None:
    """Every checkpoint verifies, what was called saved is there, and no file knows the environment."""
    store = CheckpointStore(folder / "out" / NAME)
    steps = [store.load(unit).manifest.info.step for unit in store.units()]
    assert max(steps, default=0) >= max(record["saved_step"] or 0 for record in records(folder))
    for path in [*(folder / "out").rglob("*"), *(folder / "launch").rglob("*")]:
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def require_continuation(folder: Path, unbroken: Path) -> None:
    assert finish(launch(folder, "Global.checkpoints=auto")) == 0, (folder / "console.txt").read_text()[-3000:]
    continued = folder / "out" / NAME
    for name in ("latest", "best_model"):
        assert same(weights(continued / name), weights(unbroken / name))
    moments = [CheckpointStore.load(path / "latest").payload.opt for path in (continued, unbroken)]
    rates = [moment.pop("LR_Scheduler") for moment in moments]
    assert rates[0] == rates[1]
    assert same(*moments)
    assert events(continued) == events(unbroken)

"""Two launchers that find each other as those of two machines do, and share no folder."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from test_ranks import launch, many
from tiny_run import NAME, ROOT, STAGES, same, weights, write_config

from ppcls.utils.checkpoint import CheckpointStore

LIMIT_S = 180
SCRIPT = ROOT / "tools" / "train.py"
CALM = ("-o", "Optimizer.lr.learning_rate=0.002", "-o", "DataLoader.Train.dataset.samples=32")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder each, in which the two stages of the tiny run were trained together."""
    folders = [tmp_path_factory.mktemp(f"machine{number}") for number in range(2)]
    master = f"127.0.0.1:{free_port()}"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PADDLE_", "FLAGS_"))}
    with ExitStack() as opened:
        started = []
        for number, folder in enumerate(folders):
            write_config(folder, STAGES)
            flags = ["--nnodes", "2", "--master", master, "--rank", str(number), "--nproc_per_node", "1"]
            command = [sys.executable, "-m", "paddle.distributed.launch", *flags, str(SCRIPT), "-c", "tiny.yaml", *CALM]
            console = opened.enter_context((folder / "console.txt").open("w"))
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=console, stderr=subprocess.STDOUT)
            opened.callback(process.kill)
            started.append(process)
        codes = [process.wait(LIMIT_S) for process in started]
    assert codes == [0, 0], "".join((folder / "console.txt").read_text()[-2000:] for folder in folders)
    return folders


def test_two_machines_compute_what_two_ranks_of_one_compute(machines: list[Path], tmp_path: Path) -> None:
    write_config(tmp_path, STAGES)
    done = launch(many(2), SCRIPT, "-c", "tiny.yaml", *CALM, cwd=tmp_path)
    assert done.code == 0, done.console[-3000:]
    for stage in ("first", "second"):
        one, other = (folder / "out" / NAME / stage for folder in (tmp_path, machines[0]))
        assert same(weights(one / "latest"), weights(other / "latest"))
        assert CheckpointStore.load(other / "latest").manifest.info.ranks == 2


def test_the_machine_of_rank_0_alone_keeps_the_run(machines: list[Path]) -> None:
    first, second = (folder / "out" / NAME / "second" for folder in machines)
    assert {"checkpoints", "status", "train.log", "metrics.jsonl"} <= {path.name for path in first.iterdir()}
    assert [path.name for path in second.iterdir()] == ["status"]
    assert [path.name for path in (first / "status").iterdir()] == ["rank-00000.json"]
    assert [path.name for path in (second / "status").iterdir()] == ["rank-00001.json"]


def test_each_machine_has_the_logs_of_its_ranks_in_its_output_folder(machines: list[Path]) -> None:
    for number, folder in enumerate(machines):
        assert [path.name for path in (folder / "out" / "launch").glob("*/*")] == [f"workerlog.{number}"]
        assert not (folder / "log").exists()

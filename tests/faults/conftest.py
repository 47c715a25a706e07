"""What the faults share: one zygote, and runs to begin from or to compare with, each made once."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault import Fault
from place import AVERAGED, Place, copy_start, options, write_start
from process import Processes, processes
from tiny_run import write_config

Runs = Callable[[Fault], Path]


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("zygote")) as started:
        yield started


@pytest.fixture(scope="session")
def may_mount() -> bool:
    """Whether a process may have mounts of its own here."""
    return shutil.which("unshare") is not None and not subprocess.run(["unshare", "-m", "true"], check=False).returncode


@pytest.fixture(scope="session")
def start_of(tmp_path_factory: pytest.TempPathFactory, zygote: Processes) -> Callable[[str], Path]:
    """The folder with which a place of that start begins."""
    made: dict[str, Path] = {}

    def of(start: str) -> Path:
        if start not in made:
            made[start] = tmp_path_factory.mktemp("starts") / start
            write_start(made[start], start, zygote)
        return made[start]

    return of


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory, zygote: Processes) -> Runs:
    """The folder of a run as a fault's, but without the fault."""
    made: dict[tuple[str, ...], Path] = {}

    def of(fault: Fault) -> Path:
        if fault.given not in made:
            folder = made[fault.given] = tmp_path_factory.mktemp("unbroken")
            config = write_config(folder, AVERAGED)
            ended = zygote.run(["train", "-c", str(config), *options(fault.given)], folder)
            assert ended.code == 0, ended.text[-3000:]
        return made[fault.given]

    return of


@pytest.fixture
def place_of(tmp_path: Path, zygote: Processes, start_of: Callable[[str], Path]) -> Iterator[Callable[[str], Place]]:
    """A place that begins so; it is left in order at the end of the test."""
    places: list[Place] = []

    def of(start: str) -> Place:
        folder = tmp_path / "place"
        copy_start(start_of(start), folder)
        places.append(Place(folder, zygote, start))
        return places[-1]

    yield of
    for place in places:
        for process in place.running:
            process.send(9)
        place.opened.close()

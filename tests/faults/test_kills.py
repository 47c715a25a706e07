"""Runs that are ended at random instants, again and again, and resumed each time, end as one that never was."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import numpy as np
import pytest
from fault import Before, require_invariants, require_status
from place import AVERAGED, Place, differences, options
from process import Ended, Process, Processes, members, saved_units, saves_file
from tiny_run import STAGES, write_config

_TWO_STAGES = AVERAGED + STAGES  # 12 updates, 4 evaluations
_EVERY = ("Global.save_every_steps=1", "Global.checkpoints=auto")
_MOST_WAIT_S = 0.2  # after the last save waited for: about two updates, or an evaluation and a save
_PIPES = ("DataLoader.Train.loader.backend=process", "DataLoader.Train.loader.use_shared_memory=False")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, zygote: Processes) -> Path:
    """The folder of the run that is not ended."""
    folder = tmp_path_factory.mktemp("whole")
    config = write_config(folder, _TWO_STAGES)
    ended = zygote.run(["train", "-c", str(config), *options(_EVERY)], folder)
    assert ended.code == 0, ended.text[-3000:]
    return folder


@pytest.fixture
def new_place(tmp_path: Path, zygote: Processes) -> Callable[[], Place]:
    """Another folder for another run, each time."""
    count = iter(range(1000))

    def make() -> Place:
        folder = tmp_path / f"run{next(count)}"
        folder.mkdir()
        write_config(folder, _TWO_STAGES)
        return Place(folder, zygote)

    return make


def begin(place: Place, *overrides: str) -> Process:
    """Start the run, or go on with it."""
    words = ["train", "-c", str(place.config), *options((*_EVERY, *overrides))]
    return place.processes.start(words, place.folder, [("bent.note_saves", str(saves_file(place.folder)))])


def wait_for_saves(process: Process, place: Place, count: int) -> bool:
    """Return once ``count`` more checkpoints are reported; False when the run ended before."""
    wanted = len(saved_units(place.folder)) + count
    while len(saved_units(place.folder)) < wanted:
        if not process.is_alive():
            return False
    return True


def lives(
    rng: np.random.Generator, new_place: Callable[[], Place], expected: Path, end: Callable[[Process], None]
) -> Iterator[tuple[Place, Ended]]:
    """Start runs and ``end`` them at random instants, for ever; what completes must equal ``expected``.

    The instants are spread by the saves of a life, not by a clock: start-up is as likely as the third update, however
    busy the machine is.
    """
    place = new_place()
    while True:
        before = Before.of(place)
        process = begin(place, f"DataLoader.Train.loader.num_workers={rng.integers(0, 4)}")
        if wait_for_saves(process, place, int(rng.integers(0, 5))):
            time.sleep(rng.uniform(0, _MOST_WAIT_S))
        end(process)
        ended = process.wait()
        require_invariants(place, ended, before)
        require_status(place, ended)
        if ended.code != 0:
            yield place, ended
            continue
        complete_as(place, expected)
        place = new_place()


def complete_as(place: Place, expected: Path) -> None:
    """The run goes on to its end, and that is the expected one."""
    ended = begin(place).wait()
    assert ended.code == 0, ended.text[-3000:]
    found = differences(place.folder / "out", expected / "out")
    assert not found, f"not as the unbroken run: {found}"


def test_a_run_killed_at_thirty_random_instants_ends_as_the_unbroken_one(
    new_place: Callable[[], Place], expected: Path
) -> None:
    reached = set()
    kills = lives(np.random.default_rng(20), new_place, expected, lambda process: process.send(SIGKILL))
    for _ in range(30):
        place, ended = next(kills)
        assert ended.code == -SIGKILL
        saved = saved_units(place.folder)
        reached.add((len(saved), saved[-1] if saved else ""))
    complete_as(place, expected)
    assert len(reached) > 6, f"the kills did not spread over the run: {sorted(reached)}"


@pytest.mark.slow
def test_a_run_stopped_at_ten_random_instants_ends_as_the_unbroken_one(
    new_place: Callable[[], Place], expected: Path
) -> None:
    stops = lives(np.random.default_rng(21), new_place, expected, lambda process: process.send(SIGTERM))
    for _ in range(10):
        place, ended = next(stops)
        # Before the run listens, the signal ends it as it ends any program: nothing was begun then.
        assert ended.code == 128 + SIGTERM or (ended.code == -SIGTERM and "[Train]" not in ended.out), ended.text
    complete_as(place, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_loader_process_killed_at_a_random_instant_is_told_and_nothing_hangs(
    seed: int, new_place: Callable[[], Place]
) -> None:
    rng = np.random.default_rng([22, seed])
    place = new_place()
    process = begin(place, *_PIPES, "Global.epochs=100", "DataLoader.Train.dataset.samples=200")
    assert wait_for_saves(process, place, 1 + int(rng.integers(0, 4)))
    time.sleep(rng.uniform(0, _MOST_WAIT_S))
    while not (workers := [pid for pid in members(process.pid) if pid != process.pid]):
        assert process.is_alive(), process.out()
    os.kill(int(rng.choice(workers)), SIGKILL)
    ended = process.wait(30)
    assert ended.code == 6, ended.text[-3000:]
    assert "was ended by SIGKILL" in ended.err
    require_invariants(place, ended, Before.of(place))

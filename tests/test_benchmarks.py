"""What the benchmarks share, and that each of them measures what it says."""

import json
import sys
import time
from pathlib import Path

import common
import inference
import pytest
import turns

from ppcls.arch.summary import summarize

SERVE = [sys.executable, "-c", "import time, turns; turns.serve(lambda: time.sleep(0.01), warm=1)"]


def test_ways_take_turns_and_the_warm_rounds_do_not_count() -> None:
    calls: list[str] = []

    def way(name: str) -> int:
        calls.append(name)
        return len(calls)

    found = common.in_turns({"a": lambda: way("a"), "b": lambda: way("b")}, repeat=2, warm=1)
    assert calls == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def test_seconds_tell_working_from_waiting() -> None:
    def work() -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass

    found = common.seconds({"work": work, "wait": lambda: time.sleep(0.05)}, repeat=3)
    assert [len(taken.wall) for taken in found.values()] == [3, 3]
    assert found["work"].cpu_median >= 0.05
    assert found["wait"].wall_median >= 0.05
    assert found["wait"].cpu_median < 0.02


def test_the_machine_and_the_numbers_are_written(tmp_path: Path) -> None:
    common.write_json(tmp_path / "a" / "numbers.json", {"machine": common.machine(), "x": 1.5})
    report = json.loads((tmp_path / "a" / "numbers.json").read_text())
    assert report["x"] == 1.5
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["paddle"].count(".") == 2
    assert f"cores {report['machine']['cores']}  " in common.show(report["machine"])


def test_processes_take_turns_and_tell_their_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    environment = turns.default_environment()
    assert "OMP_NUM_THREADS" not in environment
    environment["PYTHONPATH"] = str(Path(turns.__file__).parent)
    ways = {name: turns.Turn(SERVE, environment) for name in ("a", "b")}
    found = turns.take_turns(ways, rounds=2, calls=2)
    for turn in ways.values():
        turn.close()
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 4, "b": 4}
    assert min(found["a"] + found["b"]) >= 0.01


def test_a_way_that_ends_early_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        turns.Turn([sys.executable, "-c", "raise SystemExit(3)"], turns.default_environment())


@pytest.mark.parametrize(
    ("name", "macs"), [("textbook 1.0", 300_774_272), ("textbook 1.125", 376.1e6), ("Oct 1.125", 292_764_600)]
)
def test_networks_that_are_compared_have_the_multiply_adds_of_the_literature(name: str, macs: float) -> None:
    assert summarize(inference.build(name), (3, 224, 224)).macs == pytest.approx(macs, rel=5e-4)


def test_the_best_way_is_chosen_by_some_calls_and_told_by_the_others() -> None:
    fast, lucky = inference.Way("net", "paddle"), inference.Way("net", "openvino")
    assert inference.best({fast: [2.0, 3.0, 2.0, 3.0], lucky: [4.0, 1.0, 4.0, 1.0]}, "net") == 3.0

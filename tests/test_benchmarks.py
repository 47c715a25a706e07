"""What the benchmarks share, and that each of them measures what it says."""

import json
import time
from pathlib import Path

import common


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

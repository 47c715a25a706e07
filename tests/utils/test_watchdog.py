"""The watchdog: who is let be, who is ended, and what the stacks show."""

import subprocess
import sys
import time
from pathlib import Path

from ppcls.utils.watchdog import Mark, Pulse, Watchdog, stacks

ROOT = Path(__file__).resolve().parents[2]
HARD = """
import time
from ppcls.utils import watchdog
watchdog._HARD_S = 0.5
pulse = watchdog.Pulse()
for step in range(4):
    pulse.mark("x", step)
def stuck(mark, waited_s):
    time.sleep(100)
with watchdog.Watchdog(pulse, 0.3, looked=lambda: None, stalled=stuck):
    time.sleep(100)
"""


class Seen:
    """What a watchdog called."""

    def __init__(self) -> None:
        self.looks = 0
        self.stalls: list[tuple[Mark, float]] = []

    def looked(self) -> None:
        self.looks += 1

    def stalled(self, mark: Mark, waited_s: float) -> None:
        self.stalls.append((mark, waited_s))


def watch(limit_s: float, marks: int, every_s: float, wait_s: float) -> Seen:
    """Marks every ``every_s``, then silence for ``wait_s``."""
    seen, pulse = Seen(), Pulse()
    with Watchdog(pulse, limit_s, looked=seen.looked, stalled=seen.stalled, look_s=0.02):
        for number in range(marks):
            time.sleep(every_s)
            pulse.mark(f"mark {number}", number)
        time.sleep(wait_s)
    return seen


def test_marks_keep_it_quiet_and_silence_does_not() -> None:
    assert watch(0.4, 10, 0.1, 0.1).stalls == []
    mark, waited_s = watch(0.4, 10, 0.02, 0.8).stalls[0]
    assert (mark.doing, mark.step, waited_s > 0.4) == ("mark 9", 9, True)


def test_the_first_batch_and_the_first_update_have_five_times_as_long() -> None:
    assert watch(0.2, 2, 0.01, 0.7).stalls == []
    assert watch(0.2, 3, 0.01, 0.7).stalls != []


def test_without_a_limit_it_only_looks() -> None:
    seen = watch(0.0, 3, 0.01, 0.3)
    assert (seen.stalls, seen.looks > 3) == ([], True)


def test_a_mark_counts_the_marks_since_its_step() -> None:
    pulse = Pulse()
    for step in (0, 0, 1, 1, 1):
        pulse.mark("x", step)
    pulse.part()
    assert (pulse.last.step, pulse.last.place, pulse.last.number) == (1, 2, 6)


def test_stacks_name_every_thread_and_its_lines() -> None:
    text = stacks()
    assert "thread MainThread, the last call at the end:" in text
    assert "text = stacks()" in text


def test_a_process_that_python_cannot_end_is_ended_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", HARD], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "time.sleep" in done.stderr or "in stuck" in done.stderr

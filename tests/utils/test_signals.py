"""Requests to stop: heard at once, repeated, and with a deadline."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ppcls.utils.signals import DEADLINE_S, ONE_REQUEST_S, SIGNALS, StopRequests

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30
WAIT = """
import signal, sys, time
from ppcls.utils import signals
signals.DEADLINE_S, signals.ONE_REQUEST_S = {deadline}, {one}
with signals.StopRequests() as requests:
    {begin}
    requests.leaving = lambda code, reason: print('told', code, reason, flush=True)
    print('open', flush=True)
    {body}
"""
IDLE = "time.sleep(20)"


def process(
    body: str, deadline: float = DEADLINE_S, one: float = ONE_REQUEST_S, begin: str = "requests.begin()"
) -> subprocess.Popen[str]:
    """A process that waits for signals, once it does."""
    code = WAIT.format(body=body, deadline=deadline, one=one, begin=begin)
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "open\n"
    return started


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_ends_nothing(number: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with StopRequests() as requests:
        requests.begin()
        assert requests.received == 0
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGUSR1)
        assert requests.received == number
    for each, handler in zip(SIGNALS, before, strict=True):
        assert signal.getsignal(each) is not handler  # for five seconds, which no other test should wait for
        signal.signal(each, handler)


def test_handlers_are_put_back_when_nothing_happened() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with StopRequests():
        assert [signal.getsignal(each) for each in SIGNALS] != before
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert "ppcls-signals" not in [thread.name for thread in threading.enumerate()]


def test_a_signal_is_heard_while_the_main_thread_is_inside_c() -> None:
    asleep = "import ctypes; ctypes.CDLL(None).sleep(20)"  # does not come back to Python, as an operation of paddle
    started = process(f"{asleep}; {IDLE}", deadline=0.5)
    started.send_signal(signal.SIGTERM)
    out, err = started.communicate(timeout=LIMIT_S)
    reason = "stopped by SIGTERM, no end within 0.5 s: not saved; the checkpoints before are whole, --resume goes on"
    assert (started.returncode, out, err) == (143, f"told 143 {reason}\n", f"error[stopped]: {reason}\n")


def test_repeats_within_two_seconds_are_one_request_and_a_later_one_leaves_at_once() -> None:
    started = process(IDLE, one=0.5)
    since = time.monotonic()
    for _ in range(3):
        started.send_signal(signal.SIGUSR1)
        time.sleep(0.05)
    assert started.poll() is None
    time.sleep(0.6)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=LIMIT_S)
    assert (started.returncode, time.monotonic() - since < 10) == (128 + signal.SIGUSR1, True)
    assert "stopped by SIGUSR1, told again by SIGINT: not saved" in err


def test_repeats_after_the_end_do_not_change_the_exit_code() -> None:
    started = process("time.sleep(0.5)\nprint('closed', flush=True)\ntime.sleep(0.5)\nsys.exit(143)")
    started.send_signal(signal.SIGTERM)
    assert started.stdout.readline() == "closed\n"
    for _ in range(20):
        started.send_signal(signal.SIGTERM)
        time.sleep(0.04)
    assert (started.wait(LIMIT_S), started.communicate()[1]) == (143, "")


def test_other_signals_are_not_requests() -> None:
    with StopRequests() as requests:
        previous = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        try:
            subprocess.run([sys.executable, "-c", ""], check=True)
            os.kill(os.getpid(), signal.SIGCHLD)
            time.sleep(0.1)
        finally:
            signal.signal(signal.SIGCHLD, previous)
        assert requests.received == 0


def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    code = "import time; from ppcls.utils.signals import leave; leave(7, 'step-stall', 'x', lambda: time.sleep(60))"
    since = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "error[step-stall]: x\n")
    assert time.monotonic() - since < 10


def test_a_signal_before_anything_has_begun_leaves_at_once() -> None:
    started = process(IDLE, begin="pass")
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate(timeout=LIMIT_S)
    assert started.returncode == 143
    assert "stopped by SIGTERM, before the first update: not saved" in err


def test_the_limits_are_those_that_launchers_leave() -> None:
    assert (ONE_REQUEST_S, DEADLINE_S) == (2.0, 25.0)

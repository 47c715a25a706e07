"""Inputs nobody would write: each a function of a seed and a number, so that one that fails can be had again alone.

``PPCLS_FUZZ_SECONDS`` (2) is how long each test goes on, ``PPCLS_FUZZ_SEED`` (0) what it draws from, and
``PPCLS_FUZZ_CASE`` the one number to run.
"""

import os
import struct
import time
from collections.abc import Callable, Sequence

import numpy as np

from ppcls.utils.errors import ConfigError, PpclsError

SECONDS = float(os.environ.get("PPCLS_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("PPCLS_FUZZ_SEED", "0"))
CASE = os.environ.get("PPCLS_FUZZ_CASE")
SLOW_S = 10.0  # no input of some kilobytes takes that long, however busy the machine

Rng = np.random.Generator
_NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)


def fuzz(check: Callable[[Rng], None]) -> int:
    """Call ``check`` with one generator after the other until the time is up; how many there were.

    A failure says how to have the same input again.
    """
    deadline = time.monotonic() + SECONDS
    number = 0 if CASE is None else int(CASE)
    count = 0
    while time.monotonic() < deadline or not count:
        started = time.monotonic()
        passed = False
        try:
            check(np.random.default_rng([SEED, number]))
            passed = time.monotonic() - started < SLOW_S
            assert passed, "a case took too long"
        finally:
            if not passed:
                print(f"to run this case alone: PPCLS_FUZZ_SEED={SEED} PPCLS_FUZZ_CASE={number}")
        number, count = number + 1, count + 1
        if CASE is not None:
            break
    return count


def refused(read: Callable[[], None], error: type[PpclsError], slugs: Sequence[str]) -> bool:
    """Whether ``read`` refuses: with this kind of error, and in one line that any terminal and log can show."""
    try:
        read()
    except error as caught:
        problem = caught
    else:
        return False
    assert type(problem) is error
    assert problem.slug in slugs
    lines = str(problem).split("\n")
    assert all(line.isprintable() for line in lines), lines
    assert all(len(line) < (10_000 if error is ConfigError else 2_000) for line in lines)
    assert len(lines) == 1 or error is ConfigError
    return True


def pick(rng: Rng, items: Sequence) -> object:
    """One of them."""
    return items[int(rng.integers(len(items)))]


def mutated(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """``data`` after one to four damages."""
    for _ in range(int(rng.integers(1, 5))):
        data = _DAMAGES[int(rng.integers(len(_DAMAGES)))](data, others, rng)
    return data


def _place(data: bytes, rng: Rng) -> int:
    """Anywhere, but headers more often than their share."""
    return int(rng.integers(min(len(data), 64) + 1 if rng.random() < 0.3 else len(data) + 1))


def _flip(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    if not data:
        return data
    place = min(_place(data, rng), len(data) - 1)
    return data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :]


def _overwrite(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    place, new = _place(data, rng), rng.bytes(int(rng.integers(1, 9)))
    return data[:place] + new + data[place + len(new) :]


def _number(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    size, order = pick(rng, "BHIQ"), pick(rng, "<>")
    length = struct.calcsize(size)
    value = _NUMBERS[int(rng.integers(len(_NUMBERS)))] % 2 ** (8 * length)
    place = _place(data, rng)
    return data[:place] + struct.pack(f"{order}{size}", value) + data[place + length :]


def _insert(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.bytes(int(rng.integers(1, 20))) + data[place:]


def _delete(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place + int(rng.integers(1, 30)) :]


def _cut(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    return data[: _place(data, rng)]


def _repeat(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    start = _place(data, rng)
    part = data[start : start + int(rng.integers(1, 60))]
    return data[:start] + part * int(rng.integers(2, 30)) + data[start:]


def _splice(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    other = others[int(rng.integers(len(others)))]
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _zeros(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    place, length = _place(data, rng), int(rng.integers(1, 200))
    return data[:place] + bytes(len(data[place : place + length])) + data[place + length :]


_DAMAGES = (_flip, _flip, _overwrite, _number, _number, _insert, _delete, _cut, _repeat, _splice, _zeros)

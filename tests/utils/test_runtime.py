"""The environment that is set before paddle is imported."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppcls.utils.runtime import compute_threads, is_amd_with_avx2, local_ranks, prepare, usable_cores

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """The environment of a launcher that a user started without saying anything about threads."""
    path = tmp_path / "environ"
    path.write_bytes(b"HOME=/root\0LANG=C\0")
    return str(path)


def test_threads_are_the_cores_over_the_ranks_of_this_machine() -> None:
    environ = {"PADDLE_LOCAL_SIZE": "2"}
    prepare(environ)
    assert environ["OMP_NUM_THREADS"] == str(max(1, usable_cores() // 2))
    many = {"PADDLE_LOCAL_SIZE": "1000"}
    prepare(many)
    assert many["OMP_NUM_THREADS"] == "1"


def test_without_a_launcher_one_rank_has_all_cores() -> None:
    environ: dict[str, str] = {}
    assert local_ranks(environ) == 1
    assert f"OMP_NUM_THREADS={usable_cores()}" in prepare(environ)


def test_the_one_thread_that_the_launcher_hands_on_is_not_the_users_wish(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppcls.utils.runtime.usable_cores", lambda: 6)
    environ = {"PADDLE_LOCAL_SIZE": "2", "OMP_NUM_THREADS": "1"}
    prepare(environ, plain)
    assert environ["OMP_NUM_THREADS"] == "3"


def test_what_the_user_gave_the_launcher_stands(tmp_path: Path, plain: str) -> None:
    given = tmp_path / "given"
    given.write_bytes(b"HOME=/root\0OMP_NUM_THREADS=1\0")
    launched = {"PADDLE_LOCAL_SIZE": "1", "OMP_NUM_THREADS": "1"}
    for environ, parent in (
        (launched, str(given)),
        (launched, str(tmp_path / "hidden")),
        ({"OMP_NUM_THREADS": "1"}, plain),
    ):
        prepare(environ, parent)
        assert environ["OMP_NUM_THREADS"] == "1"


def test_the_switch_for_mkl_is_for_amd_processors_with_avx2_alone(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for text, expected in (
        ("vendor_id : AuthenticAMD\nflags : sse2 avx2 fma\n", True),
        ("vendor_id : AuthenticAMD\nflags : sse2 avx\n", False),
        ("vendor_id : GenuineIntel\nflags : sse2 avx2\n", False),
    ):
        cpuinfo.write_text(text)
        assert is_amd_with_avx2(str(cpuinfo)) is expected
    assert not is_amd_with_avx2(str(tmp_path / "none"))


def test_what_is_set_already_is_left_alone_and_said() -> None:
    given = {"OMP_NUM_THREADS": "3", "MKL_DEBUG_CPU_TYPE": "4", "MALLOC_TRIM_THRESHOLD_": "131072"}
    environ = dict(given)
    assert prepare(environ) == "environment: as set by the user"
    assert environ == given


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", None), ("100000 100000", 1), ("10000 100000", 1), ("99999900000 100000", None), (None, None)],
)
def test_cores_are_no_more_than_the_container_has_the_time_of(
    tmp_path: Path, quota: str | None, cores: int | None
) -> None:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(f"{quota}\n")
    assert usable_cores(str(file)) == (cores or len(os.sched_getaffinity(0)))


def test_engines_compute_with_the_threads_that_the_environment_says() -> None:
    assert [compute_threads({"OMP_NUM_THREADS": text}) for text in ("3", "2,1", " 4 ")] == [3, 2, 4]
    assert {compute_threads(given) for given in ({}, {"OMP_NUM_THREADS": "0"}, {"OMP_NUM_THREADS": "x"})} == {
        usable_cores()
    }


FAULTS = """
import resource, sys
from ppcls.utils.runtime import prepare
prepare({name: "1" for name in sys.argv[1:]})
for _ in range(21):
    blocks = [bytearray(8 << 20) for _ in range(5)]
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt if _ == 0 else first
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no mallopt")
@pytest.mark.parametrize(("user_set", "fetches"), [((), False), (("MALLOC_TRIM_THRESHOLD_",), True)])
def test_freed_memory_is_not_fetched_again_page_by_page(user_set: tuple[str, ...], fetches: bool) -> None:
    words = [sys.executable, "-c", FAULTS, *user_set]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    pages = 20 * 5 * (8 << 20) // 4096  # of all blocks after the first five
    assert (int(done.stdout) > pages / 4) == fetches, done.stdout

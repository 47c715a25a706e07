"""Folders that are replaced: all of the old or all of the new, whenever one looks and whatever happens."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from ppcls.utils import folders
from ppcls.utils.errors import PpclsError
from ppcls.utils.folders import filled_aside


def _is_ours(name: str) -> bool:
    return name.startswith("x.")


def _fill(folder: Path, letter: str) -> None:
    with filled_aside(folder, _is_ours) as aside:
        for number in range(3):
            (aside / f"x.{letter}{number}").write_text(letter * 1000)


def _letters(folder: Path) -> str:
    """The letter of every file of ours, once it is clear that none is cut."""
    files = sorted(path for path in folder.iterdir() if _is_ours(path.name))
    assert all(path.read_text() == path.name[2] * 1000 for path in files)
    return "".join(path.name[2] for path in files)


@pytest.fixture(params=["exchange", "two renames"])
def swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Also as on a file system that cannot exchange two names."""
    if request.param == "two renames":

        def refuse(one: Path, other: Path) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(folders, "_exchange", refuse)
    return request.param


def test_a_folder_appears_and_is_replaced_with_no_trace_of_the_old(swap: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "program"
    _fill(folder, "a")
    assert _letters(folder) == "aaa"
    _fill(folder, "b")
    assert _letters(folder) == "bbb"
    assert [path.name for path in folder.parent.iterdir()] == ["program"]


def test_other_files_in_it_stay(swap: str, tmp_path: Path) -> None:
    _fill(tmp_path / "program", "a")
    (tmp_path / "program" / "notes.txt").write_text("mine")
    _fill(tmp_path / "program", "b")
    assert (tmp_path / "program" / "notes.txt").read_text() == "mine"
    assert _letters(tmp_path / "program") == "bbb"


def test_a_block_that_raises_leaves_the_old(swap: str, tmp_path: Path) -> None:
    _fill(tmp_path / "program", "a")
    with pytest.raises(FileNotFoundError), filled_aside(tmp_path / "program", _is_ours) as aside:
        (aside / "x.b0" / "deeper").write_text("b")
    assert _letters(tmp_path / "program") == "aaa"
    assert [path.name for path in tmp_path.iterdir()] == ["program"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    _fill(tmp_path / "real", "a")
    (tmp_path / "link").symlink_to("real")
    _fill(tmp_path / "link", "b")
    assert (tmp_path / "link").is_symlink()
    assert _letters(tmp_path / "real") == "bbb"


def test_a_folder_with_folders_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "program" / "checkpoints").mkdir(parents=True)
    with pytest.raises(PpclsError, match=r"program also holds checkpoints, no plain file; choose a folder of its own"):
        _fill(tmp_path / "program", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["program"]


def test_the_working_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PpclsError, match="holds the working directory") as caught:
        _fill(Path(), "a")
    assert (caught.value.code, caught.value.slug) == (1, "output")


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    (tmp_path / ".tmp-program-1").mkdir()
    with filled_aside(tmp_path / "program", _is_ours) as aside:
        _child(_fill, tmp_path / "program", "b")
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == [aside]
        (aside / "x.a0").write_text("a" * 1000)
    assert _letters(tmp_path / "program") == "a"


def _child(function: object, *arguments: object) -> None:
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def test_killed_at_any_moment_it_holds_the_old_or_the_new(swap: str, tmp_path: Path) -> None:
    folder = tmp_path / "program"
    _fill(folder, "a")

    def work() -> None:
        while True:
            _fill(folder, "b")
            _fill(folder, "a")

    seen = set()
    for delay in np.random.default_rng(3).uniform(0.002, 0.02, 25):
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        time.sleep(delay)
        process.kill()
        process.join()
        if folder.exists() or swap == "exchange":  # between two renames, the old lies whole beside
            seen.add(_letters(folder))
        else:
            seen.add(_letters(tmp_path / ".old-program"))
    assert seen <= {"aaa", "bbb"}
    _fill(folder, "c")
    assert _letters(folder) == "ccc"
    assert os.listdir(tmp_path) == ["program"]

"""Finding and reading the pictures that ``infer`` is asked about."""

import os
from pathlib import Path

import numpy as np
import pytest

from ppcls.data.preprocess import Pipeline
from ppcls.engine.predict import find_images, predict
from ppcls.utils.files import read_picture


class _Bytes(Pipeline):
    """Takes a file's length for its picture."""

    def __init__(self) -> None:
        """Nothing is decoded."""

    def full(self, data: bytes, rng: np.random.Generator) -> np.ndarray:
        """float32 ``[1, 1, 1]``"""
        return np.full([1, 1, 1], len(data), np.float32)


def _unreadable(image: Path | str) -> str:
    """What is said of ``image``, while the picture beside it is answered."""
    good = Path(image).with_name("good.png")
    good.write_bytes(b"12345")
    asked = [str(image), str(good)]
    answers = [{"file_name": str(good)}]
    (batch,) = predict(asked, 2, _Bytes(), lambda images: images, lambda scores, names: answers[: len(names)])
    assert batch.answers == answers
    (reason,) = batch.unreadable
    return reason.removeprefix(f"{image}: ")


def test_a_pipe_among_the_pictures_is_left_out_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert find_images(str(tmp_path / "a.png"), None) == [str(tmp_path / "a.png")]
    assert _unreadable(tmp_path / "a.png") == "not a regular file"


def test_an_empty_an_absent_and_a_huge_picture_and_a_folder_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(1 << 40)  # a hole: takes no room
    (tmp_path / "folder").mkdir()
    assert _unreadable(tmp_path / "empty.png") == "the file is empty"
    assert _unreadable(tmp_path / "absent.png") == "No such file or directory"
    assert _unreadable(tmp_path / "huge.png") == "the file has 1099511627776 bytes; at most 1073741824 are read"
    assert _unreadable(tmp_path / "folder") == "Is a directory"
    assert _unreadable(f"{tmp_path}/null\0.png") == "embedded null byte"


def test_a_picture_of_just_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_picture(os.fsencode(tmp_path / "a"), 5) == b"12345"
    with pytest.raises(OSError, match="the file has 5 bytes; at most 4 are read"):
        read_picture(str(tmp_path / "a"), 4)


def test_a_folder_taken_for_a_picture_leaves_no_open_file(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(IsADirectoryError):
        read_picture(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before


def test_a_list_of_pictures_is_split_at_line_feeds_only(tmp_path: Path) -> None:
    names = ["a\u2028b.png", "c\u0085d.png", "e\x0cf.png", "g\x1ch.png", "\u3000i.png", "j k.png"]
    (tmp_path / "unix.txt").write_bytes("\n".join(["", *names, " "]).encode())
    (tmp_path / "windows.txt").write_bytes("\ufeff{}\r\n\r\n".format("\r\n".join(names)).encode())
    assert find_images(None, str(tmp_path / "unix.txt")) == names
    assert find_images(None, str(tmp_path / "windows.txt")) == names

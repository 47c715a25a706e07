"""Records of ranks: what is written, who is gone, who is to blame."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from ppcls.utils.status import Record, StatusFolder, culprit

LIFE = "1f"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = StatusFolder(tmp_path / "status")
    record = Record(LIFE, 3, step=17, saved_step=10, doing="update 18", message="größer")
    folder.write(record)
    assert folder.read(LIFE) == [record]
    assert [path.name for path in folder.folder.iterdir()] == ["rank-00003.json"]
    content = json.loads(folder.path(3).read_text(encoding="utf-8"))
    assert (content["state"], content["code"], content["pid"]) == ("running", 0, os.getpid())


def test_records_of_an_earlier_life_and_broken_ones_are_not_read(tmp_path: Path) -> None:
    folder = StatusFolder(tmp_path)
    folder.write(Record("another", 0, state="failed"))
    folder.write(Record(LIFE, 1))
    for rank, text in ((2, "{"), (3, '{"state": "running"}'), (4, "[]"), (6, "{}"), (5, '{"state": "asleep"}')):
        folder.path(rank).write_text(text)
    assert [record.rank for record in folder.read(LIFE)] == [1]


def test_a_new_life_forgets_the_records_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    folder = StatusFolder(tmp_path)
    names = set()
    for _ in range(2):
        folder.write(Record(LIFE, 0))
        folder.write_stacks(0, "stacks")
        names.add(folder.begin_life())
        assert list(tmp_path.iterdir()) == []
    assert len(names) == 2


def test_a_folder_that_cannot_be_written_costs_the_record_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("a file")
    folder = StatusFolder(tmp_path / "status")
    folder.write(Record(LIFE, 0))
    assert folder.read(LIFE) == []


def test_who_ended_without_a_word_is_gone_and_who_said_so_or_lives_elsewhere_is_not() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    zombie = Record(LIFE, 1, pid=ended.pid)
    assert zombie.is_gone  # a launcher may take its time to ask how
    ended.wait()
    assert zombie.is_gone
    assert not Record(LIFE, 1).is_gone
    assert not dataclasses.replace(zombie, state="complete").is_gone
    assert not dataclasses.replace(zombie, host="elsewhere").is_gone
    assert not dataclasses.replace(zombie, namespace="pid:[1]").is_gone


def test_who_failed_is_to_blame_before_who_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running, gone, failed = Record(LIFE, 0), Record(LIFE, 1, pid=ended.pid), Record(LIFE, 2, state="failed", code=3)
    assert culprit([running, gone, failed]) == failed
    assert culprit([running, gone]) == gone
    assert culprit([running, Record(LIFE, 3, state="stopped")]) is None

"""Unreadable pictures on several ranks: one account of them all."""

import json
from pathlib import Path

from bad_runs import listed, make_pictures
from test_ranks import launch, many
from tiny_run import NAME, ROOT, train, write_config

TRAIN_SET = "DataLoader.Train.dataset"


def test_what_any_rank_cannot_read_is_told_once_and_counted_for_all(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures")
    words = (
        *("-c", str(write_config(tmp_path)), "-o", listed(tmp_path, "Train", "cut.jpg 1\npage.jpg 2\n")),
        *("-o", f"{TRAIN_SET}.max_bad_ratio=0.5", "-o", "DataLoader.Train.sampler.batch_size=2"),
        *("-o", "DataLoader.Train.sampler.shuffle=False", "-o", "Global.eval_interval=0"),
    )
    done = launch(many(2), ROOT / "tools" / "train.py", *words, cwd=tmp_path)
    assert done.code == 0, done.console[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "out" / NAME / "bad_samples.jsonl").read_text().splitlines()]
    assert sorted(row["where"] for row in rows) == ["list.txt:10 page.jpg", "list.txt:9 cut.jpg"]
    assert done.console.count("cannot read list.txt:9 cut.jpg") == 1
    assert done.console.count("cannot read list.txt:10 page.jpg") == 1
    assert "2 of 10 listed pictures could not be read" in done.console


def test_an_evaluation_on_two_ranks_ends_with_the_code_of_the_one_that_failed(tmp_path: Path) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    make_pictures(tmp_path / "pictures")
    words = (
        *("-c", str(write_config(tmp_path)), "-o", listed(tmp_path, "Eval", "cut.jpg 1\n0.png 0\n")),
        *("-o", "DataLoader.Eval.sampler.batch_size=1", "-o", f"Global.pretrained_model={folder / 'latest'}"),
    )
    done = launch(many(2), ROOT / "tools" / "eval.py", *words, cwd=tmp_path)
    assert done.code == 3, done.console[-3000:]
    records = [json.loads((folder / "eval_status" / f"rank-0000{rank}.json").read_text()) for rank in range(2)]
    assert [record["code"] for record in records] == [3, 3]
    assert sum("rank 0: list.txt:9 cut.jpg" in record["message"] for record in records) == 1

"""``ppcls prepare`` as it is typed."""

import argparse
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from ppcls.cli.data import add_commands
from ppcls.data.prepare.digits import NAMES, picture, read_pack
from ppcls.utils.errors import ConfigError

DEMO = Path(__file__).parents[2] / "demo"


def _ppcls(*argv):
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    args = parser.parse_args([str(word) for word in argv])
    return args.run(args)


def test_digits_go_to_the_folder_the_quick_start_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert _ppcls("prepare", "digits") == 0
    assert _ppcls("prepare", "digits") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("dataset/digits: 1437 pictures for training, 360 for evaluation, 10 classes; 1800 files")
    assert second.endswith("10 classes; complete already")
    assert (tmp_path / "dataset/digits/train_list.txt").is_file()


def test_folder_prints_counts_and_the_five_overrides_a_shell_takes(tmp_path, capsys):
    root, lists = tmp_path / "it's: my #1", tmp_path / "lists"
    for name, count in (("owl", 5), ("cat", 10)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number}.jpg").write_bytes(b"")
    assert _ppcls("prepare", "folder", root, "--out", lists) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == [
        "0 cat: 8 for training, 2 for evaluation",
        "1 owl: 4 for training, 1 for evaluation",
        f"2 classes, 12 pictures for training, 3 for evaluation; label map: {lists}/label_list.txt",
    ]
    words = shlex.split(out.split("command:\n")[1].replace("\\\n", " "))
    values = {key: yaml.safe_load(value) for key, value in (word.split("=", 1) for word in words[1::2])}
    assert words[0::2] == ["-o"] * 5
    assert values == {
        "Arch.class_num": 2,
        "DataLoader.Train.dataset.image_root": str(root),
        "DataLoader.Train.dataset.cls_label_path": f"{lists}/train_list.txt",
        "DataLoader.Eval.dataset.image_root": str(root),
        "DataLoader.Eval.dataset.cls_label_path": f"{lists}/val_list.txt",
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "nothing to prepare; give --train, --val or both"),
        (["--val", "v.tar"], "needs the labels of its pictures: --devkit or --val-labels, one of them"),
        (["--val", "v.tar", "--devkit", "d", "--val-labels", "l"], "--devkit or --val-labels, one of them"),
        (["--train", "none.tar"], r"no archive at none\.tar"),
        (["--val", "v.tar", "--devkit", "none.tar.gz"], r"no archive at none\.tar\.gz"),
        (["--val", "v.tar", "--val-labels", "none.txt"], r"no list of validation labels at none\.txt"),
    ],
)
def test_imagenet_says_which_files_it_needs(tmp_path, argv, message):
    with pytest.raises(ConfigError, match=message):
        _ppcls("prepare", "imagenet", "--out", tmp_path / "out", *argv)


def test_pictures_in_demo_are_held_out_digits_and_a_cat():
    digits = read_pack()
    for label, name in enumerate(NAMES):
        image = cv2.imread(str(DEMO / "digits" / f"{name}.png"))
        held_out = digits.images[digits.held_out & (digits.labels == label)]
        assert any(np.array_equal(image, picture(digit)) for digit in held_out), name
    assert cv2.imread(str(DEMO / "cat.jpg")).shape == (300, 451, 3)
    assert all(word in (DEMO / "README.md").read_text("utf-8") for word in ("CC BY 4.0", "Alpaydin", "CC0"))


@pytest.mark.parametrize(("value", "word"), [(2, "2"), ("2024", '"2024"'), ("yes/no", "yes/no"), ("null", '"null"')])
def test_a_text_that_looks_like_another_value_is_quoted(value: str | int, word: str) -> None:
    from ppcls.cli.data import _yaml_word

    assert _yaml_word(value) == word

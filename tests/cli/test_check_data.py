"""``ppcls check-data``."""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppcls.cli.check_data import add_check_data_arguments, check_data
from ppcls.data.prepare.audit import ListAudit, twins
from ppcls.data.prepare.check import Finding, ImageNetDataset, PictureList
from ppcls.utils.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pictures(tmp_path):
    """Three good pictures of 5 x 4, and a list of them."""
    root = tmp_path / "my pictures"
    (root / "é").mkdir(parents=True)
    names = ["a.jpg", "é/b c.png", "d.jpg"]
    for number, name in enumerate(names):
        image = np.full((5, 4, 3), 40 * number, np.uint8)
        (root / name).write_bytes(cv2.imencode(name[-4:], image)[1].tobytes())
    (tmp_path / "list.txt").write_text("".join(f"{name} {label}\n" for label, name in enumerate(names)), "utf-8")
    return root


def _check(*argv):
    parser = argparse.ArgumentParser()
    add_check_data_arguments(parser)
    return check_data(parser.parse_args([str(word) for word in argv]))


def _spoil(root):
    (root / "a.jpg").unlink()
    path = root / "d.jpg"
    path.write_bytes(path.read_bytes()[:-40])


def test_good_list_is_said_to_be_good(pictures, capsys):
    assert _check(pictures.parent / "list.txt", "--image-root", pictures) == 0
    file = pictures.parent / "list.txt"
    classes = f"{file}: 3 pictures in 3 classes, 1 to 1 each\n"
    assert capsys.readouterr().out == f"{classes}3 listed pictures can be read\n"


def test_all_unreadable_pictures_are_named_with_list_line_and_reason(pictures, capsys):
    _spoil(pictures)
    with pytest.raises(DataError, match=r"^2 of 3 listed pictures cannot be read; they are named above$") as caught:
        _check(pictures.parent / "list.txt", "--image-root", pictures, "--workers", 3)
    assert (caught.value.code, caught.value.slug) == (3, "bad-image")
    first, second, classes = capsys.readouterr().out.splitlines()
    assert classes.endswith("3 pictures in 3 classes, 1 to 1 each")
    assert first == "list.txt:1 a.jpg: No such file or directory"
    assert second.startswith("list.txt:3 d.jpg: ")
    assert "no end marker, it is cut off" in second


def test_findings_keep_the_order_of_the_list_beyond_one_window(tmp_path, capsys):
    names = [f"{k % 7}/{k}.jpg" for k in range(2500)]
    (tmp_path / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    with pytest.raises(DataError, match="2500 of 2500 listed"):
        _check(tmp_path / "list.txt", "--image-root", tmp_path, "--workers", 4)
    told = capsys.readouterr().out.splitlines()[:-1]
    assert [line.split()[1] for line in told] == [f"{name}:" for name in names]


def test_checksums_are_those_of_sha256sum(pictures):
    sums = pictures.parent / "sums.txt"
    assert _check(pictures.parent / "list.txt", "--image-root", pictures, "--sha256", sums) == 0
    digest = hashlib.sha256((pictures / "a.jpg").read_bytes()).hexdigest()
    assert sums.read_text("utf-8").splitlines()[0] == f"{digest}  a.jpg"
    done = subprocess.run(["sha256sum", "-c", sums], cwd=pictures, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_comparison_finds_what_changed_what_is_new_and_what_is_gone(pictures, capsys):
    base, sums = [pictures.parent / "list.txt", "--image-root", pictures], pictures.parent / "sums.txt"
    _check(*base, "--sha256", sums)
    assert _check(*base, "--compare", sums) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"3 listed pictures can be read; 0 differ from {sums}"
    (pictures / "a.jpg").write_bytes((pictures / "d.jpg").read_bytes())
    sums.write_text(sums.read_text("utf-8").replace("  d.jpg", "  old.jpg"), "utf-8")
    with pytest.raises(DataError, match=r"^0 of 3 listed pictures cannot be read; 3 differ from .*sums\.txt; they are"):
        _check(*base, "--compare", sums)
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "a.jpg: changed",
        "d.jpg: not recorded",
        "old.jpg: recorded, but not listed or not there",
    ]


def test_file_that_is_no_checksum_list_is_named_with_its_line(pictures):
    list_file = pictures.parent / "list.txt"
    with pytest.raises(DataError, match=r"list\.txt:1: expected '<sha256>  <path>', as --sha256 writes it"):
        _check(list_file, "--image-root", pictures, "--compare", list_file)
    with pytest.raises(ConfigError, match=r"no sha256 list at .*none; write one with --sha256"):
        _check(list_file, "--image-root", pictures, "--compare", pictures / "none")


def test_bad_lines_are_told_with_the_bad_pictures_not_instead_of_them(pictures, capsys):
    file = pictures.parent / "list.txt"
    file.write_text("a.jpg 0\na.jpg\nnone.jpg 1\na.jpg 7\n../a.jpg 1\n")
    given = (file, "--image-root", pictures, "--class-num", 3)
    expected = "^1 of 2 listed pictures cannot be read; 3 bad lines; they are named above$"
    with pytest.raises(DataError, match=expected) as caught:
        _check(*given)
    assert caught.value.slug == "bad-image"
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:2 has one column: 'a.jpg'",
        f"{file}:4 label 7 is not in [0, 3)",
        f"{file}:5 path '../a.jpg' climbs out of image_root; allow_outside_root: True permits it",
        "list.txt:3 none.jpg: No such file or directory",
        f"{file}: 2 pictures in 2 of 3 classes, 1 to 1 each; none of class 2",
    ]


def test_bad_lines_alone_are_an_error_of_the_list(pictures):
    file = pictures.parent / "list.txt"
    file.write_text("a.jpg 0\na.jpg\n")
    with pytest.raises(DataError, match="0 of 1 listed pictures cannot be read; 1 bad line; they are") as caught:
        _check(file, "--image-root", pictures)
    assert caught.value.slug == "data-list"


def test_very_many_bad_lines_are_counted_and_the_first_thousand_told(pictures, capsys):
    file = pictures.parent / "list.txt"
    file.write_text("a.jpg x\n" * 1500)
    with pytest.raises(DataError, match=rf"1500 bad lines; {re.escape(str(file))} lists no picture; they"):
        _check(file, "--image-root", pictures)
    told = capsys.readouterr().out.splitlines()
    assert told[999:] == [
        f"{file}:1000 label 'x' is no integer",
        f"{file}: and 500 more bad lines",
        f"{file}: lists no picture",
    ]


def test_a_label_limit_is_for_a_list_by_itself():
    with pytest.raises(ConfigError, match=r"--class-num is for a list by itself; a config says it as Arch\.class_num"):
        _check("-c", "train.yaml", "--class-num", 3)
    with pytest.raises(ConfigError, match="--class-num is at least 1; got 0"):
        _check("list.txt", "--class-num", 0)


@pytest.mark.parametrize("option", ["--json", "--sha256"])
def test_a_folder_to_write_to_is_refused_before_the_work(option, tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name a file to write") as caught:
        _check("list.txt", option, tmp_path)
    assert caught.value.slug == "usage"


@pytest.mark.parametrize("argv", [[], ["list.txt", "-c", "train.yaml"]])
def test_list_or_config_is_needed_but_not_both(argv):
    with pytest.raises(ConfigError, match=r"either a list file, with --image-root, or -c with a config") as caught:
        _check(*argv)
    assert caught.value.slug == "usage"


CONFIG = """
Global: {{epochs: 2}}
Arch: {{name: OctMobileNetV2_x1_125, class_num: 3}}
Loss: {{Train: [{{CELoss: {{weight: 1.0}}}}], Eval: [{{CELoss: {{weight: 1.0}}}}]}}
Optimizer: {{name: Momentum, momentum: 0.9, lr: {{name: Cosine, learning_rate: 0.1}}}}
DataLoader:
  Train:
    dataset:
      name: ImageNetDataset
      image_root: "{root}"
      cls_label_path: "{folder}/train.txt"
      transform_ops: &ops [{{DecodeImage: {{to_rgb: True}}}}, {{ResizeImage: {{size: 8}}}}, {{NormalizeImage: {{}}}}]
    sampler: {{name: DistributedBatchSampler, batch_size: 2, drop_last: False, shuffle: True}}
    loader: {{num_workers: 0}}
  Eval:
    dataset: {{name: ImageNetDataset, image_root: "{root}", cls_label_path: "{folder}/val.txt", transform_ops: *ops}}
    sampler: {{name: DistributedBatchSampler, batch_size: 2}}
Metric: {{Eval: [{{TopkAcc: {{topk: [1]}}}}]}}
"""


@pytest.fixture
def config(pictures):
    """A config that trains on ``a.jpg`` and ``d.jpg`` and evaluates on the third picture."""
    (pictures.parent / "train.txt").write_text("a.jpg 0\nd.jpg 2\n")
    (pictures.parent / "val.txt").write_text("é/b c.png 1\n", "utf-8")
    path = pictures.parent / "train.yaml"
    path.write_text(CONFIG.format(root=pictures, folder=pictures.parent), "utf-8")
    return path


def test_lists_of_a_config_are_checked_with_its_limits_and_their_classes_told(config, capsys):
    assert _check("-c", config) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{config.parent}/train.txt: 2 pictures in 2 of 3 classes, 1 to 1 each; none of class 1",
        f"{config.parent}/val.txt: 1 pictures in 1 of 3 classes, 1 to 1 each; none of class 0, 2",
        "3 listed pictures can be read; none is in both splits",
    ]
    with pytest.raises(DataError, match="2 of 3 listed pictures cannot be read"):
        _check("-c", config, "-o", "DataLoader.Train.dataset.max_pixels=19")
    with pytest.raises(DataError, match="0 of 2 listed pictures cannot be read; 1 bad line"):
        _check("-c", config, "-o", "Arch.class_num=2")


def test_classes_without_pictures_are_named_up_to_ten(config, capsys):
    _check("-c", config, "-o", "Arch.class_num=20")
    assert "2 of 20 classes, 1 to 1 each; none of class 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more\n" in (
        capsys.readouterr().out
    )


def test_one_picture_in_both_splits_is_told_with_both_places_whatever_its_name(config, pictures, capsys):
    for name in ("copy.png", "again.jpg"):
        (pictures / name).write_bytes((pictures / "é/b c.png").read_bytes())
    with (config.parent / "train.txt").open("a") as file:
        file.write("copy.png 1\nagain.jpg 1\n")
    expected = "^0 of 5 listed pictures cannot be read; 1 picture for evaluation also for training; they are named"
    with pytest.raises(DataError, match=expected) as caught:
        _check("-c", config)
    assert (caught.value.code, caught.value.slug) == (3, "data-list")
    first = capsys.readouterr().out.splitlines()[0]
    training = f"{config.parent}/train.txt:3 copy.png and 1 more, which is for training"
    assert first == f"{config.parent}/val.txt:1 é/b c.png: the same bytes as {training}"


def test_equal_files_that_are_no_pictures_are_not_told_as_pictures_of_both_splits(config, pictures):
    for name in ("a.jpg", "é/b c.png"):
        (pictures / name).write_text("<html>404")
    with pytest.raises(DataError, match=r"^2 of 3 listed pictures cannot be read; they are named above$"):
        _check("-c", config)


def test_one_list_for_both_splits_is_a_problem_told_once(config, capsys):
    shared = f"DataLoader.Eval.dataset.cls_label_path={config.parent}/train.txt"
    with pytest.raises(DataError, match=r"pictures cannot be read; .*/train\.txt is both the training and the eval"):
        _check("-c", config, "-o", shared)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_report_holds_everything_also_when_something_is_wrong(config, pictures, tmp_path):
    report = tmp_path / "new" / "report.json"
    assert _check("-c", config, "--json", report) == 0
    assert json.loads(report.read_text())["ok"] is True
    _spoil(pictures)
    (pictures / "d.jpg").write_bytes((pictures / "é/b c.png").read_bytes())
    with (config.parent / "val.txt").open("a") as file:
        file.write("d.jpg 3\n")
    with pytest.raises(DataError):
        _check("-c", config, "--json", report)
    digest = hashlib.sha256((pictures / "d.jpg").read_bytes()).hexdigest()
    train, val = f"{config.parent}/train.txt", f"{config.parent}/val.txt"
    common = {"image_root": str(pictures), "class_num": 3}
    missing = {"where": f"{train}:1 a.jpg", "path": "a.jpg", "reason": "No such file or directory"}
    assert json.loads(report.read_text("utf-8")) == {
        "format": 1,
        "ok": False,
        "lists": [
            {
                **common,
                **{"list": train, "splits": ["Train"], "pictures": 2, "bad_line_count": 0, "bad_lines": []},
                **{"bad_picture_count": 1, "bad_pictures": [missing]},
                **{"class_counts": {"0": 1, "2": 1}, "empty_classes": [1]},
            },
            {
                **common,
                **{"list": val, "splits": ["Eval"], "pictures": 1},
                **{"bad_line_count": 1, "bad_lines": [{"number": 2, "reason": "label 3 is not in [0, 3)"}]},
                **{"bad_picture_count": 0, "bad_pictures": [], "class_counts": {"1": 1}, "empty_classes": [0, 2]},
            },
        ],
        "in_both_splits": [
            {"sha256": digest, "evaluation": f"{val}:1 é/b c.png", "training": f"{train}:2 d.jpg", "more": 0}
        ],
        "changed": [],
    }


def test_ctrl_c_ends_it_at_once_and_leaves_no_report(tmp_path):
    large = cv2.imencode(".png", np.zeros([3000, 3000, 3], np.uint8))[1].tobytes()  # some 50 ms to decode
    (tmp_path / "large.png").write_bytes(large)
    (tmp_path / "list.txt").write_text("large.png x\n" + "large.png 0\n" * 3000)
    words = [sys.executable, "-m", "ppcls", "check-data", "list.txt", "--json", "report.json"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, text=True, stdout=-1, stderr=-1)
    assert process.stdout.readline() == "list.txt:1 label 'x' is no integer\n"  # the pictures come next
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - started < 20  # the whole list takes over a minute
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "error[stopped]: interrupted"
    assert not (tmp_path / "report.json").exists()


def test_a_large_list_takes_a_hundred_bytes_a_picture(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{k:035d} {k % 10}\n" for k in range(100_000)))
    tracemalloc.start()
    dataset = ImageNetDataset(str(tmp_path), str(tmp_path / "list.txt"), 10)
    audit = ListAudit(PictureList("list.txt", str(tmp_path), frozenset({"Eval"}), 10, dataset, lambda data, rng: data))
    for index in range(100_000):
        audit.add(Finding(index, None, b"\0" * 24 + index.to_bytes(8, "big")))
    assert twins([audit]) == []
    assert audit.class_counts().tolist() == [10_000] * 10
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100 * 100_000

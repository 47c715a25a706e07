"""``ppcls check-data``."""

import argparse
import hashlib
import subprocess

import cv2
import numpy as np
import pytest

from ppcls.cli.check_data import add_check_data_arguments, check_data
from ppcls.utils.errors import ConfigError, DataError


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
    assert capsys.readouterr().out == "3 listed pictures can be read\n"


def test_all_unreadable_pictures_are_named_with_list_line_and_reason(pictures, capsys):
    _spoil(pictures)
    with pytest.raises(DataError, match=r"^2 of 3 listed pictures cannot be read; they are named above$") as caught:
        _check(pictures.parent / "list.txt", "--image-root", pictures, "--workers", 3)
    assert (caught.value.code, caught.value.slug) == (3, "bad-image")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "list.txt:1 a.jpg: No such file or directory"
    assert second.startswith("list.txt:3 d.jpg: ")
    assert "no end marker, it is cut off" in second


def test_findings_keep_the_order_of_the_list_beyond_one_window(tmp_path, capsys):
    names = [f"{k % 7}/{k}.jpg" for k in range(2500)]
    (tmp_path / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    with pytest.raises(DataError, match="2500 of 2500 listed"):
        _check(tmp_path / "list.txt", "--image-root", tmp_path, "--workers", 4)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [f"{name}:" for name in names]


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
    assert capsys.readouterr().out.splitlines() == [
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


def test_bad_lines_of_the_list_are_an_error_of_the_list(pictures):
    (pictures.parent / "list.txt").write_text("a.jpg\n")
    with pytest.raises(DataError) as caught:
        _check(pictures.parent / "list.txt", "--image-root", pictures)
    assert caught.value.slug == "data-list"


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
  Train: &split
    dataset:
      name: ImageNetDataset
      image_root: "{root}"
      cls_label_path: "{lists}"
      transform_ops: [{{DecodeImage: {{to_rgb: True}}}}, {{ResizeImage: {{size: 8}}}}, {{NormalizeImage: {{}}}}]
    sampler: {{name: DistributedBatchSampler, batch_size: 2, drop_last: False, shuffle: True}}
    loader: {{num_workers: 0}}
  Eval: *split
Metric: {{Eval: [{{TopkAcc: {{topk: [1]}}}}]}}
"""


def test_config_gives_its_lists_each_once_and_its_limits(pictures, capsys):
    config = pictures.parent / "train.yaml"
    config.write_text(CONFIG.format(root=pictures, lists=pictures.parent / "list.txt"), "utf-8")
    assert _check("-c", config) == 0
    assert capsys.readouterr().out == "3 listed pictures can be read\n"
    with pytest.raises(DataError, match="3 of 3 listed pictures cannot be read"):
        _check("-c", config, "-o", "DataLoader.Train.dataset.max_pixels=19")
    with pytest.raises(DataError, match=r"\[0, 2\)"):
        _check("-c", config, "-o", "Arch.class_num=2")

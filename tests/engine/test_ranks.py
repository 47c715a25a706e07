"""Several ranks through the launcher: what they compute, what they write, and that they all leave."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rank_driver
import yaml
from tiny_run import NAME, ROOT, run, same, weights, write_config

from ppcls.cli import main

TIME_LIMIT_S = 120
NORMS = ("stem.1._mean", "stem.1._variance")


class Launched(NamedTuple):
    """A finished launch: its exit code and its console."""

    code: int
    console: str


def launch(flags: Sequence[str], script: Path, *words: str, cwd: Path) -> Launched:
    """``python -m paddle.distributed.launch`` as a user types it, without help from the environment."""
    command = [sys.executable, "-m", "paddle.distributed.launch", *flags]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PADDLE_", "FLAGS_"))}
    with (cwd / "console.txt").open("w+", encoding="utf-8") as console:
        done = subprocess.run(
            [*command, str(script), *words],
            cwd=cwd,
            env=environment,
            stdout=console,
            stderr=subprocess.STDOUT,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        console.seek(0)
        return Launched(done.returncode, console.read())


def many(ranks: int) -> list[str]:
    return ["--nproc_per_node", str(ranks), "--log_dir", "launch"]


def driven(ranks: int, folder: Path) -> dict[str, object]:
    done = launch(many(ranks), ROOT / "tests" / "engine" / "rank_driver.py", str(folder), cwd=folder)
    assert done.code == 0, done.console[-3000:]
    return json.loads((folder / f"ranks{ranks}.json").read_text())


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return json.loads(json.dumps(rank_driver.findings(tmp_path_factory.mktemp("one"))))


@pytest.fixture(scope="module")
def two_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(two_folder: Path) -> dict[str, object]:
    return driven(2, two_folder)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return driven(3, tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages on a few digits, on two ranks, with the published command; the folder it ran in."""
    folder = tmp_path_factory.mktemp("digits")
    assert main(["prepare", "digits", str(folder / "data")]) == 0
    (folder / "tiny.yaml").write_text(yaml.safe_dump(_digits_config(folder)))
    done = launch(many(2), ROOT / "tools" / "train.py", "-c", "tiny.yaml", cwd=folder)
    assert done.code == 0, done.console[-3000:]
    return folder


def _digits_config(folder: Path) -> dict[str, object]:
    """The tiny run on 61 and 31 pictures in files; 31 is odd, so the ranks judge unequal numbers of them."""
    config = yaml.safe_load(write_config(folder).read_text())
    for split, listed, count in (("Train", "train_list.txt", 61), ("Eval", "val_list.txt", 31)):
        lines = (folder / "data" / listed).read_text().splitlines(keepends=True)
        (folder / listed).write_text("".join(lines[:: len(lines) // count][:count]))
        dataset = config["DataLoader"][split]["dataset"]
        files = {"image_root": str(folder / "data"), "cls_label_path": str(folder / listed)}
        ops = [{"DecodeImage": {}}, {"ResizeImage": {"size": 32}}, {"NormalizeImage": {"order": ""}}]
        mixing = {"batch_transform_ops": dataset["batch_transform_ops"]} if split == "Train" else {}
        config["DataLoader"][split]["dataset"] = {"name": "ImageNetDataset", **files, "transform_ops": ops, **mixing}
    config["Arch"]["class_num"] = 10
    config["Optimizer"]["lr"]["learning_rate"] = 0.02
    config["Stages"] = [
        {"name": "first"},
        {"name": "second", "Arch": {"use_sync_bn": True}, "Optimizer": {"lr": {"warmup_epoch": 0}}},
    ]
    return config


@pytest.mark.parametrize("size", [str(size) for size in rank_driver.SIZES])
def test_evaluation_gives_the_same_numbers_on_one_two_and_three_ranks(
    one: dict, two: dict, three: dict, size: str
) -> None:
    assert set(one["evaluation"][size]) == {"CELoss", "loss", "top1", "top2"}
    assert two["evaluation"][size] == one["evaluation"][size]
    assert three["evaluation"][size] == one["evaluation"][size]


@pytest.mark.parametrize("ranks", ["two", "three"])
@pytest.mark.parametrize(
    ("kind", "alone"),
    [
        ("plain", "plain"),
        ("accumulated", "plain"),
        ("overlapping", "plain"),
        ("overlapping accumulated", "plain"),
        ("synchronised", "synchronised"),
        ("synchronised accumulated", "synchronised accumulated"),
        ("frozen", "frozen"),
        ("local on equal data", "local on equal data"),
    ],
)
def test_ranks_with_a_share_of_the_batch_compute_what_one_rank_computes_with_all_of_it(
    one: dict, kind: str, alone: str, ranks: str, request: pytest.FixtureRequest
) -> None:
    assert_same_training(request.getfixturevalue(ranks)[kind], one[alone])


@pytest.mark.parametrize(
    ("kind", "alone"),
    [
        ("compiled accumulated", "plain"),
        ("compiled overlapping accumulated", "plain"),
        ("compiled local on equal data", "local on equal data"),
    ],
)
def test_two_ranks_that_run_a_compiled_program_compute_what_one_computes_without(
    one: dict, two: dict, kind: str, alone: str
) -> None:
    assert_same_training(two[kind], one[alone])


def assert_same_training(got: dict[str, Any], expected: dict[str, Any]) -> None:
    assert got["updates"] == expected["updates"] == 6
    assert list(got["weights"]) == list(expected["weights"])
    for name, value in expected["weights"].items():
        np.testing.assert_allclose(got["weights"][name], value, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("ranks", ["two", "three"])
def test_local_batch_norm_differs_by_its_statistics(one: dict, ranks: str, request: pytest.FixtureRequest) -> None:
    got = request.getfixturevalue(ranks)
    weights_apart, statistics_apart = got["local"]["spread"]
    assert (weights_apart, statistics_apart > 1e-3) == (0.0, True)
    far = [np.abs(np.subtract(got["local"]["weights"][name], one["local"]["weights"][name])).max() for name in NORMS]
    assert min(far) > 1e-6
    assert got["synchronised"]["spread"] == [0.0, 0.0]


def test_training_changed_what_is_compared(one: dict) -> None:
    assert np.ptp(one["plain"]["weights"]["fc.bias"]) > 1e-3
    assert np.ptp(one["synchronised"]["weights"][NORMS[0]]) > 1e-3
    assert one["frozen"]["weights"][NORMS[0]] == [0.0] * len(one["frozen"]["weights"][NORMS[0]])


@pytest.mark.parametrize("case", ["uneven", "uneven in NHWC"])
@pytest.mark.parametrize("ranks", ["two", "three"])
def test_statistics_over_ranks_count_every_sample_once(ranks: str, case: str, request: pytest.FixtureRequest) -> None:
    differences = request.getfixturevalue(ranks)[case]
    assert set(differences) == {"y", "dx", "mean", "variance", "weight", "bias"}
    assert max(differences.values()) < 1e-12


def test_accumulated_gradients_stay_on_their_rank_until_the_last_batch(two: dict) -> None:
    for kind in ("accumulated", "overlapping accumulated", "synchronised accumulated", "compiled accumulated"):
        first, second = np.array(two[kind]["early"])
        assert np.abs(first - second).max() > 1e-3


def test_an_update_of_three_batches_sends_as_many_bytes_as_an_update_of_one(one: dict, two: dict) -> None:
    at_once, accumulated = two["sent"]
    gradients = 8 * sum(np.size(value) for name, value in one["frozen"]["weights"].items() if "._" not in name)
    assert at_once >= gradients > 0
    assert accumulated == at_once


@pytest.mark.parametrize("overlaps", [False, True])
def test_an_overflow_on_one_rank_leaves_the_update_out_on_all(two: dict, overlaps: bool) -> None:
    first, second = two["overflow"][overlaps]
    assert first == second
    assert first[:4] == [0.0, 1.0, 0.0, 64.0]


def test_running_statistics_of_rank_0_reach_all(three: dict) -> None:
    assert three["statistics"] == [[1.0, 1.0]] * 3


def test_a_signal_to_one_rank_stops_all_and_the_run_goes_on_from_there(two: dict, two_folder: Path) -> None:
    assert two["codes"] == [[0, 143, 0, 2]] * 2
    whole, broken = (two_folder / name / "out" / NAME for name in ("whole", "broken"))
    assert same(weights(broken / "latest"), weights(whole / "latest"))
    tables = [(folder / "summary.csv").read_text().splitlines() for folder in (whole, broken)]
    judged = [[row.split(",")[3:] for row in table] for table in tables]
    assert judged[0] == judged[1]


def test_a_number_that_is_not_finite_on_one_rank_stops_the_others_too(two: dict) -> None:
    assert two["messages"] == [
        "the loss of rank 1 is not finite; its log names the pictures",
        "evaluation after epoch 1, rank 1: logits are not finite; the weights or the running statistics are broken, "
        "lower the learning rate or take other weights",
    ]


def test_every_rank_writes_a_profile_of_its_own_before_any_leaves(two: dict, two_folder: Path) -> None:
    assert two["profile"]["codes"] == [[1]] * 2
    assert sorted(two["profile"]["files"]) == ["trace.json", "trace.rank1.json"]
    assert min(two["profile"]["files"].values()) > 100
    for path in (two_folder / "profiled" / "out" / NAME / "status").glob("*.json"):
        assert (json.loads(path.read_text())["code"], json.loads(path.read_text())["slug"]) == (1, "profiled")


@pytest.mark.parametrize("stage", ["first", "second"])
def test_two_ranks_train_both_stages_and_rank_0_alone_writes(digits: Path, stage: str) -> None:
    folder = digits / "out" / NAME / stage
    lines = (folder / "train.log").read_text(encoding="utf-8").splitlines()
    assert sum("[Train][Epoch 1/2][Iter: 0/4]" in line for line in lines) == 1
    assert [row.split(",")[0] for row in (folder / "summary.csv").read_text().splitlines()] == ["epoch", "1", "2"]
    assert {"best_model.pdparams", "epoch_1.pdparams", "latest.pdparams"} <= {path.name for path in folder.iterdir()}
    assert "ppcls INFO" not in (digits / "launch" / "workerlog.1").read_text()


def test_eval_alone_gives_the_very_numbers_that_two_ranks_logged(digits: Path) -> None:
    folder = digits / "out" / NAME / "second"
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [event for event in events if event["event"] == "eval"][-1]
    assert run("eval", digits / "tiny.yaml", f"Global.pretrained_model={folder / 'latest'}") == 0
    text = (folder / "eval.log").read_text()
    printed = dict(re.findall(r"(\w+): ([\d.]+)", text.split("[Eval][Epoch 0][Avg]")[1]))
    assert printed == {name: f"{logged[name]:.5f}" for name in ("CELoss", "loss", "top1", "top2")}


def test_the_launcher_without_options_trains_on_one_rank_and_leaves_no_log_folder(tmp_path: Path) -> None:
    write_config(tmp_path)
    done = launch([], ROOT / "tools" / "train.py", "-c", "tiny.yaml", "-o", "Global.epochs=1", cwd=tmp_path)
    assert done.code == 0, done.console[-3000:]
    assert (tmp_path / "out" / NAME / "latest.pdparams").exists()
    assert not (tmp_path / "log").exists()
    [log] = (tmp_path / "out" / "launch").glob("*/workerlog.*")
    assert "training is complete: 1 epochs" in log.read_text(encoding="utf-8")


def test_no_dump_of_the_environment_stays_in_the_log_folder(digits: Path) -> None:
    assert sorted(path.name for path in (digits / "launch").iterdir()) == ["workerlog.0", "workerlog.1"]

"""Which checkpoint a run continues from, and which ways are refused."""

from pathlib import Path

import misdeeds  # noqa: F401  registers SignalAt
import pytest
from bad_runs import listed, make_pictures
from tiny_run import STAGES, run, train, write_config

from ppcls.utils.checkpoint import CheckpointStore


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("done"))


def test_branching_off_an_earlier_checkpoint_needs_another_folder(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = done.parents[1] / "tiny.yaml"
    earlier = f"Global.checkpoints={done / 'epoch_1'}"
    assert run("train", config, earlier) == 2
    message = capsys.readouterr().err
    assert "holds checkpoints later than" in message
    assert "branch off into another Global.output_dir" in message
    assert run("train", config, earlier, f"Global.output_dir={tmp_path}") == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("Optimizer.lr.learning_rate=0.02", "Optimizer.lr.learning_rate was 0.01, is 0.02"),
        ("DataLoader.Train.sampler.batch_size=4", "DataLoader.Train.sampler.batch_size was 8, is 4"),
        ("DataLoader.Train.dataset.samples=30", "DataLoader.Train.dataset.samples was 22, is 30"),
        ("Global.seed=8", "Global.seed was 7, is 8"),
    ],
)
def test_a_changed_setting_is_refused_with_both_values_and_allowed_on_request(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    config = done.parents[1] / "tiny.yaml"
    words = (f"Global.checkpoints={done / 'epoch_1'}", f"Global.output_dir={tmp_path}", override)
    assert run("train", config, *words) == 4
    error = capsys.readouterr().err
    assert error.startswith(f"error[config-changed]: changed since the checkpoint: {message}; set it back, or go on")
    assert run("train", config, *words, flags=("--allow-config-change",)) == 0
    assert f"{message}: this is no longer the run that began" in capsys.readouterr().out


def test_another_data_list_is_refused_and_a_moved_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pictures(tmp_path / "pictures")
    data = listed(tmp_path, "Train")
    folder = train(tmp_path, data, "Global.epochs=1", "Global.save_every_steps=1")
    config = tmp_path / "tiny.yaml"
    moved = (data.replace("list.txt", "moved.txt"), "Global.epochs=1", f"Global.checkpoints={folder / 'latest'}")
    (tmp_path / "list.txt").rename(tmp_path / "moved.txt")
    assert run("train", config, *moved, f"Global.output_dir={tmp_path / 'a'}") == 0
    with (tmp_path / "moved.txt").open("a") as file:
        file.write("0.png 1\n")
    capsys.readouterr()
    assert run("train", config, *moved, "Global.epochs=2", f"Global.output_dir={tmp_path / 'b'}") == 4
    assert "list of DataLoader.Train was sha256" in capsys.readouterr().err


def test_an_evaluation_list_is_read_by_a_run_that_evaluates_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pictures(tmp_path / "pictures")
    evaluated = listed(tmp_path, "Eval")
    (tmp_path / "list.txt").rename(tmp_path / "moved.txt")
    folder = train(tmp_path, evaluated, "Global.eval_during_train=False")
    (tmp_path / "moved.txt").rename(tmp_path / "list.txt")
    words = (evaluated, f"Global.checkpoints={folder / 'epoch_1'}", f"Global.output_dir={tmp_path / 'on'}")
    assert run("train", tmp_path / "tiny.yaml", *words) == 0
    assert "changed since the checkpoint" not in capsys.readouterr().out


def test_an_unchanged_config_is_not_called_changed(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"Global.checkpoints={done / 'epoch_1'}"
    assert run("train", done.parents[1] / "tiny.yaml", source, f"Global.output_dir={tmp_path}") == 0
    assert "changed since the checkpoint" not in capsys.readouterr().out


def test_stages_continue_by_auto_and_not_by_a_prefix(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", write_config(tmp_path, STAGES), f"Global.checkpoints={done / 'latest'}") == 2
    assert "first: Global.checkpoints: a run of stages continues by auto" in capsys.readouterr().err


def test_a_dry_run_neither_resumes_nor_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    for flag in ("--resume", "--overwrite"):
        assert run("train", config, flags=("--dry-run", flag)) == 2
        assert "leave out --resume and --overwrite" in capsys.readouterr().err


def test_a_batch_larger_than_the_data_set_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, "DataLoader.Train.sampler.batch_size=100", "Global.epochs=1")
    assert "batch_size 100 is more than the 22 pictures there are" in capsys.readouterr().out


def test_checkpoints_count_on_when_an_allowed_change_makes_epochs_shorter(tmp_path: Path) -> None:
    folder = train(tmp_path, "Global.epochs=4")  # 3 updates an epoch, 12 in all
    wider = ("DataLoader.Train.sampler.batch_size=22", "Global.epochs=6")  # one update an epoch
    stop = (*wider, "Hooks=[SignalAt: {step: 5}]")
    assert run("train", tmp_path / "tiny.yaml", *stop, flags=("--resume", "--allow-config-change")) == 143
    assert [path.name for path in CheckpointStore(folder).units()][-1] > "step-000000012-1"
    assert run("train", tmp_path / "tiny.yaml", *wider, flags=("--resume",)) == 0
    epochs = [row.split(",")[0] for row in (folder / "summary.csv").read_text().splitlines()]
    assert epochs == ["epoch", *"123456"]


@pytest.mark.parametrize(
    ("mistake", "code", "message"),
    [
        ("Stages.1.Optimizer.lr.eta_min=0.5", 2, "eta_min 0.5 is above learning_rate"),
        ("Stages.1.Arch.alpha=2", 2, "alpha is the share of low-frequency channels"),
        ("Stages.1.DataLoader.Eval.sampler={batch_size: 64, drop_last: True}", 3, "make no batch of 64 with drop_last"),
        ("Stages.1.Optimizer.clip_norm=0", 2, "Optimizer.clip_norm is a number above 0, or null; got 0.0"),
        ("Stages.1.Optimizer.momentum=1.5", 2, "Optimizer: momentum is a number in [0, 1); got 1.5"),
        ("Stages.1.Optimizer.no_weight_decay_name=bnx", 2, "no_weight_decay_name: 'bnx' is part of no parameter's"),
        ("Stages.1.Metric.Eval=[TopkAcc: {topk: [9]}]", 2, "topk [9] asks for more than the 4 classes"),
        ("Stages.1.Loss.Eval=[CELoss: {weight: 1.0, reduction: sum}]", 2, "reduction is 'mean', the only one"),
    ],
)
def test_a_mistake_in_the_second_stage_is_told_before_the_first_has_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mistake: str, code: int, message: str
) -> None:
    assert run("train", write_config(tmp_path, STAGES), mistake) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_best_model_that_is_no_longer_whole_is_forgotten_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, "Global.epochs=2")
    best = folder / "best_model.pdparams"
    data = bytearray(best.read_bytes())
    data[100] ^= 1
    best.unlink()
    best.write_bytes(data)
    capsys.readouterr()
    more = ("Global.epochs=3", "Global.keep_last=1")
    assert run("train", tmp_path / "tiny.yaml", *more, flags=("--resume", "--allow-config-change")) == 0
    assert "the best so far is forgotten" in capsys.readouterr().out
    assert CheckpointStore.load(folder / "best_model").payload.states["epoch"] == 3
    assert len(CheckpointStore(folder).units()) == 1

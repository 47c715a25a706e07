"""Which checkpoint a run continues from, and which ways are refused."""

from pathlib import Path

import pytest
from tiny_run import STAGES, run, train, write_config


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


def test_a_changed_section_is_named_on_resume(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"Global.checkpoints={done / 'epoch_1'}"
    out = f"Global.output_dir={tmp_path}"
    assert run("train", done.parents[1] / "tiny.yaml", source, out, "Optimizer.momentum=0.8") == 0
    assert "Optimizer changed since the checkpoint" in capsys.readouterr().out


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

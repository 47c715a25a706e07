"""Weights and checkpoints that do not fit or are damaged, and losses that are no numbers."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from bad_runs import ends, flip_a_bit
from tiny_run import NAME, run, same, train, weights, write_config

from ppcls.utils.save_load import write_weights

LAST = ("head.5.weight", "head.5.bias")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    train(folder)
    return folder


@pytest.fixture
def copied(home: Path, tmp_path: Path) -> Path:
    """The finished run as a folder of one's own."""
    shutil.copytree(home / "out", tmp_path / "out")
    return tmp_path / "out" / NAME


def pretrained(path: Path) -> str:
    return f"Global.pretrained_model={path}"


@pytest.mark.parametrize("command", ["eval", "infer", "export"])
def test_another_number_of_classes_is_refused_where_weights_are_used(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    source = pretrained(home / "out" / NAME / "best_model")
    text = ends(capsys, 4, "mismatch", command, write_config(tmp_path), source, "Arch.class_num=3")
    last = "best_model.pdparams does not fit the model: 408 of its 410 tensors could be loaded; "
    assert text.endswith(f"{last}check Arch.name and its arguments\n")
    weight = "head.5.weight (float32 [4, 1280, 1, 1] in the file, float32 [3, 1280, 1, 1] in the model)"
    bias = "head.5.bias (float32 [4] in the file, float32 [3] in the model)"
    assert re.search(rf"^  misshapen +2: {re.escape(f'{weight}, {bias}')}$", text, re.MULTILINE)


def test_fine_tuning_starts_a_classifier_of_other_classes_afresh_and_says_so(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = home / "out" / NAME / "latest"
    still = "Optimizer.lr={learning_rate: 0.0}"
    given = (pretrained(source), "Arch.class_num=5", "Global.epochs=1", still)
    assert run("train", write_config(tmp_path), *given) == 0
    told = f"{source}.pdparams has another number of classes; {', '.join(LAST)} keep their initial values"
    assert told in capsys.readouterr().out
    before, after = weights(source), weights(tmp_path / "out" / NAME / "latest")
    assert after[LAST[0]].shape == (5, 1280, 1, 1)
    trained = [name for name in before if name not in LAST and not name.endswith(("_mean", "_variance"))]
    assert all(np.array_equal(before[name], after[name]) for name in trained)


@pytest.mark.parametrize("command", ["train", "eval"])
def test_weights_of_another_width_are_refused_everywhere(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    source = pretrained(home / "out" / NAME / "latest")
    text = ends(capsys, 4, "mismatch", command, write_config(tmp_path), source, "Arch.scale=0.25")
    assert re.search(r"^  misshapen +404: conv1\.0\.weight \(float32 \[4, 3, 3, 3\] in the file", text, re.MULTILINE)
    assert "6 of its 410 tensors could be loaded" in text.splitlines()[-1]


def test_missing_and_unexpected_names_are_listed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = weights(home / "out" / NAME / "latest")
    arrays["head.9.weight"] = arrays.pop(LAST[0])
    write_weights(tmp_path / "renamed.pdparams", arrays)
    text = ends(capsys, 4, "mismatch", "eval", write_config(tmp_path), pretrained(tmp_path / "renamed"))
    assert re.search(rf"^  missing +1: {re.escape(LAST[0])}$", text, re.MULTILINE)
    assert re.search(r"^  unexpected +1: head\.9\.weight$", text, re.MULTILINE)


def test_files_that_are_no_weights_are_told_by_what_they_look_like(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    text = ends(capsys, 4, "damaged", "eval", config, pretrained(config))
    assert f"{config} holds no weights: it is text that begins" in text
    (tmp_path / "cut.pdparams").write_bytes((home / "out" / NAME / "latest.pdparams").read_bytes()[:1000])
    text = ends(capsys, 4, "damaged", "eval", config, pretrained(tmp_path / "cut"))
    assert f"{tmp_path}/cut.pdparams is damaged: " in text
    assert "fetch or save it again" in text


def test_weights_with_nan_are_refused_by_name(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = weights(home / "out" / NAME / "latest")
    arrays[LAST[1]] = np.full_like(arrays[LAST[1]], np.nan)
    write_weights(tmp_path / "nan.pdparams", arrays)
    text = ends(capsys, 4, "non-finite-weights", "eval", write_config(tmp_path), pretrained(tmp_path / "nan"))
    assert (
        text
        == f"error[non-finite-weights]: {tmp_path}/nan.pdparams: {LAST[1]} holds NaN or infinity; use other weights\n"
    )


def test_a_damaged_checkpoint_that_was_named_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip_a_bit(copied / "latest.pdparams")
    config = write_config(copied.parents[1])
    for given in (
        ("eval", config, pretrained(copied / "latest")),
        ("train", config, f"Global.checkpoints={copied}/latest"),
    ):
        if given[0] == "train":
            given = (*given, "Global.epochs=3")
            flip_a_bit(max((copied / "checkpoints").glob("step-*")) / "model.pdparams")
        text = ends(capsys, 4, "damaged", *given)
        assert re.search(r"latest\.pdparams has sha256 \w{64}, its manifest says \w{64}; copy it again, or use", text)


def test_resume_falls_back_to_the_checkpoint_before_a_damaged_one(
    home: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = max((copied / "checkpoints").glob("step-*"))
    flip_a_bit(newest / "model.pdparams")
    assert run("train", write_config(copied.parents[1]), flags=("--resume",)) == 0
    out = capsys.readouterr().out
    assert f"WARNING: {newest} is set aside as bad-{newest.name}: {newest}/model.pdparams has sha256 " in out
    assert out.index("is set aside as") < out.index("step-000000003-1/model: epoch 1")
    assert (newest.with_name(f"bad-{newest.name}") / "model.pdparams").exists()
    assert same(weights(copied / "latest"), weights(home / "out" / NAME / "latest"))


def test_resume_without_one_whole_checkpoint_is_an_error_not_a_fresh_start(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    units = sorted((copied / "checkpoints").glob("step-*"))
    for unit in units:
        flip_a_bit(unit / "model.pdopt")
    text = ends(capsys, 4, "damaged", "train", write_config(copied.parents[1]), "Global.epochs=3", flags=("--resume",))
    assert f"no checkpoint in {copied}/checkpoints is whole: " in text
    assert all(f"{unit.name}: {unit}/model.pdopt has sha256" in text for unit in units)


def test_resume_of_another_network_or_optimizer_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("train", write_config(copied.parents[1]), "Global.epochs=3")
    text = ends(capsys, 4, "mismatch", *given, "Arch.class_num=3", flags=("--resume",))
    assert "408 of its 410 tensors could be loaded" in text.splitlines()[-1]
    other = "Optimizer={name: SGD, lr: {learning_rate: 0.1}}"
    text = ends(capsys, 4, "mismatch", *given, other, flags=("--resume",))
    assert "the checkpoint's optimizer state holds velocity_0, which SGD does not have: another optimizer" in text
    assert text.endswith("continue with that one, or begin with its weights by Global.pretrained_model\n")


def test_a_loss_that_explodes_ends_the_run_and_the_checkpoint_before_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    rates = "Optimizer.lr={name: Piecewise, learning_rate: 0.01, decay_epochs: [1], values: [0.01, 1e30]}"
    given = ("train", config, rates, "DataLoader.Train.sampler.shuffle=False")
    text = ends(capsys, 5, "non-finite", *given)
    samples = ", ".join(f"synthetic:{number}" for number in range(8, 16))
    assert re.fullmatch(
        r"error\[non-finite\]: the loss is not finite: CELoss (nan|inf), loss (nan|inf); step 5, epoch 2, lr 1e\+30, "
        rf"batch of {samples}; checkpoints of earlier steps stand; lower the learning rate or look at these\n",
        text,
    )
    folder = tmp_path / "out" / NAME
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-000000003-1"]
    assert text.strip() in (folder / "train.log").read_text()
    assert run("eval", config, pretrained(folder / "latest")) == 0


def test_logits_that_are_not_finite_give_no_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    arrays = weights(folder / "latest")
    variance = next(name for name in arrays if name.endswith("_variance"))
    arrays[variance] = np.full_like(arrays[variance], -1.0)
    write_weights(tmp_path / "broken.pdparams", arrays)
    text = ends(capsys, 5, "non-finite", "eval", write_config(tmp_path), pretrained(tmp_path / "broken"))
    assert "evaluation, batch 0: logits are not finite; the weights or the running statistics are broken" in text

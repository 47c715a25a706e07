"""Wrong words on the command line and wrong values in a YAML: what is said, where, and the exit code 2."""

import re
from pathlib import Path

import pytest
from bad_runs import ends, listed, make_pictures, told
from tiny_run import NAME, run, tool, write_config

from ppcls.cli import main

TRAIN_SET = "DataLoader.Train.dataset"
VALUES = {  # what is set -> the line that tells it
    "Global.epochs=two": "Global.epochs  expected an integer; got 'two'",
    "Global.epochs=0": "Global.epochs  expected at least 1; got 0",
    "Global.epoch=2": "Global.epoch  unknown key; did you mean 'epochs'?",
    "Global.keep_last=0": "Global.keep_last  expected at least 1; got 0",
    "Global.seed=-1": "Global.seed  expected at least 0; got -1",
    "Global.device=cuda": "Global.device  expected cpu, gpu, gpu:N or auto; got 'cuda', which is not supported here",
    "Global.image_shape=[32, 32, 3]": "Global.image_shape  expected [3, height, width], as Arch.input_image_channel is "
    "3; got [32, 32, 3]",
    "global.epochs=2": "global  unknown key; did you mean 'Global'?",
    "Arch.class_num=many": "Arch.class_num  expected an integer; got 'many'",
    "Arch.scal=0.5": "Arch.scal  OctMobileNetV2 has no such argument; did you mean 'scale'?",
    "Arch.name=OctMobilenetV2": "Arch.name  unknown backbone 'OctMobilenetV2'; did you mean 'OctMobileNetV2'?",
    "Loss.Train=CELoss": "Loss.Train  expected a list of {Name: {arguments}}; got 'CELoss'",
    "Metric.Eval.0.TopkAcc.topk=[0]": "Metric.Eval.0.TopkAcc.topk  expected at least 1; got [0]",
    "Optimizer.lr.learning_rate=.nan": "Optimizer.lr.learning_rate  expected a finite number; got nan",
    "Optimizer.regularizer.coeff=-1": "Optimizer.regularizer.coeff  expected at least 0; got -1.0",
    "DataLoader.Train.sampler.batch_size=0": "DataLoader.Train.sampler.batch_size  expected at least 1; got 0",
    "DataLoader.Train.loader.num_workers=-1": "DataLoader.Train.loader.num_workers  expected at least 0; got -1",
    f"{TRAIN_SET}.transform_ops=[]": f"{TRAIN_SET}.transform_ops  missing; for example [{{DecodeImage: {{}}}}, ..., "
    "{NormalizeImage: {}}]",
    f"{TRAIN_SET}.transform_ops.1.RandCropImage.size=big": f"{TRAIN_SET}.transform_ops.1.RandCropImage.size  expected "
    "an integer or a list of 2 integers; got 'big'",
    "DataLoader.Eval=null": "DataLoader.Eval  missing",
}
BUILT = {  # found when the part is built
    "Arch.alpha=2": "Arch: alpha is the share of low-frequency channels, in [0, 1]; got 2.0",
    "Arch.scale=0": "Arch: scale multiplies every width and is above 0; got 0.0",
    "Optimizer.lr.learning_rate=-1": "Optimizer.lr: learning_rate is a number of at least 0; got -1.0",
    "Optimizer.momentum=2": "Optimizer: momentum is a number in [0, 1); got 2.0",
    f"{TRAIN_SET}.batch_transform_ops.0.MixupOperator.alpha=-1": f"{TRAIN_SET}.batch_transform_ops.0.MixupOperator: "
    "MixupOperator alpha is the parameter of Beta(alpha, alpha), above 0; got -1.0",
    f"{TRAIN_SET}.transform_ops.1.RandCropImage.size=0": f"{TRAIN_SET}.transform_ops.1.RandCropImage: RandCropImage "
    "size is a whole number of pixels, or [width, height]; got 0",
    "Metric.Eval=[TopkAcc: {topk: [9]}]": "Metric.Eval.0.TopkAcc: topk [9] asks for more than the 4 classes of "
    "class_num; give topk: [1]",
    "Arch.pretrained=True": "Arch.pretrained: True asks for published weights, and none are shipped; give a path, or "
    "train from scratch with -o Arch.pretrained=False",
    "Global.pretrained_model=none/best": f"no weights at none/best, nor at none/{NAME}/best",
}
TEXTS = {  # a file -> line, column and reason
    "Global:\n  epochs: 2\n   device: cpu\n": ":3:10: mapping values are not allowed here",
    "Global:\n\tepochs: 2\n": ":2:1: found character '\\t' that cannot start any token",
    "Global: {epochs: 2\n": ":2:1: expected ',' or '}', but got '<stream end>'",
    "Global: {epochs: 2, epochs: 3}\n": ":1:21: duplicate key 'epochs'",
    "Arch: !!python/object/apply:os.system [ls]\n": ":1:7: tag !!python/object/apply:os.system is not allowed",
    "": ": expected a mapping of sections; got null",
}
WORDS = {  # a command line -> what is said of it
    ("trian",): "invalid choice: 'trian' (choose from ",
    (): "the following arguments are required: COMMAND; see ppcls --help",
    ("train",): "the following arguments are required: -c/--config; see ppcls train --help",
    ("prepare", "imagnet"): "did you mean 'imagenet'?; see ppcls prepare --help",
    ("train", "-c", "x", "--resume", "--overwrite"): "argument --overwrite: not allowed with argument --resume",
    ("models", "--size", "big"): "argument --size: invalid int value: 'big'",
    ("models", "vgg"): "no model matches 'vgg'; ppcls models prints all",
    ("check-data",): "give either a list file, with --image-root, or -c with a config",
    ("check-data", "list.txt", "--workers", "0"): "--workers is at least 1; got 0",
}


@pytest.mark.parametrize("override", list(VALUES))
def test_a_wrong_value_is_told_under_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str) -> None:
    config = write_config(tmp_path)
    text = ends(capsys, 2, "config", "train", config, override)
    assert text == f"error[config]: {config}: 1 problem\n  {VALUES[override]}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("override", list(BUILT))
def test_a_part_that_does_not_build_is_told_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str
) -> None:
    text = ends(capsys, 2, "config", "train", write_config(tmp_path), override)
    assert text == f"error[config]: {BUILT[override]}\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "tiny.yaml"]


def test_all_problems_of_a_config_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    wrong = ("Global.epochs=two", "Global.update_freq=0", "Arch.alpha=half")
    lines = ends(capsys, 2, "config", "train", config, *wrong).splitlines()
    assert lines[0] == f"error[config]: {config}: 3 problems"
    assert [line.split()[0] for line in lines[1:]] == ["Global.epochs", "Global.update_freq", "Arch.alpha"]


def test_missing_sections_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "short.yaml"
    config.write_text("Global: {epochs: 1}\n")
    text = ends(capsys, 2, "config", "train", config)
    for key in ("Arch.name", "Loss.Train", "Optimizer", "DataLoader.Train", "DataLoader.Eval"):
        assert re.search(rf"^  {re.escape(key)} +missing", text, re.MULTILINE), key


@pytest.mark.parametrize("content", list(TEXTS))
def test_unreadable_yaml_is_told_with_line_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text(content)
    assert f"error[config]: {config}{TEXTS[content]}" in ends(capsys, 2, "config", "train", config)


def test_a_config_that_is_nowhere_is_told_with_both_places(capsys: pytest.CaptureFixture[str]) -> None:
    text = ends(capsys, 2, "config", "train", "nowhere.yaml")
    assert re.search(r"no such config: nowhere\.yaml; nor /.*/configs/nowhere\.yaml$", text.rstrip())


def test_a_folder_is_no_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path} is a folder; expected a YAML file" in ends(capsys, 2, "config", "train", tmp_path)


@pytest.mark.parametrize("words", list(WORDS))
def test_a_wrong_word_on_the_command_line_is_told(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert main(words) == 2
    text = told(capsys.readouterr().err, "usage", 2)
    assert WORDS[words] in text
    assert text.count("\n") == 1


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert told(capsys.readouterr().err, "usage", 2).endswith("; did you mean 'train'?; see ppcls --help\n")


def test_two_overrides_after_one_o_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(tmp_path))
    assert main(["train", "-c", config, "-o", "Global.epochs=1", "Arch.class_num=3"]) == 2
    text = told(capsys.readouterr().err, "usage", 2)
    assert "unknown arguments Arch.class_num=3; give every key its own -o: -o a=1 -o b=2" in text


def test_an_override_without_a_value_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ends(capsys, 2, "config", "train", write_config(tmp_path), "Global.epochs")
    assert "-o Global.epochs: expected key=value; each -o takes exactly one" in text


def test_a_gpu_that_is_not_there_is_told_with_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = ends(capsys, 2, "config", "train", write_config(tmp_path), "Global.device=gpu:7")
    assert "Global.device: gpu:7 asked for, but " in text
    assert "type -o Global.device=cpu (or auto) to run on the processor" in text


@pytest.mark.parametrize("command", ["eval", "infer", "export"])
def test_a_command_without_weights_says_which_key_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = ends(capsys, 2, "config", command, write_config(tmp_path))
    assert f"Global.pretrained_model: {command} needs weights; -o Global.pretrained_model=" in text


def test_a_list_or_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path / "pictures")
    config, data = write_config(tmp_path), listed(tmp_path, "Train")
    gone = f"{TRAIN_SET}.cls_label_path={tmp_path}/gone.txt"
    text = ends(capsys, 2, "config", "train", config, data, gone)
    assert f"{TRAIN_SET}: list file {tmp_path}/gone.txt is not there; give its path as cls_label_path" in text
    text = ends(capsys, 2, "config", "train", config, data, f"{TRAIN_SET}.cls_label_path={tmp_path}")
    assert f"list file {tmp_path} is a folder" in text
    text = ends(capsys, 2, "config", "train", config, data, f"{TRAIN_SET}.image_root={tmp_path}/gone")
    assert f"folder {tmp_path}/gone is not there; give the pictures' folder as image_root" in text


def test_the_tool_tells_a_typo_without_importing_paddle(tmp_path: Path) -> None:
    done = tool("train", "-c", str(write_config(tmp_path)), "-o", "Global.epoch=2", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'epochs'?" in told(done.stderr, "config", 2)
    assert done.stdout == ""


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["train", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    assert "--resume [PREFIX]" in capsys.readouterr().out


def test_a_dry_run_finds_a_rate_that_explodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    rate = "Optimizer.lr={name: ConstLR, learning_rate: 1e30}"
    text = ends(capsys, 5, "non-finite", "train", config, rate, flags=("--dry-run",))
    assert "step 2, epoch 1, lr 1e+30" in text


def test_a_dry_run_does_an_update_however_many_batches_that_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", write_config(tmp_path), "Global.update_freq=100", flags=("--dry-run",)) == 0
    assert "[dry run] update 1:" in capsys.readouterr().out


def test_a_mistake_found_while_building_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends(capsys, 2, "config", "train", write_config(tmp_path), "Arch.alpha=2")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]

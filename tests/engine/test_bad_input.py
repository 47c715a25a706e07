"""Lists and pictures that are wrong, through the real commands: what is said, where, and the exit code."""

import json
import shutil
from pathlib import Path

import pytest
from bad_runs import TRAIN, ends, listed, make_pictures
from tiny_run import NAME, run, train, write_config

TRAIN_SET = "DataLoader.Train.dataset"
REASONS = {
    "cut.jpg": "the JPEG file of 4096 bytes is damaged: no end marker, it is cut off",
    "page.jpg": "expected a JPEG, PNG, WEBP or BMP file; this is an HTML page",
    "empty.jpg": "the file is empty",
    "gone.jpg": "No such file or directory",
}
LINES = {  # a line of the list -> what is said of it; the list's classes are 0 to 3
    "one_column.png": "has one column: 'one_column.png'",
    "0.png cat": "label 'cat' is no integer",
    "0.png 1.0": "label '1.0' is no integer",
    "0.png 4": "label 4 is not in [0, 4)",
    "0.png -1": "label -1 is not in [0, 4)",
    "../0.png 1": "path '../0.png' climbs out of image_root; allow_outside_root: True permits it",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    train(folder, "Global.epochs=1")
    make_pictures(folder / "pictures")
    return folder


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the pictures in it."""
    shutil.copytree(home / "pictures", tmp_path / "pictures")
    return tmp_path


def best(home: Path) -> str:
    return f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}"


def infer(pictures: Path) -> str:
    return f"Infer.infer_imgs={pictures}"


@pytest.mark.parametrize("line", list(LINES))
def test_a_bad_line_is_told_with_file_and_number(folder: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    text = ends(capsys, 3, "data-list", "train", write_config(folder), *TRAIN, listed(folder, "Train", f"{line}\n"))
    head = f"{TRAIN_SET}: 1 bad line, expected '<path> <label>' with a label in [0, 4)"
    assert text == f"error[data-list]: {head}: {folder}/list.txt:9 {LINES[line]}\n"
    assert not list((folder / "out" / NAME).glob("checkpoints/step-*"))


def test_all_bad_lines_are_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = listed(folder, "Train", "\n".join([*LINES, ""]))
    text = ends(capsys, 3, "data-list", "train", write_config(folder), *TRAIN, more)
    assert "6 bad lines" in text
    assert all(
        f"list.txt:{number} {reason}" in text for number, reason in zip(range(9, 14), LINES.values(), strict=False)
    )
    assert text.endswith("; and 1 more\n")


def test_a_label_beyond_the_classes_is_told_before_evaluation(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ends(capsys, 3, "data-list", "eval", write_config(folder), best(home), listed(folder, "Eval", "0.png 9\n"))
    assert f"{folder}/list.txt:9 label 9 is not in [0, 4)" in text


@pytest.mark.parametrize("split", ["Train", "Eval"])
def test_an_empty_list_is_an_error(home: Path, folder: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    data = listed(folder, split)
    (folder / "list.txt").write_text("\n  \n")
    given = ("train", write_config(folder), *TRAIN, data)
    if split == "Eval":
        given = ("eval", write_config(folder), best(home), data)
    text = ends(capsys, 3, "too-little-data", *given)
    reason = f"{folder}/list.txt lists no picture; expected a line '<path> <label>' for each"
    assert text.splitlines()[-1] == f"error[too-little-data]: DataLoader.{split}.dataset: {reason}"


def test_a_batch_larger_than_the_data_is_an_error_with_drop_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sampler = "DataLoader.Train.sampler={batch_size: 64, drop_last: True}"
    text = ends(capsys, 3, "too-little-data", "train", write_config(tmp_path), sampler)
    reason = "22 samples on 1 ranks make no batch of 64 with drop_last; lower batch_size or set drop_last: False"
    assert text == f"error[too-little-data]: DataLoader.Train.sampler: {reason}\n"


@pytest.mark.parametrize("name", list(REASONS))
def test_evaluation_stops_at_a_picture_that_cannot_be_read(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    spoiled = reason_of(folder, name)
    text = ends(capsys, 3, "bad-image", "eval", write_config(folder), best(home), listed(folder, "Eval", f"{name} 1\n"))
    assert text == f"error[bad-image]: list.txt:9 {name}: {spoiled}; repair it, or take it out of the list\n"


def reason_of(folder: Path, name: str) -> str:
    path = folder / "pictures" / name
    size = path.stat().st_size if path.exists() else 0
    return REASONS[name].replace("4096", str(size))


def test_evaluation_counts_them_as_wrong_when_asked_to(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = listed(folder, "Eval", "cut.jpg 1\n")
    assert run("eval", write_config(folder), best(home), data, "DataLoader.Eval.dataset.on_error=count_wrong") == 0
    printed = capsys.readouterr().out
    assert f"cannot read list.txt:9 cut.jpg: {reason_of(folder, 'cut.jpg')}" in printed
    assert printed.splitlines()[-1].endswith(", unreadable: 1.00000")


def test_training_skips_counts_and_lists_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = listed(folder, "Train", "".join(f"{name} 1\n" for name in REASONS))
    allowed = f"{TRAIN_SET}.max_bad_ratio=0.5"
    whole = "DataLoader.Train.sampler.batch_size=12"  # a batch that stand-ins fill has hardly a variance: it diverges
    assert run("train", write_config(folder), *TRAIN, "Global.epochs=3", data, allowed, whole) == 0
    out = capsys.readouterr().out
    records = [json.loads(line) for line in (folder / "out" / NAME / "bad_samples.jsonl").read_text().splitlines()]
    expected = {f"list.txt:{line} {name}": reason_of(folder, name) for line, name in enumerate(REASONS, start=9)}
    assert {record["where"]: record["reason"] for record in records} == expected
    assert all(out.count(f"cannot read {where}: {reason}") == 1 for where, reason in expected.items())
    assert f"4 of 12 listed pictures could not be read: see {folder}/out/{NAME}/bad_samples.jsonl" in out


def test_training_ends_above_the_allowed_share_and_leaves_the_list(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = listed(folder, "Train", "gone.jpg 1\ncut.jpg 1\npage.jpg 1\n")
    given = (*TRAIN, data, f"{TRAIN_SET}.max_bad_ratio=0.2", "DataLoader.Train.sampler.shuffle=False")
    text = ends(capsys, 3, "bad-image", "train", write_config(folder), *given)
    assert text == (
        "error[bad-image]: 3 of 11 listed pictures cannot be read, more than the 2 that max_bad_ratio allows; first "
        "list.txt:9 gone.jpg: No such file or directory; repair or remove them, or raise max_bad_ratio\n"
    )
    run_folder = folder / "out" / NAME
    assert len((run_folder / "bad_samples.jsonl").read_text().splitlines()) == 3
    assert text.strip() in (run_folder / "train.log").read_text()


def test_a_resumed_run_goes_on_with_the_account_of_bad_pictures(folder: Path) -> None:
    data = listed(folder, "Train", "gone.jpg 1\n")
    allowed = f"{TRAIN_SET}.max_bad_ratio=0.5"
    config = write_config(folder)
    assert run("train", config, *TRAIN, data, allowed) == 0
    records = folder / "out" / NAME / "bad_samples.jsonl"
    before = records.read_text()
    shutil.copy(folder / "pictures" / "0.png", folder / "pictures" / "gone.jpg")
    (folder / "pictures" / "1.png").unlink()
    assert (
        run("train", config, *TRAIN, data, allowed, "Global.epochs=2", flags=("--resume", "--allow-config-change")) == 0
    )
    lines = records.read_text().splitlines()
    assert lines[0] + "\n" == before
    assert [json.loads(line)["where"] for line in lines] == ["list.txt:9 gone.jpg", "list.txt:2 1.png"]


def test_training_stops_at_the_first_when_asked_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = listed(folder, "Train", "page.jpg 1\n")
    text = ends(capsys, 3, "bad-image", "train", write_config(folder), *TRAIN, data, f"{TRAIN_SET}.on_error=stop")
    assert (
        text == f"error[bad-image]: list.txt:9 page.jpg: {REASONS['page.jpg']}; repair it, or take it out of the list\n"
    )


def test_pictures_of_several_sizes_in_a_batch_are_told(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ops = "[DecodeImage: {}, NormalizeImage: {order: ''}]"
    given = (listed(folder, "Train"), f"{TRAIN_SET}.transform_ops={ops}", "DataLoader.Train.sampler.shuffle=False")
    text = ends(capsys, 3, "bad-batch", "train", write_config(folder), *TRAIN, *given)
    assert "list.txt:1 0.png is uint8 [36, 40, 3], list.txt:2 1.png is uint8 [37, 40, 3]" in text
    ops = "[DecodeImage: {}, NormalizeImage: {order: ''}, ToCHWImage: {}]"
    given = (best(home), infer(folder / "pictures"), f"Infer.transforms={ops}")
    text = ends(capsys, 3, "bad-batch", "infer", write_config(folder), *given)
    assert f"{folder}/pictures/0.png is [3, 36, 40], {folder}/pictures/1.png is [3, 37, 40]" in text
    assert text.endswith("; let Infer.transforms resize or crop to one size, or set Infer.batch_size to 1\n")


def test_infer_names_a_path_that_is_not_there(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    text = ends(capsys, 2, "config", "infer", config, best(home), infer(tmp_path / "gone.jpg"))
    assert f"Infer.infer_imgs: {tmp_path}/gone.jpg is not there; name a picture or a folder\n" in text
    text = ends(capsys, 2, "config", "infer", config, best(home), f"Infer.infer_list={tmp_path}/gone.txt")
    assert f"Infer.infer_list: {tmp_path}/gone.txt is not a file; expected one picture path a line\n" in text


def test_infer_says_what_it_looked_for_in_a_folder_without_pictures(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ends(capsys, 3, "bad-image", "infer", write_config(tmp_path), best(home), infer(tmp_path))
    assert f"{tmp_path}: no pictures found; expected files ending in .bmp .jpeg .jpg .png .webp\n" in text


def test_infer_tells_a_picture_given_as_a_list(home: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (best(home), f"Infer.infer_list={folder}/pictures/0.png")
    text = ends(capsys, 3, "data-list", "infer", write_config(folder), *given)
    assert "0.png is not UTF-8 text; expected one picture path a line (for a picture itself: Infer.infer_imgs)" in text


def test_infer_ends_with_the_count_of_pictures_it_left_out(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("infer", write_config(folder), best(home), infer(folder / "pictures"))
    text = ends(capsys, 1, "partial", *given, flags=("--json", str(folder / "new" / "answers.json")))
    last = "3 of 11 pictures could not be read; they are named above, the others are answered"
    assert text.splitlines()[-1] == f"error[partial]: {last}"
    for name in ("cut.jpg", "page.jpg"):
        assert f"not answered: {folder}/pictures/{name}: {reason_of(folder, name)}\n" in text
    assert len(json.loads((folder / "new" / "answers.json").read_text())) == 8


def test_a_map_of_class_names_that_does_not_parse_is_told_by_line(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "names.txt").write_text("0 zero\none 1\n")
    given = (best(home), infer(folder / "pictures"), f"Infer.PostProcess.class_id_map_file={folder}/names.txt")
    text = ends(capsys, 2, "config", "infer", write_config(folder), *given)
    assert f"Infer.PostProcess: {folder}/names.txt:2: expected '<class number> <name>'; got 'one 1'\n" in text
    (folder / "names.txt").unlink()
    text = ends(capsys, 2, "config", "infer", write_config(folder), *given)
    assert f"Infer.PostProcess: class_id_map_file {folder}/names.txt is not there\n" in text

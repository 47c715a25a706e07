"""eval, infer and export on what train left, and what train prints and writes."""

import csv
import json
import re
import shutil
import signal
from ast import literal_eval
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from tiny_run import NAME, ROOT, STAGES, run, tool, train, write_config

from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.registry import BACKBONES
from ppcls.utils.runners import load_program

LINE = r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] ppcls INFO: "
NUMBER = r"\d+\.\d{5}"
SPEED = rf"batch_cost: {NUMBER}s, reader_cost: {NUMBER}s, ips: {NUMBER} images/sec"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(folder, f"Global.use_visualdl={find_spec('visualdl') is not None}")
    pictures = folder / "pictures" / "näme with blank"
    pictures.mkdir(parents=True)
    dataset = SyntheticDataset(class_num=4, side=50)
    for index in range(3):
        cv2.imwrite(str(pictures / f"{index}.PNG"), dataset.pixels(index))
    return folder


def best(home: Path) -> str:
    return f"Global.pretrained_model={home / 'out' / NAME / 'best_model'}"


def logged(home: Path, pattern: str, name: str = "train.log") -> list[str]:
    lines = (home / "out" / NAME / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.fullmatch(LINE + pattern, line)]


def test_train_lines_keep_the_published_format(home: Path) -> None:
    place = r"\[Train\]\[Epoch [12]/2\]\[Iter: [02]/3\]"
    pattern = rf"{place}lr: {NUMBER}, CELoss: {NUMBER}, loss: {NUMBER}, {SPEED}, eta: \d+:\d\d:\d\d"
    assert len(logged(home, pattern)) == 4
    assert len(logged(home, rf"\[Train\]\[Epoch \d/2\]\[Avg\]CELoss: {NUMBER}, loss: {NUMBER}")) == 2


def test_eval_lines_keep_the_published_format(home: Path) -> None:
    numbers = rf"CELoss: {NUMBER}, loss: {NUMBER}, top1: {NUMBER}, top2: {NUMBER}"
    assert len(logged(home, rf"\[Eval\]\[Epoch \d\]\[Iter: 0/2\]{numbers}, {SPEED}")) == 2
    assert len(logged(home, rf"\[Eval\]\[Epoch \d\]\[Avg\]{numbers}")) == 2
    assert len(logged(home, r"\[Eval\]\[Epoch \d\]\[best metric: 0?\.?\d+\]")) == 2


def test_the_logged_rate_is_the_one_the_step_used(home: Path) -> None:
    rates = [float(re.search(r"lr: ([\d.]+)", line)[1]) for line in logged(home, r"\[Train\].*ips.*")]
    cosine = [0.002 + 0.008 * (1 + np.cos(np.pi * u / 3)) / 2 for u in (0, 2)]
    assert rates == pytest.approx([0, 0.01 * 2 / 3, *cosine], abs=1e-5)


def test_tables_hold_every_epoch_and_event(home: Path) -> None:
    folder = home / "out" / NAME
    rows = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == ["epoch", "lr", "train_loss", "eval_loss", "top1", "top2"]
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["train", "train", "epoch", "eval"] * 2
    assert float(rows[1]["eval_loss"]) == events[-1]["loss"]


def test_curves_lie_beside_the_logs(home: Path) -> None:
    assert cv2.imread(str(home / "out" / NAME / "curves.png")) is not None


def test_visualdl_scalars_lie_beside_the_logs(home: Path) -> None:
    pytest.importorskip("visualdl", reason="visualdl is not installed")
    assert list((home / "out" / NAME / "vdl").glob("*"))


def test_paddle_itself_reads_the_checkpoint(home: Path) -> None:
    prefix = home / "out" / NAME / "latest"
    assert next(iter(paddle.load(f"{prefix}.pdparams"))) == "conv1.0.weight"
    assert {"metric", "epoch"} <= set(paddle.load(f"{prefix}.pdstates"))
    assert "LR_Scheduler" in paddle.load(f"{prefix}.pdopt")


def test_eval_gives_the_accuracy_that_training_logged(home: Path) -> None:
    assert run("eval", home / "tiny.yaml", f"Global.pretrained_model={home}/out/{NAME}/latest") == 0
    inside = [line.split("[Avg]")[1] for line in logged(home, r"\[Eval\]\[Epoch 2\]\[Avg\].*")]
    alone = [line.split("[Avg]")[1] for line in logged(home, r"\[Eval\]\[Epoch 0\]\[Avg\].*", "eval.log")]
    assert alone[-1:] == inside


def test_eval_finds_weights_where_paddleclas_users_look(home: Path) -> None:
    assert run("eval", home / "tiny.yaml", f"Global.pretrained_model={home}/out/latest") == 0


def test_eval_reads_the_weights_of_a_run_that_continues_by_itself(home: Path) -> None:
    assert run("eval", home / "tiny.yaml", "Global.checkpoints=auto") == 0


def test_eval_needs_nothing_of_the_training_part(home: Path, tmp_path: Path) -> None:
    text = (home / "tiny.yaml").read_text()
    without = re.sub(r"Optimizer:.*?(?=DataLoader:)", "", text, flags=re.DOTALL)
    without = re.sub(r"  Train:\n    dataset:.*?(?=  Eval:)", "", without, flags=re.DOTALL)
    path = tmp_path / "eval_only.yaml"
    path.write_text(without)
    assert "Train" not in without.replace("{Train", "")
    assert run("eval", path, best(home)) == 0


def test_infer_prints_python_lists_and_writes_json_and_csv(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = f"Infer.infer_imgs={home / 'pictures'}"
    flags = ("--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"))
    assert run("infer", home / "tiny.yaml", best(home), pictures, flags=flags) == 0
    batches = [literal_eval(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(batch) for batch in batches] == [2, 1]
    answers = [answer for batch in batches for answer in batch]
    assert list(answers[0]) == ["class_ids", "scores", "file_name", "label_names"]
    assert [Path(answer["file_name"]).name for answer in answers] == ["0.PNG", "1.PNG", "2.PNG"]
    assert json.loads((tmp_path / "a.json").read_text()) == answers
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2"] * 3
    assert int(rows[0]["class_id"]) == answers[0]["class_ids"][0]


def test_infer_answers_the_others_when_a_picture_is_broken(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(home / "pictures", tmp_path / "pictures")
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"<html>404</html>")
    assert run("infer", home / "tiny.yaml", best(home), f"Infer.infer_imgs={tmp_path / 'pictures'}") == 1
    printed = capsys.readouterr()
    assert sum(len(literal_eval(line)) for line in printed.out.splitlines()) == 3
    assert "broken.jpg" in printed.err
    assert "1 of 4 pictures could not be read" in printed.err


def test_infer_takes_a_list_of_pictures(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{home}/pictures/näme with blank/2.PNG\n\n", encoding="utf-8")
    assert run("infer", home / "tiny.yaml", best(home), f"Infer.infer_list={listed}") == 0
    assert len(literal_eval(capsys.readouterr().out)) == 1


def test_the_exported_program_answers_as_infer_does(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "names.txt").write_text("0 left\n2 näh dran\n", encoding="utf-8")
    assert run("export", home / "tiny.yaml", best(home), f"Infer.PostProcess.class_id_map_file={home}/names.txt") == 0
    folder = home / "out" / "inference"
    manifest = json.loads((folder / "inference.manifest.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "inference.manifest.json"}
    assert manifest["preprocessing"][-1] == {"ToCHWImage": {}}
    assert manifest["class_names"] == ["left", "1", "näh dran", "3"]
    run_program = load_program(folder / "inference")
    image = cv2.resize(SyntheticDataset(class_num=4, side=50).pixels(0)[:, :, ::-1], (32, 32))
    values = (image / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    scores = run_program(values.transpose(2, 0, 1)[None].astype("float32"))[0]
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    capsys.readouterr()
    run("infer", home / "tiny.yaml", best(home), f"Infer.infer_imgs={home}/pictures/näme with blank/0.PNG")
    answer = literal_eval(capsys.readouterr().out)[0]
    assert answer["class_ids"] == list(np.argsort(-scores)[:2])
    assert answer["scores"] == pytest.approx(np.sort(scores)[::-1][:2], abs=1e-4)


def test_the_onnx_program_is_checked_and_written(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx", reason="paddle2onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    target = f"Global.save_inference_dir={tmp_path / 'program'}"
    assert run("export", home / "tiny.yaml", best(home), target, flags=("--onnx",)) == 0
    assert (tmp_path / "program" / "inference.onnx").stat().st_size > 1000


def test_dry_run_writes_nothing_and_prints_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, STAGES)
    assert run("train", config, flags=("--dry-run",)) == 0
    printed = capsys.readouterr().out
    assert printed.count("[dry run] update 2") == 2
    assert printed.count("[dry run] one evaluation batch of 8 pictures") == 2
    assert "Stages:\n- {name: second}" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_accumulated_batches_make_one_update(tmp_path: Path) -> None:
    folder = train(tmp_path, "Global.update_freq=2", "Global.epochs=1")
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "epoch"] == [2]  # batches of 8, 8, 6: two updates


def test_rates_scale_with_the_batch_where_the_config_asks(tmp_path: Path) -> None:
    folder = train(tmp_path, "Optimizer.lr.base_batch_size=4", "Optimizer.lr.warmup_epoch=0", "Global.epochs=1")
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert events[0]["lr"] == pytest.approx(0.01 * 8 / 4)
    assert "every rate is multiplied by 2" in (folder / "train.log").read_text()


def test_asking_for_dali_is_answered_with_one_line(tmp_path: Path) -> None:
    folder = train(tmp_path, "Global.use_dali=True", "Global.epochs=1")
    assert (folder / "train.log").read_text().count("the project's own reader serves instead") == 1


def test_the_tools_run_from_any_folder(home: Path, tmp_path: Path) -> None:
    done = tool("eval", "-c", str(home / "tiny.yaml"), "-o", best(home), cwd=tmp_path)
    assert (done.returncode, "[Eval][Epoch 0][Avg]" in done.stdout) == (0, True), done.stderr


def test_the_tool_for_export_is_the_export_command(home: Path, tmp_path: Path) -> None:
    words = ("-c", str(home / "tiny.yaml"), "-o", best(home), "-o", "Global.save_inference_dir=here")
    done = tool("export_model", *words, cwd=tmp_path)
    assert (done.returncode, (tmp_path / "here" / "inference.pdiparams").exists()) == (0, True), done.stderr


def test_every_recipe_is_found_by_its_bare_name() -> None:
    names = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
    assert {"train1.yaml", "train2.yaml", "train.yaml", "two_stage.yaml", "eval.yaml", "infer.yaml"} <= set(names)


def test_an_evaluation_that_is_told_to_stop_gives_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(tmp_path, "Global.epochs=1")
    network = BACKBONES.get(NAME)
    forward = network.forward
    monkeypatch.setattr(
        network, "forward", lambda self, images: signal.raise_signal(signal.SIGTERM) or forward(self, images)
    )
    capsys.readouterr()
    assert run("eval", write_config(tmp_path), f"Global.pretrained_model={folder / 'latest'}") == 128 + signal.SIGTERM
    printed = capsys.readouterr()
    assert printed.err == "error[stopped]: the evaluation was stopped by SIGTERM; there is no result\n"
    assert "[Avg]" not in printed.out

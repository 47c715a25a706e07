"""What README.md and docs/ tell a reader to type works, and what they point at is there."""

import ast
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest

from ppcls.arch import build_model
from ppcls.cli import build_parser, main
from ppcls.config import Component
from ppcls.config.schema import ArchConfig
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.registry import BACKBONES, HOOKS, LOSSES, OPS, Registry
from ppcls.utils.errors import ConfigError
from ppcls.utils.save_load import model_arrays, write_weights

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "benchmarks" / "README.md"]
LAUNCH = "python -m paddle.distributed.launch"
BEST = "-o Global.pretrained_model=output/fine_tune/OctMobileNetV2_x1_125/best_model"
FINE_TUNE = "-c fine_tune.yaml -o Arch.class_num=2"


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """The commands in bash blocks: comments removed, continued lines joined, one blank between words."""
    lines = "".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    return [" ".join(shlex.split(line, comments=True)) for line in lines if shlex.split(line, comments=True)]


TYPED = list(dict.fromkeys(command for path in DOCUMENTS for command in commands(path)))

CROPS = (
    "-o DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=64 "
    "-o DataLoader.Eval.dataset.transform_ops.1.ResizeImage.resize_short=64 "
    "-o DataLoader.Eval.dataset.transform_ops.2.CropImage.size=64"
)
ASKED = "-o Infer.transforms.1.ResizeImage.resize_short=64 -o Infer.transforms.2.CropImage.size=64"
IMAGENET = "-o Global.device=cpu " + " ".join(
    f"-o DataLoader.{split}.dataset.image_root=imagenet -o DataLoader.{split}.dataset.cls_label_path=imagenet/{name} "
    f"-o DataLoader.{split}.sampler.batch_size=2 -o DataLoader.{split}.loader.num_workers=1"
    for split, name in (("Train", "train_list.txt"), ("Eval", "val_list.txt"))
)
SMALLEST = "MobileNetV1_x0_25"
OCTAVIZED = "ResNet50.pdparams ResNet50_octave.pdparams --arch ResNet50 --alpha 0.25"
FROM_PLAIN = "-c ImageNet/ResNet/ResNet50.yaml -o Arch.alpha=0.25 -o Arch.pretrained=ResNet50_octave.pdparams"
WEIGHTS = "-o Global.pretrained_model=WEIGHTS.pdparams"

# Command -> exit code. `pictures`, like `imagenet` below, is made: six pictures of two classes.
AS_IS = {
    "ppcls prepare folder pictures --out lists": 0,
    "ppcls prepare digits": 0,
    "ppcls check-data -c quick_start/digits.yaml --json report.json": 0,
    "ppcls check-data dataset/digits/val_list.txt --image-root dataset/digits --sha256 pictures.sha256": 0,
    "ppcls check-data dataset/digits/val_list.txt --image-root dataset/digits --compare pictures.sha256": 0,
    "ppcls bench-data -c quick_start/digits.yaml --images-per-second 2000 --json speed.json": 0,
    "ppcls config -c train1.yaml": 0,
    "ppcls config -c eval.yaml --mode eval": 0,
    "ppcls config -c train1.yaml -o Global.epochs=2 "
    "-o DataLoader.Train.dataset.transform_ops.1.RandCropImage.size=160": 0,
    "ppcls config -c train1.yaml -o Global.epoch=3 -o Optimizer.lr.name=Cosin -o Arch.alpha=half -o Global.seed=-1": 2,
    "ppcls config -c train1.yaml -o Global.eval_mode=retrieval": 2,
    "ppcls list": 0,
    "ppcls list schedule loss": 0,
    "ppcls lr -c train1.yaml --samples 1281167 --world 4": 0,
    "ppcls models MobileNetV2": 0,
    "ppcls train -c quick_start/digits.yaml -p batch_range=[5,8];timer_only=False;profile_path=trace.json": 1,
}
NUMBERS = "--json input.json"
# Command -> the same with small things in place of large ones.
STAND_INS = {
    f"ppcls train {FINE_TUNE} {WEIGHTS}": f"ppcls train {FINE_TUNE} {WEIGHTS} {CROPS} -o Global.epochs=1 "
    "-o Optimizer.lr.warmup_epoch=0",
    f"ppcls eval {FINE_TUNE} {BEST}": f"ppcls eval {FINE_TUNE} {BEST} {CROPS}",
    f"ppcls infer {FINE_TUNE} {BEST} -o Infer.infer_imgs=pictures": f"ppcls infer {FINE_TUNE} {BEST} "
    f"-o Infer.infer_imgs=pictures {ASKED}",
    f"ppcls export {FINE_TUNE} {BEST} --onnx --optimize": f"ppcls export {FINE_TUNE} {BEST} --onnx --optimize "
    "-o Global.image_shape=[3,64,64]",
    f"{LAUNCH} tools/train.py -c train1.yaml": f"tools/train.py -c train1.yaml --dry-run {IMAGENET} {CROPS}",
    f"{LAUNCH} tools/train.py -c train2.yaml": f"tools/train.py -c train2.yaml --dry-run {IMAGENET} {CROPS} {WEIGHTS}",
    f"{LAUNCH} --log_dir output/launch tools/train.py -c two_stage.yaml": f"{LAUNCH} --log_dir output/launch "
    f"tools/train.py -c two_stage.yaml --dry-run {IMAGENET} {CROPS}",
    f"{LAUNCH} --nproc_per_node 4 --log_dir output/launch tools/train.py -c two_stage.yaml": f"{LAUNCH} "
    f"--nproc_per_node 2 --log_dir output/launch tools/train.py -c two_stage.yaml --dry-run {IMAGENET} {CROPS}",
    "python tools/eval.py -c eval.yaml": f"tools/eval.py -c eval.yaml {IMAGENET} {CROPS} {WEIGHTS}",
    "python tools/infer.py -c infer.yaml": f"tools/infer.py -c infer.yaml -o Global.device=cpu {WEIGHTS} {ASKED}",
    "python benchmarks/list_index.py --json list_index.json": "benchmarks/list_index.py --lines 2000 --repeat 1 "
    "--json list_index.json",
    "python benchmarks/startup.py --json startup.json": "benchmarks/startup.py --repeat 1 --json startup.json",
    "OMP_NUM_THREADS=1 python benchmarks/engine_loop.py --json engine_loop.json": "benchmarks/engine_loop.py "
    "--rounds 1 --updates 2 --json engine_loop.json",
    f"python benchmarks/input.py --list val_list.txt --root pictures --repeat 3 {NUMBERS}": "benchmarks/input.py "
    f"--list dataset/digits/train_list.txt --root dataset/digits --epochs 1 --repeat 1 {NUMBERS}",
    f"ppcls octavize {OCTAVIZED}": f"ppcls octavize PLAIN.pdparams OCTAVE.pdparams --arch {SMALLEST} --alpha 0.25",
    f"ppcls train {FROM_PLAIN}": f"ppcls train -c ImageNet/MobileNetV1/{SMALLEST}.yaml --dry-run {IMAGENET} {CROPS} "
    "-o Arch.alpha=0.25 -o Arch.pretrained=OCTAVE.pdparams",
}
# Command -> why it is not run here; the tests below look at what it is made of.
CANNOT = {
    "make demo": "installs packages and takes minutes",
    "make test": "runs this very suite",
    "ppcls demo": "trains for minutes",
    "ppcls prepare imagenet --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar "
    "--devkit ILSVRC2012_devkit_t12.tar.gz --out dataset/ILSVRC2012": "the archives have 145 GB, and a licence",
    f"{LAUNCH} --nnodes 2 --master 10.0.0.1:8790 --rank 0 tools/train.py -c two_stage.yaml": "wants two machines; "
    "tests/engine/test_machines.py starts two launchers",
    "make faults": "takes minutes",
    "pip install onnx paddle2onnx onnxruntime openvino": "changes the packages that run this suite",
    "ppcls octaves demo/digits/three.png -c quick_start/digits.yaml "
    "-o Global.pretrained_model=output/digits/OctMobileNetV2/stage2/best_model": "wants the demo's weights",
    "python benchmarks/alpha_sweep.py --epochs 6": "takes a quarter of an hour",
    "python benchmarks/depthwise_training.py --json": "takes minutes",
    "OMP_NUM_THREADS=1 python benchmarks/depthwise_training.py --json": "takes minutes",
    "python benchmarks/training_step.py --json training_step.json": "takes minutes",
    "python benchmarks/inference.py --rounds 7 --json inference.json": "takes ten minutes",
    "ppcls eval -c fine_tune.yaml -o Arch.class_num=2 --engine onnxruntime": "wants a program for large pictures; "
    "tests/engine/test_exported_network.py judges a small one",
    "ppcls train -c train1.yaml -p batch_range=[50,150]": "wants a GPU and ImageNet",
    **{command: "this suite runs those tests" for command in TYPED if command.startswith("python -m pytest ")},
}


def test_every_command_is_run_as_it_is_or_with_stand_ins_or_is_known_not_to_be() -> None:
    assert len(AS_IS) + len(STAND_INS) + len(CANNOT) == len({*AS_IS, *STAND_INS, *CANNOT})
    assert sorted(TYPED) == sorted({*AS_IS, *STAND_INS, *CANNOT})


def write_pictures(folder: Path, names: list[str]) -> None:
    """Striped pictures, one class after the other."""
    dataset = SyntheticDataset(class_num=2, side=64)
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), dataset.pixels(index))


def write_imagenet(folder: Path) -> None:
    """Eight pictures, listed as ImageNet is."""
    for split in ("train", "val"):
        names = [f"{split}/{index}.JPEG" for index in range(4)]
        write_pictures(folder, names)
        (folder / f"{split}_list.txt").write_text("".join(f"{name} {index}\n" for index, name in enumerate(names)))


def run(command: str, where: Path) -> int:
    """The exit code of a command in ``where``: of ``ppcls`` in this process, of all else in one of its own."""
    words = shlex.split(command)
    if words[0] == "ppcls":
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(where)
            return main(words[1:])
    words = [sys.executable, *(words[1:] if words[0] == "python" else words)]
    words = [str(ROOT / word) if word.startswith(("tools/", "benchmarks/")) else word for word in words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        done = subprocess.run(words, cwd=where, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and weights, and what the first of several commands leave for the others."""
    folder = tmp_path_factory.mktemp("home")
    write_pictures(folder / "pictures", [f"{kind}/{index}.jpg" for index in range(3) for kind in ("cat", "dog")])
    write_imagenet(folder / "imagenet")
    shutil.copytree(ROOT / "demo", folder / "demo")
    paddle.seed(0)
    for name, file in (("OctMobileNetV2_x1_125", "WEIGHTS.pdparams"), (SMALLEST, "PLAIN.pdparams")):
        network = build_model(ArchConfig(component=Component(name, {}, "Arch")))
        write_weights(folder / file, model_arrays(network))
    for command in EARLIER:
        assert run(STAND_INS.get(command, command), folder) == 0, command
    return folder


EARLIER = ["ppcls prepare folder pictures --out lists", "ppcls prepare digits", *list(AS_IS)[3:4], *list(STAND_INS)[:1]]
EARLIER += [command for command in STAND_INS if command.startswith("ppcls octavize ")]


@pytest.mark.parametrize("command", [command for command in AS_IS if command not in EARLIER])
def test_a_command_runs_as_it_is(command: str, home: Path) -> None:
    assert run(command, home) == AS_IS[command]


@pytest.mark.parametrize("command", [command for command in STAND_INS if command not in EARLIER])
def test_a_command_runs_with_stand_ins(command: str, home: Path) -> None:
    assert run(STAND_INS[command], home) == 0


@pytest.mark.parametrize("command", EARLIER)
def test_a_command_that_others_build_on_has_run(command: str, home: Path) -> None:
    left = {
        "folder": "lists/label_list.txt",
        "digits": "dataset/digits/train_list.txt",
        "--sha256": "pictures.sha256",
        "octavize": "OCTAVE.pdparams",
        "train": "output/fine_tune/OctMobileNetV2_x1_125/best_model.pdparams",
    }
    (name,) = [path for word, path in left.items() if word in command.split()]
    assert (home / name).is_file()


def test_a_run_leaves_what_the_readme_lists(home: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## What a run leaves")[2].partition("\n## ")[0]
    there = {path.name for path in (home / "output/fine_tune/OctMobileNetV2_x1_125").iterdir()}
    for name in there - {"run.lock"}:
        assert re.sub(r"^(latest|best_model)\..*", r"\1.*", name) in readme, name
    for name in ("config.yaml", "train.log", "metrics.jsonl", "summary.csv", "curves.png", "latest.pdopt"):
        assert name in there


@pytest.mark.parametrize("command", [command for command in CANNOT if command.startswith("make ")])
def test_make_knows_its_targets(command: str) -> None:
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    does = {"make demo": "ppcls demo", "make test": "-m pytest", "make faults": "-m pytest tests/faults"}
    assert does[command] in done.stdout


@pytest.mark.parametrize("command", [command for command in CANNOT if command.startswith("ppcls ")])
def test_ppcls_takes_the_words_of_what_is_not_run(command: str) -> None:
    assert callable(build_parser().parse_args(command.split()[1:]).run)


def test_prepare_imagenet_asks_for_its_archives_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [command for command in CANNOT if "imagenet" in command]
    assert run(command, tmp_path) != 0
    assert "ILSVRC2012_devkit_t12.tar.gz" in capsys.readouterr().err


def test_the_benchmark_that_takes_minutes_measures_a_small_case() -> None:
    spec = importlib.util.spec_from_file_location("depthwise_training", ROOT / "benchmarks/depthwise_training.py")
    benchmark = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "depthwise_training", benchmark)  # where its dataclass looks for itself
        spec.loader.exec_module(benchmark)
    benchmark.CASES = {"tiny": ({"scale": 0.125}, 32, 4, 10)}
    row = benchmark.measure("tiny", steps=1)
    assert (row.case, row.steps) == ("tiny", 1)
    assert min(row.with_s, row.without_s, row.ratio) > 0


def test_the_snippet_about_octaves_holds() -> None:
    (code,) = blocks(ROOT / "docs/octave.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_sweep_of_alphas_writes_table_plot_and_numbers(tmp_path: Path) -> None:
    words = "--epochs 1 --alphas 0 0.5 -o Arch.scale=0.125 -o DataLoader.Train.sampler.batch_size=512"
    script = [sys.executable, str(ROOT / "benchmarks" / "alpha_sweep.py"), "--out", str(tmp_path), *words.split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "alpha_sweep.json").read_text())
    assert [(row["alpha"], len(row["top1"])) for row in rows] == [(0.0, 3), (0.5, 3)]
    assert rows[0]["macs"] > rows[1]["macs"]
    assert rows[0]["params"] == rows[1]["params"]
    assert rows[0]["mean"] == pytest.approx(np.mean(rows[0]["top1"]))
    assert rows[0]["spread"] == pytest.approx(np.std(rows[0]["top1"], ddof=1))
    assert all((tmp_path / f"alpha_sweep.{suffix}").stat().st_size for suffix in ("md", "png"))


@pytest.mark.parametrize("command", [command for command in CANNOT if "-m pytest" in command])
def test_the_files_of_a_proof_are_there(command: str) -> None:
    files = [word for word in command.split() if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_every_test_that_a_document_names_is_there() -> None:
    named = {name for path in DOCUMENTS for name in re.findall(r"`(tests/[\w/]+\.py::\w+)`", path.read_text("utf-8"))}
    assert len(named) > 15
    for name in named:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        other = (path.parent / file) if file else path
        assert other.exists(), target
        titles = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {title.lower().replace(" ", "-").replace("`", "") for title in titles}, target


@pytest.mark.parametrize("name", ["configuration.md", "coming_from_paddleclas.md"])
def test_the_error_shown_is_the_one_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = [block for block in blocks(ROOT / "docs" / name, "text") if block.startswith("error[")]
    (command,) = [command for command in commands(ROOT / "docs" / name) if AS_IS.get(command) == 2]
    assert main(shlex.split(command)[1:]) == 2
    assert capsys.readouterr().err == shown


def test_the_table_of_models_is_what_ppcls_models_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = r"^\| `(\w+)` \| ([\d.]*) ?\| ([\d,]+) \| ([\d,]+) \| ([\d. /]+) \|$"
    shown = [re.findall(row, (ROOT / name).read_text("utf-8"), re.M) for name in ("README.md", "docs/models.md")]
    rows = [row for rows in shown for row in rows]
    assert sorted(row[0] for row in rows) == sorted(name for name, model in models.items() if model["top1"] is not None)
    for name, alpha, params, macs, published in rows:
        model = models[name]
        assert alpha == ("" if model["alpha"] is None else f"{model['alpha']:g}")
        assert (params, macs) == (f"{model['params']:,}", f"{model['macs']:,}")
        assert published == f"{model['top1']} / {model['top5']}"


def execute(code: str, tables: list[Registry], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a module that registers; the tables forget it afterwards."""
    for table in tables:
        patch.setattr(table, "_objects", dict(table._objects))
        patch.setattr(table, "_parameters", dict(table._parameters))
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "snippet.py", "exec", dont_inherit=True), names)
    return names


def test_the_model_that_the_readme_adds_is_built_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    execute(code, [BACKBONES], monkeypatch)
    model = build_model(ArchConfig(component=Component("MeanColour", {}, "Arch"), class_num=10))
    assert model(paddle.zeros([2, 3, 5, 7])).shape == [2, 10]
    with pytest.raises(ConfigError, match="MeanColour has no argument 'widht'"):
        BACKBONES.build(Component("MeanColour", {"widht": 2}, "Arch"))


def checked_loss() -> None:
    loss = LOSSES.build(Component("EveryClassBCE", {}, "Loss.Train.0.EveryClassBCE"))
    assert float(loss(paddle.zeros([2, 3]), paddle.to_tensor([0, 2]))) == pytest.approx(np.log(2))


def checked_op() -> None:
    op = OPS.build(Component("GreySquare", {"length": 4}, "op"))
    image = np.zeros([9, 9, 3], np.uint8)
    assert 0 < (op(image, np.random.default_rng(0)) == 127).sum() <= 4 * 4 * 3
    assert not image.any()


def checked_hook() -> None:
    hook = HOOKS.build(Component("StopWhenFlat", {"patience": 2}, "Hooks.0.StopWhenFlat"))
    assert callable(hook.epoch_end)


@pytest.mark.parametrize(("number", "check"), [(0, checked_loss), (1, checked_op), (2, checked_hook)])
def test_what_the_architecture_adds_works(
    number: int, check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(blocks(ROOT / "docs/architecture.md", "python")[number], [LOSSES, OPS, HOOKS], monkeypatch)
    check()

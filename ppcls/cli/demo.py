"""``ppcls demo``: the whole life of a run on the digits in demo/, within minutes on a CPU."""

import argparse
import json
import os
import time
from pathlib import Path

from ppcls.config import Run, load_run
from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError

_CONFIG = "quick_start/digits.yaml"
_ROOT = Path(__file__).resolve().parents[2]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``ppcls demo``."""
    summary = "train, judge, query and export Oct-MobileNetV2 on the digits in demo/"
    parser = commands.add_parser("demo", help=summary, description=summary)
    parser.set_defaults(run=demo)


def demo(args: argparse.Namespace) -> int:
    """Prepare, train two stages, eval, infer, export; then a table of what came out and where it lies.

    Started again, it continues where it was interrupted; a complete run is not trained twice.
    """
    if not (_ROOT / "demo").is_dir():
        raise ConfigError(f"{_ROOT}/demo is missing: ppcls demo runs in a checkout of the repository", "usage")
    os.chdir(_ROOT)  # the quick start's paths are relative to the repository
    start = time.monotonic()
    note = runtime.prepare()
    _prepare_digits()
    run = load_run(_CONFIG, mode="train")

    from ppcls.engine.stages import TrainOptions, train_run

    code = train_run(run, TrainOptions(environment=note))
    if code:
        return code
    _finish(run, start)
    return 0


def _prepare_digits() -> None:
    from ppcls.data.prepare.digits import PACK, unpack_digits

    unpack_digits(Path("dataset/digits"), PACK)


def _finish(run: Run, start: float) -> None:
    """Judge, query and export the weights of the last stage, and print the table."""
    from ppcls.engine import Engine

    folder = run.stages[-1].folder
    weights = [f"Global.pretrained_model={folder / 'best_model'}"]
    results = Engine(load_run(_CONFIG, weights, "eval").stages[-1], "eval").eval()
    Engine(load_run(_CONFIG, weights, "infer").stages[-1], "infer").infer(json_file=folder / "answers.json")
    files = Engine(load_run(_CONFIG, weights, "export").stages[-1], "export").export()
    rows = [
        ("top-1 on held-out digits", f"{results['top1']:.2%}"),
        ("training speed", f"{_training_speed(folder):.0f} images/s"),
        ("time in all", f"{time.monotonic() - start:.0f} s"),
        ("weights", str(folder / "best_model.pdparams")),
        ("logs and curves", f"{folder}/train.log, metrics.jsonl, summary.csv, curves.png"),
        ("answers for demo/digits", str(folder / "answers.json")),
        ("exported program", str(files[0])),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(["", *(f"{name:<{width}}  {value}" for name, value in rows)]))


def _training_speed(folder: Path) -> float:
    """Images per second of the last trained epoch, from its row in ``metrics.jsonl``."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["event"] == "epoch"][-1]["ips"]

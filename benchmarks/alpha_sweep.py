"""Plain and octave networks under equal budgets and seeds: python benchmarks/alpha_sweep.py [--out FOLDER].

A check that the layer learns, and what it costs; no claim about ImageNet. On the digits of demo/, or on any folder with
a folder of pictures for each class (--pictures). Every run has the same config but for alpha and seed, one after the
other; a run that is complete is not trained again, and one that was interrupted goes on.
"""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from ppcls.cli import main as ppcls
from ppcls.utils.drawing import new_figure, save_figure
from ppcls.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "config.yaml"  # of all runs, in the output folder


@dataclass(frozen=True)
class Row:
    """One alpha: top-1 of the last epoch over the seeds, in [0, 1]; seconds of training an epoch, the median."""

    alpha: float
    macs: int
    params: int
    top1: list[float]
    mean: float
    spread: float  # sample standard deviation
    epoch_s: float


def parse() -> argparse.Namespace:
    """The command's words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.0, 0.125, 0.25, 0.5, 0.75])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each alpha, at least 3 (%(default)s)")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures for each class; without it, the digits")
    parser.add_argument("--out", type=Path, default=Path("output/alpha_sweep"), help="(%(default)s)")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="as for ppcls train")
    args = parser.parse_args()
    if args.seeds < 3:
        parser.error("--seeds is at least 3: a spread of fewer says nothing")
    return args


def write_config(out: Path) -> None:
    """The quick start in one stage: the sweep compares networks, not schedules."""
    config = yaml.safe_load((ROOT / "configs" / "quick_start" / "digits.yaml").read_text(encoding="utf-8"))
    del config["Stages"]
    config["Optimizer"]["lr"]["eta_min"] = 0.0
    config["Global"]["print_batch_step"] = 0
    write_whole(out / CONFIG, yaml.safe_dump(config).encode())


def prepare(args: argparse.Namespace) -> list[str]:
    """Lists of pictures; the overrides that name them."""
    write_config(args.out)
    data = args.out / "data"
    if args.pictures is None:
        require(ppcls(["prepare", "digits", str(data)]))
        root, classes = data, 10
    else:
        require(ppcls(["prepare", "folder", str(args.pictures), "--out", str(data)]))
        root = args.pictures
        classes = len((data / "label_list.txt").read_text(encoding="utf-8").splitlines())
    named = [f"Arch.class_num={classes}"]
    for split, name in (("Train", "train_list.txt"), ("Eval", "val_list.txt")):
        key = f"DataLoader.{split}.dataset"
        named += [f"{key}.image_root={root}", f"{key}.cls_label_path={data / name}"]
    return named


def train(alpha: float, seed: int, args: argparse.Namespace, data: list[str]) -> tuple[float, float]:
    """Top-1 of the last epoch, and the median seconds of an epoch's training."""
    out = args.out / f"alpha{alpha:g}_seed{seed}"
    settings = [f"Arch.alpha={alpha}", f"Global.seed={seed}", f"Global.epochs={args.epochs}", *data, *args.override]
    words = [word for setting in (*settings, f"Global.output_dir={out}") for word in ("-o", setting)]
    require(ppcls(["train", "-c", str(args.out / CONFIG), *words]))
    (log,) = out.glob("*/metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    judged = [row["top1"] for row in rows if row["event"] == "eval"]
    costs = [row["batch_cost"] for row in rows if row["event"] == "epoch"]
    batches = max(row["step"] for row in rows) / args.epochs
    return judged[-1], statistics.median(costs) * batches


def sweep(args: argparse.Namespace) -> list[Row]:
    """All runs: each seed goes through all alphas, so that what else the machine does falls on all alike."""
    data = prepare(args)
    results: dict[float, list[tuple[float, float]]] = {alpha: [] for alpha in args.alphas}
    for seed in range(args.seeds):
        for alpha in args.alphas:
            results[alpha].append(train(alpha, seed, args, data))
    return [row(alpha, results[alpha], args, data) for alpha in args.alphas]


def row(alpha: float, results: list[tuple[float, float]], args: argparse.Namespace, data: list[str]) -> Row:
    """The numbers of one alpha."""
    from ppcls.arch import build_model
    from ppcls.arch.summary import summarize
    from ppcls.config import load_run

    settings = [f"Arch.alpha={alpha}", *data, *args.override]
    config = load_run(str(args.out / CONFIG), settings).stages[0].config
    size = summarize(build_model(config.Arch), config.Global.image_shape)
    top1 = [value for value, _ in results]
    epoch_s = statistics.median(seconds for _, seconds in results)
    return Row(alpha, size.macs, size.params, top1, statistics.mean(top1), statistics.stdev(top1), epoch_s)


def table(rows: list[Row]) -> str:
    """In Markdown."""
    lines = ["| alpha | multiply-adds | top-1, mean | spread | seconds an epoch |", "|---|---|---|---|---|"]
    for each in rows:
        lines.append(f"| {each.alpha:g} | {each.macs:,} | {each.mean:.2%} | {each.spread:.2%} | {each.epoch_s:.1f} |")
    return "\n".join(lines)


def plot(rows: list[Row], out: Path) -> None:
    """Top-1 over multiply-adds, a bar for the spread."""
    figure = new_figure(6, 4)
    axes = figure.subplots()
    macs = [each.macs / 1e6 for each in rows]
    axes.errorbar(macs, [100 * each.mean for each in rows], yerr=[100 * each.spread for each in rows], fmt="o-")
    for each, x in zip(rows, macs, strict=True):
        axes.annotate(f" alpha {each.alpha:g}", (x, 100 * each.mean))
    axes.set_xlabel("million multiply-adds")
    axes.set_ylabel(f"top-1 in per cent, mean and spread of {len(rows[0].top1)} seeds")
    save_figure(figure, out)


def require(code: int) -> None:
    """Leave with the code of a command that failed."""
    if code:
        sys.exit(code)


def main() -> None:
    """Run the sweep; write table, plot and numbers."""
    args = parse()
    rows = sweep(args)
    write_whole(args.out / "alpha_sweep.json", json.dumps([asdict(each) for each in rows], indent=1).encode())
    write_whole(args.out / "alpha_sweep.md", f"{table(rows)}\n".encode())
    plot(rows, args.out / "alpha_sweep.png")
    print(table(rows))
    print(f"written: {args.out}/alpha_sweep.json, .md and .png")


if __name__ == "__main__":
    main()

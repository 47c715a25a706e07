"""``ppcls bench-data``: how fast a config's pictures are read, decoded and made into batches."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.cli.run import add_config_arguments
from ppcls.config import load_run
from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError

if TYPE_CHECKING:
    from ppcls.data.speed import LoaderSpeed, Stage


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``ppcls bench-data``."""
    summary = "measure how fast pictures are read, decoded and batched, and how many cores a training needs"
    parser = commands.add_parser("bench-data", help=summary, description=summary)
    add_config_arguments(parser)
    parser.add_argument("--split", choices=("Train", "Eval"), default="Train", help="(%(default)s)")
    parser.add_argument("--pictures", type=int, default=512, metavar="N", help="to measure with (%(default)s)")
    parser.add_argument("--images-per-second", type=float, metavar="N", help="tell the cores that this speed needs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.set_defaults(run=bench_data)


def bench_data(args: argparse.Namespace) -> int:
    """``ppcls bench-data``: tables on standard output; 0.

    Raises:
        ConfigError: wrong words, or a config that does not build.
        DataError: as a run would end, or no picture can be read.
    """
    _require_sense(args)
    config = load_run(args.config, args.override, "train" if args.split == "Train" else "eval").stages[-1].config
    runtime.prepare()
    from ppcls.data.speed import cores_needed, loader_speeds, stage_costs
    from ppcls.utils import compat
    from ppcls.utils.files import write_whole

    device = compat.select_device(config.Global.device)
    settings = getattr(config.DataLoader, args.split)
    cores = runtime.usable_cores()
    known = {"split": args.split, "class_num": config.Arch.class_num}
    workers = sorted({0, settings.loader.num_workers, *(2**power for power in range(cores.bit_length()))})
    speeds = loader_speeds(settings, workers, args.pictures, **known)
    stages = stage_costs(settings, args.pictures, **known)
    print("\n".join(_tables(stages, speeds)))
    report = {"format": 1, "split": args.split, "device": device, "cores": cores, "backend": settings.loader.backend}
    report |= {"fast_decode": settings.dataset.fast_decode, "stages": [stage._asdict() for stage in stages]}
    report |= {"loader": [speed._asdict() for speed in speeds]}
    if args.images_per_second:
        needed = cores_needed(stages, args.images_per_second)
        print(f"{args.images_per_second:g} images/s keep {needed:.1f} cores busy; this machine has {cores}")
        report |= {"images_per_second": args.images_per_second, "cores_needed": needed}
    if args.json:
        write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())
    return 0


def _require_sense(args: argparse.Namespace) -> None:
    if args.pictures < 1:
        raise ConfigError(f"--pictures is at least 1; got {args.pictures}", "usage")
    if args.images_per_second is not None and not 0 < args.images_per_second < float("inf"):
        raise ConfigError(f"--images-per-second is above 0; got {args.images_per_second}", "usage")
    if args.json is not None and args.json.is_dir():
        raise ConfigError(f"{args.json} is a folder; name a file to write", "usage")


def _tables(stages: "list[Stage]", speeds: "list[LoaderSpeed]") -> list[str]:
    lines = [f"{'stage, on one core':<28} {'ms a picture':>12} {'images/s':>10}"]
    lines += [f"{name:<28} {seconds * 1e3:>12.3f} {1 / max(seconds, 1e-9):>10.0f}" for name, seconds in stages]
    lines += ["", f"{'whole loader, num_workers':<28} {'':>12} {'images/s':>10}"]
    return lines + [f"{number:<28} {'':>12} {speed:>10.0f}" for number, speed in speeds]

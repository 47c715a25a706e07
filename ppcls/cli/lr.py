"""``ppcls lr``: the learning rate of a config, step by step, without training."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppcls.cli.run import add_config_arguments
from ppcls.config import Component, Config, load_run
from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError
from ppcls.utils.files import output_errors

if TYPE_CHECKING:
    from ppcls.optimizer import Schedule

_ROWS = 40
_PLOT_POINTS = 2000


class Curve(NamedTuple):
    """The schedule of one stage; ``name`` is empty in a run without stages."""

    name: str
    schedule: "Schedule"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``ppcls lr``."""
    summary = "print, save or plot the learning rate of a config"
    parser = commands.add_parser("lr", help=summary, description=summary)
    add_config_arguments(parser)
    add_arguments(parser)
    parser.set_defaults(run=lr)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``ppcls lr`` takes beside ``-c`` and ``-o``."""
    parser.add_argument("--samples", type=int, metavar="N", help="training samples, where the list file is not there")
    parser.add_argument("--world", type=int, default=1, metavar="N", help="cards that train together (%(default)s)")
    parser.add_argument("--all", action="store_true", help=f"print every epoch, not about {_ROWS}")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rate of every step")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curve, as .png, .svg or .pdf")


def lr(args: argparse.Namespace) -> int:
    """``ppcls lr``: a table on standard output; 0.

    Raises:
        ConfigError: the number of samples is unknown, or ``--plot`` without matplotlib.
    """
    for name in ("samples", "world"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ConfigError(f"--{name} is at least 1; got {getattr(args, name)}", "usage")
    stages = load_run(args.config, args.override, "train").stages
    runtime.prepare()
    curves = [Curve(stage.name or "", _schedule(stage.config, args.samples, args.world)) for stage in stages]
    for curve in curves:
        print("\n".join(_table(curve, every=args.all)))
    if args.csv:
        _write_csv(curves, args.csv)
        print(f"every step: {args.csv}")
    if args.plot:
        _plot(curves, args.plot)
        print(f"plot: {args.plot}")
    return 0


def _schedule(config: Config, samples: int | None, world: int) -> "Schedule":
    # The first import of paddle in this command: a typo in the YAML has been found by now.
    from ppcls.optimizer import build_schedule

    update_freq = config.Global.update_freq
    batches = _batches(config, samples or _count_samples(config), world)
    updates = -(-batches // update_freq)
    scale = config.Optimizer.rate_scale(config.DataLoader.Train.sampler.batch_size * world * update_freq)
    return build_schedule(config.Optimizer.lr, epochs=config.Global.epochs, step_each_epoch=updates, scale=scale)


def _batches(config: Config, samples: int, world: int) -> int:
    """Batches of one rank in an epoch, counted by the sampler itself."""
    from ppcls.data.dataloader.sampler import Shard
    from ppcls.registry import SAMPLERS

    settings = config.DataLoader.Train.sampler
    arguments = {"batch_size": settings.batch_size, "shuffle": settings.shuffle, "drop_last": settings.drop_last}
    component = Component(settings.name, arguments, "DataLoader.Train.sampler")
    return len(SAMPLERS.build(component, length=samples, shard=Shard(0, world)))


def _count_samples(config: Config) -> int:
    file = config.DataLoader.Train.dataset.component.kwargs.get("cls_label_path")
    if not file or not Path(file).is_file():
        what = f"list file {file} is not there" if file else "the data set has no list file"
        raise ConfigError(f"{what}; give the number of training samples: --samples 1281167 for ImageNet", "usage")
    with Path(file).open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _table(curve: Curve, *, every: bool) -> list[str]:
    from ppcls.optimizer import describe

    schedule = curve.schedule
    stride = 1 if every else -(-schedule.epochs // _ROWS)
    epochs = sorted({*range(1, schedule.epochs + 1, stride), schedule.epochs})
    title = f"{curve.name}: " if curve.name else ""
    lines = [f"{title}{describe(schedule)}", f"{'epoch':>6} {'step':>9} {'first lr':>12} {'last lr':>12}"]
    for epoch in epochs:
        first = (epoch - 1) * schedule.step_each_epoch
        last = first + schedule.step_each_epoch - 1
        lines.append(f"{epoch:>6} {first:>9} {schedule(first):>12.6g} {schedule(last):>12.6g}")
    return lines


def _write_csv(curves: Sequence[Curve], file: Path) -> None:
    with output_errors(file), file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["stage", "epoch", "step", "lr"])
        for name, schedule in curves:
            rows = range(schedule.steps)
            writer.writerows([name, step // schedule.step_each_epoch + 1, step, schedule(step)] for step in rows)


def _plot(curves: Sequence[Curve], file: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install matplotlib", "usage") from error
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    start = 0
    for name, schedule in curves:
        steps = range(0, schedule.steps, max(1, schedule.steps // _PLOT_POINTS))
        epochs = [start + step / schedule.step_each_epoch for step in steps]
        axes.plot(epochs, [schedule(step) for step in steps], label=name or None)
        start += schedule.epochs
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    if len(curves) > 1:
        axes.legend()
    try:
        with output_errors(file):
            figure.savefig(file)
    except ValueError as error:
        raise ConfigError(f"--plot {file}: {error}", "usage") from error

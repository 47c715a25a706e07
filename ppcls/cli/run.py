"""train, eval, infer, export: options -> config -> environment -> engine."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.config import Run, load_run
from ppcls.config.profiler_options import ProfilerOptions, parse_profiler_options
from ppcls.utils import launcher, runtime
from ppcls.utils.errors import ConfigError

if TYPE_CHECKING:
    from ppcls.engine import Engine

_ENGINES = ("eager", "paddle", "onnxruntime", "openvino")  # and how they run: utils/runners.py, too slow to import here
_Command = Callable[[argparse.Namespace], int]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the four commands of a run."""
    train_parser = _command(commands, "train", train, "train a network, all stages of its config")
    start = train_parser.add_mutually_exclusive_group()
    start.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PREFIX",
        help="continue from the newest checkpoint of the output folder, or from PREFIX",
    )
    start.add_argument(
        "--overwrite", action="store_true", help="move a folder that holds another run's checkpoints aside"
    )
    train_parser.add_argument(
        "--allow-config-change",
        action="store_true",
        help="continue although settings that decide the numbers differ from the checkpoint's",
    )
    train_parser.add_argument(
        "--dry-run", action="store_true", help="build all, do two updates and one evaluation batch, write nothing"
    )
    eval_parser = _command(commands, "eval", evaluate, "judge weights on DataLoader.Eval")
    infer_parser = _command(commands, "infer", infer, "name what is in pictures")
    infer_parser.add_argument("--json", type=Path, metavar="FILE", help="also write all answers as JSON")
    infer_parser.add_argument("--csv", type=Path, metavar="FILE", help="also write all answers as CSV")
    for parser in (eval_parser, infer_parser):
        parser.add_argument(
            "--engine",
            choices=_ENGINES,
            default="eager",
            help="eager: the network and its weights; others run what was exported into Global.save_inference_dir",
        )
    export_parser = _command(commands, "export", export, "write an inference program")
    export_parser.add_argument(
        "--onnx", action="store_true", help="also write inference.onnx (pip install paddle2onnx)"
    )
    export_parser.add_argument(
        "--optimize", action="store_true", help="with --onnx: rewrite it for engines, same answers (pip install onnx)"
    )
    export_parser.add_argument(
        "--pad-channels",
        type=int,
        choices=(8, 16),
        default=1,
        help="with --optimize, for ONNX Runtime: zero channels up to a multiple of 8 (AVX2) or 16 (AVX-512)",
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """``-c`` and ``-o``, which every command that reads a config has."""
    parser.add_argument("-c", "--config", required=True, help="YAML file; also looked up under configs/")
    parser.add_argument(
        "-o",
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set one dotted key, e.g. -o Global.epochs=2; repeatable",
    )


def train(args: argparse.Namespace) -> int:
    """``ppcls train``: 0 when every epoch is done."""
    if args.dry_run and (args.resume or args.overwrite):
        raise ConfigError("--dry-run starts afresh and writes nothing; leave out --resume and --overwrite", "usage")
    if args.dry_run and args.profiler_options is not None:
        raise ConfigError("--dry-run trains nothing that -p could profile; leave out one of them", "usage")
    resume = [f"Global.checkpoints={args.resume}"] if args.resume else []
    run, note = _load(args, "train", resume)
    from ppcls.engine.stages import TrainOptions, train_run

    options = TrainOptions(
        overwrite=args.overwrite,
        dry_run=args.dry_run,
        allow_config_change=args.allow_config_change,
        environment=note,
        profile=args.profiler_options,
    )
    return train_run(run, options)


def evaluate(args: argparse.Namespace) -> int:
    """``ppcls eval``."""
    engine_of(args, "eval", args.engine).eval()
    return 0


def infer(args: argparse.Namespace) -> int:
    """``ppcls infer``: answers on standard output; 1 when a picture could not be read."""
    engine_of(args, "infer", args.engine).infer(json_file=args.json, csv_file=args.csv)
    return 0


def export(args: argparse.Namespace) -> int:
    """``ppcls export``."""
    if args.optimize and not args.onnx:
        raise ConfigError("--optimize rewrites the ONNX program; add --onnx", "usage")
    if args.pad_channels > 1 and not args.optimize:
        raise ConfigError("--pad-channels is a part of the rewriting; add --optimize", "usage")
    engine_of(args, "export").export(args.onnx, args.optimize, args.pad_channels)
    return 0


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, function: _Command, summary: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    add_config_arguments(parser)
    parser.add_argument(
        "-p",
        "--profiler_options",
        type=_profiler_options,
        metavar="KEY=VALUE;...",
        help="profile a range of batches, e.g. 'batch_range=[10,20];timer_only=False'; acts in train only",
    )
    parser.set_defaults(run=function)
    return parser


def _profiler_options(text: str) -> ProfilerOptions:
    """As argparse wants it, which replaces the text of any other error."""
    try:
        return parse_profiler_options(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _load(args: argparse.Namespace, mode: str, more: list[str] | None = None) -> tuple[Run, str]:
    """The config, and what was done to the environment; after this, paddle may be imported."""
    launcher.leave_with_launcher()
    run = load_run(args.config, [*args.override, *(more or [])], mode)
    return run, runtime.prepare()


def engine_of(args: argparse.Namespace, mode: str, engine: str = "eager") -> "Engine":
    """The engine of the last stage; ``engine`` is its ``runtime``."""
    run, note = _load(args, mode)
    from ppcls.engine import Engine
    from ppcls.utils import dist, logger

    stage = run.stages[-1]
    if mode != "eval" and dist.world_size() > 1:
        raise ConfigError(f"{mode} runs in one process; start it without paddle.distributed.launch", "usage")
    quiet = dist.rank() not in stage.config.Global.log_ranks
    log = logger.setup(quiet=quiet, to_stderr=mode == "infer")
    log.info(note)
    if vars(args).get("profiler_options") is not None:
        log.warning("-p without effect: it profiles ppcls train alone")
    return Engine(stage, mode, engine)


def tool(command: str) -> None:
    """What ``tools/*.py`` call: the command with this process's arguments."""
    from ppcls.cli import main

    sys.exit(main([command, *sys.argv[1:]]))

"""``ppcls config`` and ``ppcls list``: what a YAML comes to, and what it may name."""

import argparse

from ppcls.cli.run import add_config_arguments
from ppcls.config import load_run, resolved_yaml
from ppcls.config.catalogue import Entry, build_catalogue
from ppcls.config.check import missing
from ppcls.utils.errors import ConfigError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``config`` and ``list``."""
    config_parser = commands.add_parser("config", help="print a config with every default written out")
    add_config_arguments(config_parser)
    modes = ("train", "eval", "infer", "export")
    config_parser.add_argument("--mode", choices=modes, default="train", help="what the config is for")
    config_parser.set_defaults(run=config)
    list_parser = commands.add_parser("list", help="print the names a config may use, with their arguments")
    list_parser.add_argument("kind", nargs="*", help="part of a kind, such as backbone or op; all when absent")
    list_parser.set_defaults(run=list_)


def config(args: argparse.Namespace) -> int:
    """Print each stage with every default written out, as YAML that can be run.

    Args:
        args: ``config``, ``override`` and ``mode``.
    """
    run = load_run(args.config, args.override, args.mode)
    for stage in run.stages:
        print(f"# {args.config}{f', stage {stage.name}' if stage.name else ''}: runs in {stage.folder}")
        for key in sorted(stage.overrides):
            print(f"# -o {key}")
        print(resolved_yaml(stage))
    return 0


def list_(args: argparse.Namespace) -> int:
    """Print the names a YAML may use, each with its arguments and its first line of documentation.

    Args:
        args: ``kind``, parts of kinds' names; an empty list for all.
    """
    tables = build_catalogue().values()
    kinds = [kind.lower().rstrip("s") for kind in args.kind]
    shown = [table for table in tables if not kinds or any(kind in table.kind for kind in kinds)]
    for table in shown:
        print(f"{table.kind}:")
        for name, entry in sorted(table.entries.items()):
            print(f"  {name}({_arguments(entry)})")
            if entry.summary:
                print(f"      {entry.summary}")
    if not shown:
        raise ConfigError(
            f"no kind {' '.join(args.kind)}; there are: {', '.join(table.kind for table in tables)}", "usage"
        )
    return 0


def _arguments(entry: Entry) -> str:
    """``alpha=0.5, scale``: what has no default must be given; what the engine gives is left out."""
    needed = missing(entry, ())
    return ", ".join(
        name if parameter.default is None else f"{name}={parameter.default}"
        for name, parameter in entry.parameters.items()
        if parameter.default is not None or name in needed
    )

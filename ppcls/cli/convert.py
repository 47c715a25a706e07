"""``ppcls convert``: weights from one kind of file into another."""

import argparse
from pathlib import Path


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``convert``."""
    summary = "weights between .pdparams, .pdema and .safetensors, number for number"
    parser = commands.add_parser("convert", help=summary, description=summary)
    parser.add_argument("source", metavar="IN", help="a file of weights, or a prefix such as best_model")
    parser.add_argument("target", metavar="OUT", type=Path, help="its suffix says the format")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    parser.set_defaults(run=convert)


def convert(args: argparse.Namespace) -> int:
    """Read IN by the reader that every command uses, which runs no code, and write OUT, whole or not at all."""
    from ppcls.utils.convert import convert_weights

    done = convert_weights(args.source, args.target, overwrite=args.overwrite)
    print(f"{done.source} -> {args.target}: {done.tensors} tensors, {done.bytes:,} bytes")
    return 0

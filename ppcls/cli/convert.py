"""``ppcls convert``: weights from one kind of file into another."""

import argparse
from pathlib import Path

from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``convert``."""
    summary = "weights between .pdparams, .pdema and .safetensors, number for number"
    parser = commands.add_parser("convert", help=summary, description=summary)
    parser.add_argument("source", metavar="IN", help="a file of weights, or a prefix such as best_model")
    parser.add_argument("target", metavar="OUT", type=Path, help="its suffix says the format")
    parser.add_argument("--arch", metavar="NAME", help="IN is the authors' file (.params, .tar) for this network")
    parser.add_argument("--alpha", type=float, metavar="A", help="with --arch: the network's alpha, if not its default")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    parser.set_defaults(run=convert)


def convert(args: argparse.Namespace) -> int:
    """Read IN by the reader that every command uses, which runs no code, and write OUT, whole or not at all."""
    if args.arch is not None:
        return _convert_official(args)
    if args.alpha is not None:
        raise ConfigError("--alpha belongs to --arch, which names the network of an official file", "usage")
    from ppcls.utils.convert import convert_weights

    done = convert_weights(args.source, args.target, overwrite=args.overwrite)
    print(f"{done.source} -> {args.target}: {done.tensors} tensors, {done.bytes:,} bytes")
    return 0


def _convert_official(args: argparse.Namespace) -> int:
    """An official file's weights, and beside them a card of what they suppose."""
    runtime.prepare()
    from ppcls.arch.official_files import read_official
    from ppcls.utils.convert import require_free
    from ppcls.utils.model_card import write_card
    from ppcls.utils.save_load import write_weights

    require_free(args.target, args.overwrite)
    official = read_official(Path(args.source), args.arch, args.alpha)
    write_weights(args.target, official.weights)
    card = write_card(official.card, args.target)
    numbers = sum(array.size for array in official.weights.values())
    print(f"{args.source} -> {args.target}: {len(official.weights)} tensors, {numbers:,} numbers; {card} says what for")
    return 0

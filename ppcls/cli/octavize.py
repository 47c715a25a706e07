"""``ppcls octavize``: first weights of an octave network from those of its plain network."""

import argparse
from pathlib import Path

from ppcls.utils import runtime
from ppcls.utils.errors import ConfigError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``octavize``."""
    summary = "slice plain weights into those of the octave network at --alpha, to fine-tune from"
    parser = commands.add_parser("octavize", help=summary, description=summary)
    parser.add_argument("source", metavar="IN", help="plain weights: a file, a prefix or an address")
    parser.add_argument("target", metavar="OUT", type=Path, help="its suffix says the format")
    parser.add_argument("--arch", required=True, metavar="NAME", help="the network, as in Arch.name")
    parser.add_argument("--alpha", required=True, type=float, metavar="A", help="its alpha, above 0 and up to 1")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    parser.set_defaults(run=octavize)


def octavize(args: argparse.Namespace) -> int:
    """Read IN, which must be all weights of the plain network and no others, and write OUT, whole or not at all.

    Raises:
        ConfigError: a name or ``--alpha`` that cannot be, or OUT is taken.
        WeightsError: IN is damaged, or not of this network.
    """
    if not 0 < args.alpha <= 1:
        raise ConfigError(f"--alpha is above 0, where the network is plain, and up to 1; got {args.alpha:g}", "usage")
    runtime.prepare()
    from ppcls.arch import octavize as rule
    from ppcls.utils.convert import require_free
    from ppcls.utils.save_load import read_weights, write_weights

    require_free(args.target, args.overwrite)
    weights = read_weights(args.source)
    arrays = rule.octavize(args.arch, args.alpha, weights)
    write_weights(args.target, arrays)
    numbers = sum(array.size for array in arrays.values())
    tensors = f"{len(weights.arrays)} tensors of {args.arch} became {len(arrays)} at alpha {args.alpha:g}"
    print(f"{weights.path} -> {args.target}: {tensors}, {numbers:,} numbers as before")
    return 0

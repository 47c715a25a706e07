"""``ppcls octaves``: what the two octaves of a network hold, for one picture."""

import argparse
from pathlib import Path

from ppcls.cli.run import add_config_arguments, engine_of
from ppcls.utils.errors import ConfigError


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare ``ppcls octaves``."""
    summary = "draw the maps of both octaves for a picture, their spectra, and the share of work of each path"
    parser = commands.add_parser("octaves", help=summary, description=summary)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture")
    add_config_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("octaves.png"), help=".png, .svg or .pdf (%(default)s)")
    parser.set_defaults(run=octaves)


def octaves(args: argparse.Namespace) -> int:
    """Draw the picture, and print what each path costs.

    Raises:
        ConfigError: the network has no map in two octaves.
        DataError: the picture cannot be read.
    """
    engine = engine_of(args, "infer")
    from ppcls.arch import NCHW, compute_in
    from ppcls.data.preprocess import Pipeline
    from ppcls.data.preprocess.float32 import in_float32
    from ppcls.engine.octaves import draw_octaves, shares
    from ppcls.engine.predict import read_image

    pipeline = Pipeline.for_inference(in_float32(engine.config.Infer.transforms))
    image = read_image(str(args.image), pipeline)
    network = engine.network if engine.config.Arch.data_format == NCHW else compute_in(engine.network, NCHW)
    try:
        trace = draw_octaves(network, image, args.out)
    except ValueError as error:
        raise ConfigError(f"Arch: {error}") from error
    for path, share in shares(trace.macs).items():
        print(f"{path:<6} {share:6.1%} {trace.macs[path]:>15,} multiply-adds")
    print(f"drawn: {args.out}")
    return 0

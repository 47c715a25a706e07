"""``ppcls curves``: runs drawn beside each other, and beside the published one."""

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppcls.utils.curves import Curve


def add_commands(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Declare ``ppcls curves``."""
    summary = "draw loss, learning rate and top-1 of runs beside each other"
    parser = commands.add_parser("curves", help=summary, description=summary)
    add_curves_arguments(parser)
    parser.set_defaults(run=curves)


def add_curves_arguments(parser: ArgumentParser) -> None:
    """``ppcls curves A B ... [-o OUT.png]``."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, a summary.csv, or log/published"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("curves.png"), help=".png, .svg or .pdf (%(default)s)")


def curves(args: Namespace) -> int:
    """Draw the runs into one picture, and print the best epoch of each."""
    from dataclasses import replace

    from ppcls.utils.curves import draw_curves, read_curve

    read = [read_curve(path) for path in args.runs]
    names = [curve.name for curve in read]
    if len(set(names)) < len(names):
        read = [replace(curve, name=str(path)) for curve, path in zip(read, args.runs, strict=True)]
    draw_curves(read, args.out)
    for curve in read:
        print(_best(curve))
    print(f"drawn: {args.out}")
    return 0


def _best(curve: "Curve") -> str:
    points = curve.points("top1")
    if not points:
        return f"{curve.name}: {len(curve.epochs)} epochs, none evaluated"
    epoch, top1 = max(points, key=lambda point: point[1])
    return f"{curve.name}: {len(curve.epochs)} epochs, best top1 {top1:.5f} at epoch {epoch}, last {points[-1][1]:.5f}"

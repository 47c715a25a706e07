"""Data from the command line: ``ppcls prepare digits``."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_prepare_digits_arguments(parser: ArgumentParser) -> None:
    """``ppcls prepare digits [OUT]``."""
    parser.add_argument("out", nargs="?", type=Path, default=Path("dataset/digits"), help="where to (%(default)s)")
    parser.add_argument("--pack", type=Path, help="the packed digits (demo/digits.npz of this repository)")


def prepare_digits(args: Namespace) -> int:
    """Unpack the embedded digits into pictures and list files; a second call verifies them."""
    from ppcls.data.prepare.digits import PACK, unpack_digits

    done = unpack_digits(args.out, args.pack or PACK)
    news = f"{done.written} files written" if done.written else "complete already"
    print(f"{args.out}: {done.train} pictures for training, {done.val} for evaluation, 10 classes; {news}")
    return 0

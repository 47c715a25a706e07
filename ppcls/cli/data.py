"""Data from the command line: ``ppcls prepare``, and ``ppcls check-data`` beside it."""

import argparse
import json
import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.cli.check_data import add_check_data_arguments, check_data
from ppcls.config.load import is_plain_text
from ppcls.utils.errors import ConfigError

if TYPE_CHECKING:
    from ppcls.data.prepare.imagenet import Progress


def add_commands(commands: "argparse._SubParsersAction[ArgumentParser]") -> None:
    """``ppcls prepare digits|imagenet|folder`` and ``ppcls check-data``."""
    prepare = commands.add_parser("prepare", help="turn archives or folders into pictures and list files")
    kinds = prepare.add_subparsers(dest="kind", required=True, metavar="WHAT")
    _add(kinds, "digits", prepare_digits, add_prepare_digits_arguments, "the digits that come with this repository")
    _add(kinds, "imagenet", prepare_imagenet, add_prepare_imagenet_arguments, "ImageNet, from its official archives")
    _add(kinds, "folder", prepare_folder, add_prepare_folder_arguments, "your own pictures, a folder for each class")
    _add(commands, "check-data", check_data, add_check_data_arguments, "name all that is wrong with lists and pictures")


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


def add_prepare_imagenet_arguments(parser: ArgumentParser) -> None:
    """``ppcls prepare imagenet --train TAR --val TAR --devkit TAR --out DIR``."""
    parser.add_argument("--train", type=Path, metavar="TAR", help="ILSVRC2012_img_train.tar")
    parser.add_argument("--val", type=Path, metavar="TAR", help="ILSVRC2012_img_val.tar")
    parser.add_argument("--devkit", type=Path, metavar="TAR", help="ILSVRC2012_devkit_t12.tar.gz (needs scipy)")
    parser.add_argument(
        "--val-labels",
        type=Path,
        metavar="FILE",
        help="instead of --devkit: a WordNet id a line, or a picture's name and its WordNet id or label",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="image_root of the recipe")


def prepare_imagenet(args: Namespace) -> int:
    """Unpack the archives that are given; what was unpacked before is kept."""
    from ppcls.data.prepare import imagenet
    from ppcls.data.prepare.val_labels import labels_from_devkit, labels_from_list

    if not (args.train or args.val):
        raise ConfigError("nothing to prepare; give --train, --val or both", "usage")
    if args.val and bool(args.devkit) == bool(args.val_labels):
        raise ConfigError("--val needs the labels of its pictures: --devkit or --val-labels, one of them", "usage")
    wnids = imagenet.read_wnids()
    if args.val:
        labels = labels_from_devkit(args.devkit, wnids) if args.devkit else labels_from_list(args.val_labels, wnids)
        print(f"{args.out}: {imagenet.unpack_val(args.val, args.out, labels):,} pictures for evaluation", flush=True)
    if args.train:
        pictures = imagenet.unpack_train(args.train, args.out, wnids, report=_print_progress)
        print(f"{args.out}: {pictures:,} pictures for training, {len(wnids)} classes")
    return 0


def add_prepare_folder_arguments(parser: ArgumentParser) -> None:
    """``ppcls prepare folder DIR [--out LISTS] [--val-ratio 0.2] [--seed 0]``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds a folder of pictures for each class")
    parser.add_argument("--out", type=Path, metavar="LISTS", help="where the lists go (DIR)")
    parser.add_argument("--val-ratio", type=float, default=0.2, help="share of each class held out (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the split (%(default)s)")


def prepare_folder(args: Namespace) -> int:
    """Write the lists and the label map of one's own pictures, and what to type to train on them."""
    from ppcls.data.prepare.folder import LABEL_LIST, split_folder, training_keys, write_lists

    out = args.out or args.folder
    classes = split_folder(args.folder, args.val_ratio, args.seed)
    write_lists(classes, out)
    for label, one in enumerate(classes):
        print(f"{label} {one.name}: {len(one.train)} for training, {len(one.val)} for evaluation")
    train, val = sum(len(one.train) for one in classes), sum(len(one.val) for one in classes)
    print(f"{len(classes)} classes, {train} pictures for training, {val} for evaluation; label map: {out / LABEL_LIST}")
    print("To train on them, add to the command:")
    keys = training_keys(args.folder, out, len(classes))
    print(" \\\n".join(f"  -o {shlex.quote(f'{key}={_yaml_word(value)}')}" for key, value in keys.items()))
    return 0


def _add(
    commands: "argparse._SubParsersAction[ArgumentParser]",
    name: str,
    run: Callable[[Namespace], int],
    add_arguments: Callable[[ArgumentParser], None],
    summary: str,
) -> None:
    parser = commands.add_parser(name, help=summary, description=summary)
    add_arguments(parser)
    parser.set_defaults(run=run)


def _print_progress(progress: "Progress") -> None:
    print(f"{progress.done} of {progress.total} classes, {progress.pictures:,} pictures", flush=True)


def _yaml_word(value: str | int | Path) -> str:
    """A number as it is, a text as a YAML scalar that is this text again: ``2024`` is quoted, ``a/b`` is not."""
    if isinstance(value, int):
        return str(value)
    text = str(value)
    is_plain = re.fullmatch(r"[\w/.-][\w/. -]*", text) and is_plain_text(text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)

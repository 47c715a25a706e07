"""``ppcls check-data``: every picture that would stop a run, before the run."""

import os
from argparse import ArgumentParser, Namespace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ppcls.data.prepare.check import PictureList

ANY_LABEL = 1_000_000  # class_num of a list whose number of classes nobody told


def add_check_data_arguments(parser: ArgumentParser) -> None:
    """``ppcls check-data -c CONFIG`` or ``ppcls check-data LIST --image-root DIR``."""
    parser.add_argument("list", nargs="?", type=Path, metavar="LIST", help="a list file; or give -c")
    parser.add_argument("--image-root", type=Path, default=Path(), metavar="DIR", help="of LIST's pictures (.)")
    parser.add_argument("-c", "--config", help="check the lists of a config")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="as for train")
    parser.add_argument("--mode", choices=("train", "eval"), default="train", help="eval: a config without training")
    parser.add_argument("--sha256", type=Path, metavar="FILE", help="write the pictures' checksums")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="also report what differs from such a file")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads (%(default)s)")


def check_data(args: Namespace) -> int:
    """Name every picture that cannot be read, all at once.

    Raises:
        DataError: some cannot, or differ from ``--compare``.
    """
    from tqdm import tqdm

    from ppcls.data.prepare.check import check_pictures, differences, read_digests, write_digests

    if bool(args.config) == bool(args.list):
        raise ConfigError("give either a list file, with --image-root, or -c with a config", "usage")
    if args.workers < 1:
        raise ConfigError(f"--workers is at least 1; got {args.workers}", "usage")
    lists = _lists_of_config(args) if args.config else [_list_by_itself(args.list, args.image_root)]
    if (args.sha256 or args.compare) and len({pictures.root for pictures in lists}) > 1:
        raise ConfigError("the lists have different image roots; compare checksums one list at a time", "usage")
    recorded = read_digests(args.compare) if args.compare else {}
    total = sum(len(pictures.dataset) for pictures in lists)
    findings = chain.from_iterable(check_pictures(pictures, args.workers) for pictures in lists)
    bad, digests = 0, {}
    for finding in tqdm(findings, total=total, disable=None, leave=False):
        if finding.reason is not None:
            bad += 1
            tqdm.write(f"{finding.where}: {finding.reason}")
        if finding.sha256 is not None:
            digests[finding.path] = finding.sha256
    if args.sha256:
        write_digests(args.sha256, digests)
    changed = list(differences(recorded, digests)) if args.compare else []
    for line in changed:
        print(line)
    comparison = f"; {len(changed)} differ from {args.compare}" if args.compare else ""
    if bad or changed:
        raise DataError(f"{bad} of {total} listed pictures cannot be read{comparison}; they are named above")
    print(f"{total} listed pictures can be read{comparison}")
    return 0


def _lists_of_config(args: Namespace) -> "list[PictureList]":
    """The lists of all stages and splits, each once."""
    from ppcls.config import load_run
    from ppcls.data.prepare.check import PictureList
    from ppcls.data.preprocess import ops  # noqa: F401  registers them
    from ppcls.registry import DATASETS, OPS

    lists = {}
    for stage in load_run(args.config, args.override, args.mode).stages:
        for split in (stage.config.DataLoader.Train, stage.config.DataLoader.Eval):
            kwargs = split.dataset.component.kwargs if split else {}
            name, root = kwargs.get("cls_label_path"), kwargs.get("image_root")
            if name is None or (name, root) in lists:
                continue
            dataset = DATASETS.build(split.dataset.component, class_num=stage.config.Arch.class_num)
            decode = OPS.build(split.dataset.transform_ops[0], max_pixels=dataset.rule.max_pixels)
            lists[name, root] = PictureList(Path(name).name, root, dataset, decode)
    if not lists:
        raise ConfigError(f"{args.config} names no list file (DataLoader.*.dataset.cls_label_path)")
    return list(lists.values())


def _list_by_itself(path: Path, image_root: Path) -> "PictureList":
    from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
    from ppcls.data.prepare.check import PictureList
    from ppcls.data.preprocess.ops.decode import DecodeImage

    dataset = ImageNetDataset(str(image_root), str(path), class_num=ANY_LABEL)
    return PictureList(path.name, str(image_root), dataset, DecodeImage(max_pixels=dataset.rule.max_pixels))

"""``ppcls check-data``: everything about the data that would stop or spoil a run, before the run."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ppcls.config.schema import Component
    from ppcls.data.prepare.audit import ListAudit
    from ppcls.data.prepare.check import PictureList

ANY_LABEL = 1_000_000  # class_num of a list whose number of classes nobody told


def add_check_data_arguments(parser: ArgumentParser) -> None:
    """``ppcls check-data -c CONFIG`` or ``ppcls check-data LIST --image-root DIR``."""
    parser.add_argument("list", nargs="?", type=Path, metavar="LIST", help="a list file; or give -c")
    parser.add_argument("--image-root", type=Path, default=Path(), metavar="DIR", help="of LIST's pictures (.)")
    parser.add_argument("--class-num", type=int, metavar="N", help="labels of LIST are below N")
    parser.add_argument("-c", "--config", help="check the lists of a config")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="as for train")
    parser.add_argument("--mode", choices=("train", "eval"), default="train", help="eval: a config without training")
    parser.add_argument("--sha256", type=Path, metavar="FILE", help="write the pictures' checksums")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="also report what differs from such a file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all that was found, and class counts")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads (%(default)s)")


def check_data(args: Namespace) -> int:
    """Name every bad line, every picture that cannot be read, and every one of both splits, all at once.

    Raises:
        DataError: there are some, or pictures differ from ``--compare``.
    """
    from ppcls.data.prepare.audit import ListAudit, digests_by_path, twins
    from ppcls.data.prepare.digests import differences, read_digests, write_digests
    from ppcls.utils.files import write_whole

    _require_sense(args)
    audits = [ListAudit(pictures) for pictures in _lists(args)]
    if (args.sha256 or args.compare) and len({audit.pictures.root for audit in audits}) > 1:
        raise ConfigError("the lists have different image roots; compare checksums one list at a time", "usage")
    recorded = read_digests(args.compare) if args.compare else {}
    _look(audits, args.workers)
    found = digests_by_path(audits) if args.sha256 or args.compare else {}
    if args.sha256:
        write_digests(args.sha256, found)
    changed = list(differences(recorded, found)) if args.compare else []
    both = twins(audits)
    for line in changed:
        print(line)
    for twin in both:
        more = f" and {twin.more} more" if twin.more else ""
        print(f"{twin.evaluation}: the same bytes as {twin.training}{more}, which is for training")
    for audit in audits:
        print(audit.summary())
    problems = _problems(audits, len(both))
    if args.json:
        report = {"format": 1, "ok": not (problems or changed), "lists": [audit.as_json() for audit in audits]}
        report |= {"in_both_splits": [twin._asdict() for twin in both], "changed": changed}
        write_whole(args.json, (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode())
    comparison = [f"{len(changed)} differ from {args.compare}"] if args.compare else []
    return _verdict(audits, problems, comparison, bool(changed))


def _require_sense(args: Namespace) -> None:
    if bool(args.config) == bool(args.list):
        raise ConfigError("give either a list file, with --image-root, or -c with a config", "usage")
    if args.workers < 1:
        raise ConfigError(f"--workers is at least 1; got {args.workers}", "usage")
    if args.class_num is not None and args.config:
        raise ConfigError("--class-num is for a list by itself; a config says it as Arch.class_num", "usage")
    if args.class_num is not None and args.class_num < 1:
        raise ConfigError(f"--class-num is at least 1; got {args.class_num}", "usage")
    for path in (args.sha256, args.json):
        if path is not None and path.is_dir():
            raise ConfigError(f"{path} is a folder; name a file to write", "usage")


def _look(audits: "Sequence[ListAudit]", workers: int) -> None:
    """Tell the bad lines, then read every picture and tell the bad ones as they are met."""
    from tqdm import tqdm

    from ppcls.data.prepare.check import check_pictures

    for audit in audits:
        for line in audit.bad_lines():
            print(line)
    with tqdm(total=sum(len(audit.pictures.dataset) for audit in audits), disable=None, leave=False) as bar:
        for audit in audits:
            with closing(check_pictures(audit.pictures, workers)) as findings:
                for finding in findings:
                    audit.add(finding)
                    if finding.reason is not None:
                        tqdm.write(f"{audit.pictures.dataset.where(finding.index)}: {finding.reason}")
                    bar.update()


def _problems(audits: "Sequence[ListAudit]", in_both: int) -> list[str]:
    """What is wrong, as counts."""
    from ppcls.data.prepare.audit import shared_lists

    bad = sum(len(audit.bad) for audit in audits)
    lines = sum(audit.pictures.dataset.scan.bad_count for audit in audits)
    empty = [audit.pictures.file for audit in audits if not len(audit.pictures.dataset)]
    shared = [audit.pictures.file for audit in shared_lists(audits)]
    total = sum(len(audit.pictures.dataset) for audit in audits)
    return [
        *([f"{bad} of {total} listed pictures cannot be read"] if bad else []),
        *([f"{lines} bad line{'s' if lines > 1 else ''}"] if lines else []),
        *(f"{file} lists no picture" for file in empty),
        *(f"{file} is both the training and the evaluation list" for file in shared),
        *([f"{in_both} picture{'s' if in_both > 1 else ''} for evaluation also for training"] if in_both else []),
    ]


def _verdict(
    audits: "Sequence[ListAudit]", problems: Sequence[str], comparison: Sequence[str], has_changed: bool
) -> int:
    total = sum(len(audit.pictures.dataset) for audit in audits)
    bad = sum(len(audit.bad) for audit in audits)
    if problems or has_changed:
        head = [] if bad else [f"0 of {total} listed pictures cannot be read"]
        text = "; ".join([*head, *problems, *comparison])
        raise DataError(f"{text}; they are named above", "bad-image" if bad or not problems else "data-list")
    splits = {split for audit in audits for split in audit.pictures.splits}
    apart = ["none is in both splits"] if splits >= {"Train", "Eval"} else []
    print("; ".join([f"{total} listed pictures can be read", *apart, *comparison]))
    return 0


def _lists(args: Namespace) -> "list[PictureList]":
    return _lists_of_config(args) if args.config else [_list_by_itself(args)]


def _lists_of_config(args: Namespace) -> "list[PictureList]":
    """The lists of all stages and splits, each once."""
    from ppcls.config import load_run
    from ppcls.data.prepare.check import CHECKED, PictureList
    from ppcls.data.preprocess import ops  # noqa: F401  registers them
    from ppcls.registry import OPS

    lists: dict[tuple[str, str], PictureList] = {}
    for stage in load_run(args.config, args.override, args.mode).stages:
        for name, split in (("Train", stage.config.DataLoader.Train), ("Eval", stage.config.DataLoader.Eval)):
            key = _key(split.dataset.component) if split else None
            if key is None:
                continue
            if split.dataset.component.name not in CHECKED:
                kind = split.dataset.component.name
                raise ConfigError(
                    f"{split.dataset.component.key}: check-data reads lists of ImageNetDataset, not {kind}"
                )
            if key in lists:
                lists[key] = lists[key]._replace(splits=lists[key].splits | {name})
                continue
            class_num = stage.config.Arch.class_num
            dataset = CHECKED.build(split.dataset.component, class_num=class_num)
            decode = OPS.build(split.dataset.transform_ops[0], max_pixels=dataset.rule.max_pixels)
            lists[key] = PictureList(*key, frozenset({name}), class_num, dataset, decode)
    if not lists:
        raise ConfigError(f"{args.config} names no list file (DataLoader.*.dataset.cls_label_path)")
    return list(lists.values())


def _key(component: "Component") -> tuple[str, str] | None:
    """List file and image root, or None for pictures without a list."""
    file = component.kwargs.get("cls_label_path")
    return None if file is None else (str(file), str(component.kwargs.get("image_root")))


def _list_by_itself(args: Namespace) -> "PictureList":
    from ppcls.data.prepare.check import ImageNetDataset, PictureList
    from ppcls.data.preprocess.ops.decode import DecodeImage

    file, root = str(args.list), str(args.image_root)
    dataset = ImageNetDataset(root, file, class_num=args.class_num or ANY_LABEL)
    decode = DecodeImage(max_pixels=dataset.rule.max_pixels)
    return PictureList(file, root, frozenset(), args.class_num, dataset, decode)

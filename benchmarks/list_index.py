"""Time and memory of loading a list of ImageNet's size: python benchmarks/list_index.py [--lines N] [--json FILE].

*usual* keeps each path as a string in a Python list, and checks nothing; *ppcls* is what every run does. Each loads the
list in a process of its own, which imports nothing more while it is measured; they take turns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from common import in_turns, machine, show, write_json

from ppcls.data.dataloader.list_file import read_list
from ppcls.utils import runtime

COLUMNS = ("seconds", "processor", "MB added", "MB at the peak")


def usual(file: str) -> Sequence[str]:
    """Paths and labels, a Python object for each."""
    paths, labels = [], []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            path, label = line.strip().split(" ")
            paths.append(os.path.join("dataset", path))
            labels.append(int(label))
    return paths


WAYS = {"usual": usual, "ppcls": partial(read_list, class_num=1000)}


def memory_mb(field: str) -> float:
    """What Linux says of this process: ``VmRSS`` it holds now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1000


def load(way: str, file: str) -> list[float]:
    """In this process: what loading the list cost, by ``COLUMNS``."""
    before = memory_mb("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    listed = WAYS[way](file)
    took = [time.perf_counter() - started, time.process_time() - cpu]
    held = [memory_mb("VmRSS") - before, memory_mb("VmHWM") - before]
    assert len(listed) > 0
    return took + held


def load_elsewhere(way: str, file: str) -> list[float]:
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--load", way, file], check=True, capture_output=True)
    return json.loads(done.stdout)


def main() -> None:
    """Write a list like train_list.txt, load it in turns, print what that cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_281_167, help="of the list (%(default)s)")
    parser.add_argument("--repeat", type=int, default=7, help="rounds (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the numbers")
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(load(*args.load)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train_list.txt")
        with file.open("w", encoding="utf-8") as stream:
            for i in range(args.lines):
                label = i * 1000 // args.lines
                stream.write(f"train/n{label:08d}/n{label:08d}_{i}.JPEG {label}\n")
        found = in_turns({way: partial(load_elsewhere, way, str(file)) for way in WAYS}, repeat=args.repeat)
    medians = {way: [median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()}
    runtime.prepare()
    report = {"machine": machine(), "lines": args.lines, "columns": COLUMNS, "rounds": found}
    print(show(report["machine"]))
    print(f"{f'{args.lines} lines, medians of {args.repeat}':<32}" + "".join(f"{name:>16}" for name in COLUMNS))
    for way, values in medians.items():
        print(f"{way:<32}" + "".join(f"{value:>16.2f}" for value in values))
    ratios = [one / other for one, other in zip(medians["usual"], medians["ppcls"], strict=True)]
    print(f"{'usual to ppcls':<32}" + "".join(f"{ratio:>16.2f}" for ratio in ratios))
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()

"""Seconds until ``ppcls`` has answered: python benchmarks/startup.py [--repeat 15] [--json FILE].

Help, and the report of a misspelt key, must not wait for paddle; ``import paddle`` stands beside them to compare. Every
command is a process of its own, from its start to its end, and all take their turn in every round. The first round does
not count: it reads from the disk what the others find in memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from common import in_turns, machine, show, write_json

from ppcls.utils import runtime

ROOT = Path(__file__).resolve().parents[1]
WRONG = f"_base_: {ROOT / 'configs' / 'train1.yaml'}\nGlobal: {{epoch: 3}}\n"
PPCLS = ("-m", "ppcls")


def taken(words: tuple[str, ...], code: int) -> tuple[float, float]:
    """Seconds of ``python WORDS``: by the clock, and of the processor.

    Raises:
        RuntimeError: it ended with another code, so this is no measurement.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != code:
        raise RuntimeError(f"python {' '.join(words)} ended with {done.returncode}: {done.stderr[-1000:]}")
    return wall_s, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15, help="rounds that count (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the numbers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder, "WRONG.yaml")
        wrong.write_text(WRONG, encoding="utf-8")
        ways = {
            "ppcls --help": partial(taken, (*PPCLS, "--help"), 0),
            "ppcls train -c WRONG.yaml": partial(taken, (*PPCLS, "train", "-c", str(wrong)), 2),
            'python -c "import paddle"': partial(taken, ("-c", "import paddle"), 0),
            'python -c ""': partial(taken, ("-c", ""), 0),
        }
        found = in_turns(ways, repeat=args.repeat, warm=1)
    runtime.prepare()
    report = {"machine": machine(), "repeat": args.repeat, "seconds": found}
    print(show(report["machine"]))
    print(f"{'medians of ' + str(args.repeat) + ' rounds':<28} {'seconds':>8} {'processor':>10} {'slowest':>8}")
    for name, times in found.items():
        wall, cpu = ([pair[number] for pair in times] for number in (0, 1))
        print(f"{name:<28} {median(wall):>8.3f} {median(cpu):>10.3f} {max(wall):>8.3f}")
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()

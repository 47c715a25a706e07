"""Time and memory of loading a list of ImageNet's size: python benchmarks/list_index.py [lines]."""

import sys
import tempfile
import time
from pathlib import Path

from ppcls.data.dataloader.list_file import read_list


def resident_mb() -> float:
    """Memory this process holds right now, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def peak_mb() -> float:
    """The most this process ever held, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def main(count: int) -> None:
    """Write a list like train_list.txt, load it, print what that cost."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "train_list.txt")
        with file.open("w") as stream:
            for i in range(count):
                label = i * 1000 // count
                stream.write(f"train/n{label:08d}/n{label:08d}_{i}.JPEG {label}\n")
        before = resident_mb()
        started, cpu = time.perf_counter(), time.process_time()
        listed = read_list(str(file), class_num=1000)
        elapsed_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        added, peak = resident_mb() - before, peak_mb() - before
    print(
        f"{len(listed)} lines: {elapsed_s:.2f} s (cpu {cpu_s:.2f} s), {added:.0f} MB added, {peak:.0f} MB at the peak"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_281_167)

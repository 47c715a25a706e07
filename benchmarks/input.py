"""Pictures a second into the training process, against the usual loader:

    python benchmarks/input.py --list LIST --root FOLDER [--repeat 5] [--json FILE]

Every way takes its turn in every round, so that what else the machine does falls on all alike; the medians are of the
rounds. A picture counts once its batch is in this process in the form in which it is copied to the device: uint8 here,
since normalisation, mixup and labels are the device's part; float32, normalised and mixed, in the usual loader. The
clock starts after ``WARM`` batches, so that neither the start of workers nor what they read ahead until then counts.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from common import in_turns, machine, show, write_json

from ppcls.config import Component
from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import DistributedBatchSampler
from ppcls.data.dataloader.thread_source import ThreadSource
from ppcls.data.preprocess import Pipeline
from ppcls.utils import runtime

BATCH = 64
WARM = 10
MEAN = np.float32([0.485, 0.456, 0.406])
STD = np.float32([0.229, 0.224, 0.225])
NORMALIZE = ("NormalizeImage", {"order": ""})
OPS = {
    "train": [("DecodeImage", {}), ("RandCropImage", {"size": 192}), ("RandFlipImage", {}), NORMALIZE],
    "eval": [
        ("DecodeImage", {}),
        ("ResizeImage", {"resize_short": 232}),
        ("CropImage", {"size": 224}),
        NORMALIZE,
    ],
}


def read_list(listing: Path, root: Path) -> list[tuple[str, int]]:
    """Paths and labels of a list file."""
    rows = [line.rsplit(" ", 1) for line in listing.read_text(encoding="utf-8").splitlines()]
    return [(str(root / name), int(label)) for name, label in rows]


class Usual:
    """A picture as existing toolkits make it, in a worker process of Paddle's DataLoader."""

    def __init__(self, rows: Sequence[tuple[str, int]], trains: bool) -> None:
        self._rows, self._trains = rows, trains

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, label = self._rows[index]
        with open(path, "rb") as file:
            image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
        image = image[:, :, ::-1]
        image = _random_crop(image) if self._trains else _centre(image)
        image = (image.astype(np.float32) / 255.0 - MEAN) / STD
        return np.ascontiguousarray(image.transpose(2, 0, 1)), label


def _random_crop(image: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng()
    height, width = image.shape[:2]
    aspect = np.sqrt(rng.uniform(3 / 4, 4 / 3))
    bound = min(width / height / aspect**2, height / width * aspect**2)
    area = width * height * rng.uniform(min(0.08, bound), min(1, bound))
    w, h = int(np.sqrt(area) * aspect), int(np.sqrt(area) / aspect)
    x, y = rng.integers([width - w + 1, height - h + 1])
    image = cv2.resize(image[y : y + h, x : x + w], (192, 192))
    return cv2.flip(image, 1) if rng.random() < 0.5 else image


def _centre(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    scale = 232 / min(height, width)
    image = cv2.resize(image, (round(width * scale), round(height * scale)))
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    return image[top : top + 224, left : left + 224]


def mix(samples: list[tuple[np.ndarray, int]]) -> list[np.ndarray]:
    """Mixup in the worker, as a collate function does it."""
    images = np.stack([image for image, _ in samples])
    labels = np.eye(1000, dtype=np.float32)[[label for _, label in samples]]
    rng = np.random.default_rng()
    share, order = np.float32(rng.beta(0.2, 0.2)), rng.permutation(len(images))
    return [share * values + (1 - share) * values[order] for values in (images, labels)]


def usual(rows: Sequence[tuple[str, int]], trains: bool, workers: int) -> Iterator[int]:
    """Batches of Paddle's DataLoader with that many processes, told by their number of pictures."""
    from paddle.io import DataLoader

    loader = DataLoader(
        Usual(rows, trains),
        batch_size=BATCH,
        shuffle=trains,
        num_workers=workers,
        collate_fn=mix if trains else None,
        drop_last=True,
    )
    return (batch[0].shape[0] for batch in loader)


def ours(listing: Path, root: Path, split: str, threads: int, fast: bool, epochs: int) -> Iterator[int]:
    """Batches of the project's threads, told in the same way."""
    dataset = ImageNetDataset(str(root), str(listing), class_num=1000)
    components = [Component(name, kwargs, name) for name, kwargs in OPS[split]]
    pipeline = Pipeline.from_components(components, fast_decode=fast)
    source = ThreadSource(Reader(dataset, pipeline.host, 0, "stop"), threads)
    sampler = DistributedBatchSampler(length=len(dataset), batch_size=BATCH, shuffle=True, drop_last=True, seed=0)
    ids = (batch for epoch in range(epochs) for batch in sampler.batches(epoch))
    return source.batches(ids, lambda batch: len(batch.images))


def decoding(rows: Sequence[tuple[str, int]], threads: int) -> Iterator[int]:
    """Whole pictures decoded and thrown away, as many at a time as there are threads."""

    def decode(row: tuple[str, int]) -> int:
        return int(cv2.imdecode(np.fromfile(row[0], np.uint8), cv2.IMREAD_COLOR) is not None)

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(decode, rows)


def speed(start: Callable[[], Iterator[int]]) -> float:
    """Pictures a second of the batches that ``start`` gives, after the first ``WARM``."""
    batches = start()
    for _ in range(WARM):
        next(batches)
    began = time.perf_counter()
    count = sum(batches)
    return count / (time.perf_counter() - began)


def measure(ways: dict[str, Callable[[], Iterator[int]]], repeat: int) -> dict[str, float]:
    """The median of each way over the rounds."""
    found = in_turns({name: partial(speed, start) for name, start in ways.items()}, repeat=repeat)
    return {name: median(values) for name, values in found.items()}


def ways_of(split: str, args: argparse.Namespace, threads: int) -> dict[str, Callable[[], Iterator[int]]]:
    """Every way to fill batches for a split."""
    rows = read_list(args.list, args.root) * args.epochs
    return {
        **{f"usual, {n} processes": partial(usual, rows, split == "train", n) for n in (1, 2, 4)},
        **{f"threads{name}": partial(ours, args.list, args.root, split, threads, fast, args.epochs)
           for name, fast in (("", False), (", fast_decode", True))},
        "decoding alone": partial(decoding, rows, threads),
    }  # fmt: skip


def main() -> None:
    """Measure both splits and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=Path, required=True, help="lines of 'path label'")
    parser.add_argument("--root", type=Path, required=True, help="where the paths begin")
    parser.add_argument("--epochs", type=int, default=16, help="passes over the list in a measurement (%(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the numbers")
    args = parser.parse_args()
    runtime.prepare()
    import paddle

    paddle.set_device("cpu")
    cv2.setNumThreads(1)
    threads = runtime.usable_cores()
    report: dict[str, Any] = {"machine": machine()}
    print(show(report["machine"]))
    for split in OPS:
        found = measure(ways_of(split, args, threads), args.repeat)
        best = max(value for name, value in found.items() if name.startswith("usual"))
        print(f"{split + ', images/s':<24} {'median':>8} {'to the best usual':>18} {'to decoding':>12}")
        for name, value in found.items():
            print(f"{name:<24} {value:>8.0f} {value / best:>18.2f} {value / found['decoding alone']:>12.2f}")
        report[split] = found
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()

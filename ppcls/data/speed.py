"""How fast the input of a split is, stage by stage and as a whole."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from ppcls.config.schema import LoaderConfig
from ppcls.data import Batch, BatchId, Dataset, HostBatch, build_loader, build_pipeline, build_to_device
from ppcls.data.dataloader.reader import Told
from ppcls.data.dataloader.source import stack
from ppcls.data.preprocess import Pipeline
from ppcls.registry import DATASETS
from ppcls.utils.errors import DataError
from ppcls.utils.seed import Stream, generator

READ, BATCH = "read", "batch"


class Stage(NamedTuple):
    """What one picture costs one core, in seconds of the clock."""

    name: str
    seconds: float


class LoaderSpeed(NamedTuple):
    """Pictures a second of the whole loader, start of its workers included."""

    num_workers: int
    images_per_second: float


def loader_speeds(
    config: LoaderConfig, workers: Sequence[int], pictures: int, *, split: str, class_num: int
) -> list[LoaderSpeed]:
    """Up to ``pictures`` pictures, in whole batches, with each number of workers; DataError as in a run."""
    speeds = []
    for number in workers:
        settings = replace(config, loader=replace(config.loader, num_workers=number))
        loader = build_loader(settings, split=split, class_num=class_num, seed=0)
        batches = max(1, pictures // loader.sampler.batch_size)
        start, done = time.perf_counter(), 0
        for batch in islice(loader.batches(0), batches):
            done += len(batch.id.indices)
            _wait(batch)
        speeds.append(LoaderSpeed(number, done / (time.perf_counter() - start)))
    return speeds


def stage_costs(config: LoaderConfig, pictures: int, *, split: str, class_num: int) -> list[Stage]:
    """Read, each op of the workers, and the batch: its copy, the device's part and the batch ops.

    Pictures that cannot be read are left out; DataError if none can.
    """
    dataset = DATASETS.build(config.dataset.component, class_num=class_num)
    pipeline = build_pipeline(config, dataset)
    names = [READ, *_names(pipeline)]
    order = generator(0, Stream.ORDER, 0).permutation(len(dataset))[:pictures].tolist()
    taken: list[tuple[int, np.ndarray]] = []
    times: list[np.ndarray] = []
    for index in order:
        try:
            image, seconds = _timed(dataset, pipeline, index)
        except DataError as error:
            if error.slug != "bad-image":
                raise
            continue
        times.append(seconds)
        taken = [*taken, (index, image)][-config.sampler.batch_size :]
    if not taken:
        raise DataError(f"none of {len(order)} pictures of DataLoader.{split} can be read; see ppcls check-data")
    stages = [Stage(name, float(mean)) for name, mean in zip(names, np.mean(times, axis=0), strict=True)]
    to_device = build_to_device(config, pipeline, class_num=class_num, seed=0)
    images = stack([image for _, image in taken], lambda number: dataset.where(taken[number][0]))
    _batch(to_device, images)  # the first one also loads libraries
    start = time.perf_counter()
    _batch(to_device, images)
    return [*stages, Stage(BATCH, (time.perf_counter() - start) / len(images))]


def cores_needed(stages: Sequence[Stage], images_per_second: float) -> float:
    """Cores that the workers keep busy at that speed; the batch is made by the thread that trains."""
    return images_per_second * sum(stage.seconds for stage in stages if stage.name != BATCH)


def _timed(dataset: Dataset, pipeline: Pipeline, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture, and the seconds that reading it and each op of the workers took."""
    rng = generator(0, Stream.SAMPLE, 0, index)
    moments = [time.perf_counter()]
    with Told(dataset.where(index)):
        image = dataset[index].data
        moments.append(time.perf_counter())
        for op in pipeline.host_ops:
            image = op(image, rng)
            moments.append(time.perf_counter())
    return image, np.diff(moments)


def _names(pipeline: Pipeline) -> Iterator[str]:
    """``DecodeImage``, ``RandCropImage``, ...; a second one of a name is told by its number in the list."""
    seen: set[str] = set()
    for number, op in enumerate(pipeline.host_ops):
        name = getattr(op, "name", type(op).__name__)
        yield f"{name} ({number})" if name in seen else name
        seen.add(name)


def _batch(to_device: Callable[[HostBatch], Batch], images: np.ndarray) -> None:
    labels = np.zeros(len(images), np.int64)
    _wait(to_device(HostBatch(BatchId(0, 0, labels), images, labels)))


def _wait(batch: Batch) -> None:
    """Until the device is done with it."""
    batch.images[0, 0, 0, 0].item()

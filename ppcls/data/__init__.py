"""Batches of pictures and labels. Importing this registers data sets, samplers and sample ops, without paddle."""

from collections.abc import Callable

from ppcls.config.schema import Component, LoaderConfig, WorkerConfig
from ppcls.data.dataloader import imagenet_dataset, sampler, synthetic_dataset
from ppcls.data.dataloader.bad_samples import BadSample, BadSamples
from ppcls.data.dataloader.loader import Loader
from ppcls.data.dataloader.process_source import ProcessSource
from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import Shard
from ppcls.data.dataloader.source import Source
from ppcls.data.dataloader.thread_source import ThreadSource
from ppcls.data.dataloader.values import Batch, BatchId, Dataset, HostBatch, Item
from ppcls.data.preprocess import Pipeline
from ppcls.registry import BATCH_OPS, DATASETS, SAMPLERS
from ppcls.utils.errors import ConfigError

__all__ = [
    "BadSample",
    "BadSamples",
    "Batch",
    "BatchId",
    "Dataset",
    "HostBatch",
    "Item",
    "Loader",
    "build_loader",
    "build_pipeline",
    "build_to_device",
    "imagenet_dataset",
    "sampler",
    "synthetic_dataset",
]


def build_loader(
    config: LoaderConfig, *, split: str, class_num: int, seed: int, rank: int = 0, world: int = 1
) -> Loader:
    """The loader of ``DataLoader.<split>``; lists are checked here, before the first batch.

    Args:
        split: ``Train`` (ranks get equal shares, padded) or ``Eval`` (each sample once over all ranks).
        seed: of orders, crops and mixing.
    Raises:
        ConfigError: names or arguments that do not build; list or folder not there.
        DataError: bad lines in the list, or too few samples for one batch.
    """
    key = f"DataLoader.{split}"
    dataset = DATASETS.build(config.dataset.component, class_num=class_num)
    on_error = _on_error(dataset, split)
    pipeline = build_pipeline(config, dataset)
    reader = Reader(dataset, pipeline.host, seed, on_error)
    order = {name: getattr(config.sampler, name) for name in ("batch_size", "shuffle", "drop_last")}
    batches = SAMPLERS.build(
        Component(config.sampler.name, order, f"{key}.sampler"),
        length=len(dataset),
        seed=seed,
        shard=Shard(rank, world),
        pad=split == "Train",
    )
    batch_ops = config.dataset.batch_transform_ops
    if batch_ops and split != "Train":
        raise ConfigError(f"{batch_ops[0].key}: batch_transform_ops are for training only; remove them")
    to_device = build_to_device(config, pipeline, class_num=class_num, seed=seed, rank=rank)
    bad = BadSamples(len(dataset), dataset.rule.max_bad_ratio if on_error == "skip" else None)
    return Loader(dataset, batches, _source(reader, config.loader), to_device, bad)


def build_to_device(
    config: LoaderConfig, pipeline: Pipeline, *, class_num: int, seed: int, rank: int = 0
) -> Callable[[HostBatch], Batch]:
    """The device's part of a split; ConfigError for batch ops that do not build."""
    from ppcls.data.dataloader.device import ToDevice  # paddle, which `ppcls prepare` does without
    from ppcls.data.preprocess import batch_ops as _  # noqa: F401, registers

    mixing = [BATCH_OPS.build(component, class_num=class_num) for component in config.dataset.batch_transform_ops]
    return ToDevice(pipeline.device, mixing, seed, rank)


def build_pipeline(config: LoaderConfig, dataset: Dataset) -> Pipeline:
    """The transforms of a split; ConfigError for ops that do not build or an order that cannot work."""
    settings = config.dataset
    limit = dataset.rule.max_pixels
    return Pipeline.from_components(settings.transform_ops, fast_decode=settings.fast_decode, max_pixels=limit)


def _on_error(dataset: Dataset, split: str) -> str:
    try:
        return dataset.rule.action(split)
    except ValueError as error:
        raise ConfigError(f"DataLoader.{split}.dataset.on_error: {error}") from error


def _source(reader: Reader, config: WorkerConfig) -> Source:
    """Without workers there is nothing to choose: the caller reads."""
    if config.backend == "process" and config.num_workers > 0:
        return ProcessSource(reader, config.num_workers, config.use_shared_memory)
    return ThreadSource(reader, config.num_workers)

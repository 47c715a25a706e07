"""Batches of one split, ready for the model: sampler, source and device in a row."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol

from ppcls.data.dataloader.bad_samples import BadSamples
from ppcls.data.dataloader.source import Source
from ppcls.data.dataloader.values import Batch, BatchId, Dataset, HostBatch


class Sampler(Protocol):
    """The order of an epoch, as far as the loader cares."""

    batch_size: int

    def __len__(self) -> int:
        """Batches in an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[BatchId]:
        """Those from number ``start`` on."""


class Loader:
    """Has no position: where to begin is an argument, so that a resume decodes nothing it throws away.

    Args:
        to_device: ``ToDevice``, or another function of a host batch that copies it.
    """

    def __init__(
        self,
        dataset: Dataset,
        sampler: Sampler,
        source: Source,
        to_device: Callable[[HostBatch], Batch],
        bad: BadSamples,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.bad = bad
        self._source = source
        self._to_device = to_device

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return len(self.sampler)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on; workers decode the next ones during the step.

        Close the iterator, or exhaust it, before another is made from the same loader.

        Raises:
            DataError: at exactly the batch it concerns; then this iterator is over.
            WorkerError: a worker ended on its own.
        """
        done = start
        with closing(self._source.batches(self.sampler.batches(epoch, start), self._use)) as batches:
            for batch in batches:
                yield batch
                done += 1
        assert done == len(self), f"epoch {epoch} ended after {done} of {len(self)} batches"

    def _use(self, host: HostBatch) -> Batch:
        for sample in host.bad:
            self.bad.add(sample)
        return self._to_device(host)

    def where(self, index: int) -> str:
        """List, line and path of a sample, for messages: ``train.txt:17 a/b.JPEG``."""
        return self.dataset.where(index)

    def reading(self) -> list[str]:
        """What the workers are reading right now; a watchdog's thread may ask."""
        return self._source.reading()

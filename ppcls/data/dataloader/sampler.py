"""The order of an epoch: a function of (seed, epoch), dealt to ranks, from any batch on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ppcls.data.dataloader.values import BatchId
from ppcls.registry import SAMPLERS
from ppcls.utils.errors import DataError
from ppcls.utils.seed import Stream, generator


class Shard(NamedTuple):
    """Which of the ``world`` equal parts of each global batch is ours."""

    rank: int
    world: int


ALONE = Shard(rank=0, world=1)


@SAMPLERS.register
class DistributedBatchSampler:
    """The batches of one rank, dealt block by block.

    Global batch b is ``order[b * B * world : (b + 1) * B * world]``; rank r takes its r-th slice of B. What is left
    over at the end is dealt in contiguous slices, equal ones if padded.

    Args:
        batch_size: samples per batch and rank, B.
        drop_last: leave out the batch of a rank that has fewer than B samples.
        length: number of samples, N.
        pad: repeat the first samples until N is a multiple of ``world``, so that all ranks do the same number of
            batches. Without it each sample appears exactly once, and the last batch of some ranks is a sample shorter.
    Raises:
        ValueError: batch_size is below 1.
        DataError: an epoch would have no batch, or fewer samples than ranks share a padded one.
    Source: PaddlePaddle ``DistributedBatchSampler`` for padding and dealing; its order ignores the seed.
    """

    def __init__(
        self,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        *,
        length: int,
        seed: int = 0,
        shard: Shard = ALONE,
        pad: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1; got {batch_size}")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.length = length
        self.seed = seed
        self.shard = shard
        self._total = -(-length // shard.world) * shard.world if pad else length
        self._full, rest = divmod(self._total, batch_size * shard.world)
        edges = [0, 0] if drop_last else [rest * r // shard.world for r in (shard.rank, shard.rank + 1)]
        self._rest = slice(*(self._total - rest + edge for edge in edges))
        self._check_enough(pad, drop_last)

    def _check_enough(self, pad: bool, drop_last: bool) -> None:
        size = f"{self.length} samples"
        if self.length == 0:
            raise DataError(f"{size}: the list is empty", "too-little-data")
        if pad and self.length < self.shard.world:
            raise DataError(f"{size} for {self.shard.world} ranks; start fewer ranks", "too-little-data")
        if drop_last and self._full == 0:
            raise DataError(
                f"{size} on {self.shard.world} ranks make no batch of {self.batch_size} with drop_last; "
                "lower batch_size or set drop_last: False",
                "too-little-data",
            )

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return self._full + (self._rest.stop > self._rest.start)

    def order(self, epoch: int) -> np.ndarray:
        """Indices of all ranks, int64 ``[N]`` or padded."""
        order = np.arange(self._total, dtype=np.int64) % self.length
        if self.shuffle:
            generator(self.seed, Stream.ORDER, epoch).shuffle(order)
        return order

    def batches(self, epoch: int, start: int = 0) -> Iterator[BatchId]:
        """This rank's batches of an epoch from number ``start`` on; where it starts costs nothing."""
        assert 0 <= start <= len(self), f"batch {start} of {len(self)}"
        order = self.order(epoch)
        return (BatchId(epoch, number, order[self._slice(number)]) for number in range(start, len(self)))

    def _slice(self, number: int) -> slice:
        if number == self._full:
            return self._rest
        begin = (number * self.shard.world + self.shard.rank) * self.batch_size
        return slice(begin, begin + self.batch_size)


@SAMPLERS.register
class BatchSampler(DistributedBatchSampler):
    """The same without ranks: every rank sees all samples."""

    def __init__(
        self, batch_size: int, shuffle: bool = False, drop_last: bool = False, *, length: int, seed: int = 0
    ) -> None:
        super().__init__(batch_size, shuffle, drop_last, length=length, seed=seed)

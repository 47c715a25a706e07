"""From a batch in host memory to what the model takes; the one part of the loader that calls paddle."""

from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import Tensor

from ppcls.data.dataloader.values import Batch, HostBatch
from ppcls.utils.seed import Stream, generator

BatchOp = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]


class ToDevice:
    """Copy, the device's part of the transforms, then batch ops, on paddle's current device.

    Args:
        transform: ``Pipeline.device``: ``[N, H, W, C]`` of any dtype -> float ``[N, C, H, W]``.
        rank: ranks mix their batches by different random numbers.
    """

    def __init__(
        self, transform: Callable[[Tensor], Tensor], batch_ops: Sequence[BatchOp] = (), seed: int = 0, rank: int = 0
    ) -> None:
        self._transform = transform
        self._batch_ops = tuple(batch_ops)
        self._seed = seed
        self._rank = rank

    @paddle.no_grad()
    def __call__(self, host: HostBatch) -> Batch:
        """The batch on the device; afterwards the host's buffer may be overwritten."""
        images = self._transform(paddle.to_tensor(host.images))  # uint8 until here: a quarter of the bytes
        labels = paddle.to_tensor(host.labels)
        rng = generator(self._seed, Stream.BATCH, host.id.epoch, host.id.number, self._rank)
        for op in self._batch_ops:
            images, labels = op(images, labels, rng)
        return Batch(host.id, images, labels, int(np.count_nonzero(host.labels < 0)))

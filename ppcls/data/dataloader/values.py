"""The plain values that data sets, samplers, sources and the loader exchange."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ppcls.data.dataloader.bad_samples import BadSample, ReadRule

if TYPE_CHECKING:
    from paddle import Tensor


class Item(NamedTuple):
    """One sample as the data set holds it; ``where`` is for messages: ``train.txt:17 a/b.JPEG``."""

    data: bytes
    label: int
    where: str


class BatchId(NamedTuple):
    """Which batch: the ``number``-th of this rank in ``epoch``, both from 0, made of these samples."""

    epoch: int
    number: int
    indices: np.ndarray  # int64 [N]


class HostBatch(NamedTuple):
    """A batch in host memory; ``images`` is overwritten when the next batch is taken from its source.

    A label of -1 stands for a sample that could not be read (``on_error: count_wrong``): its picture is black, and
    evaluation counts it as wrong.
    """

    id: BatchId
    images: np.ndarray  # [N, H, W, C], uint8, or float32 if normalised on the host
    labels: np.ndarray  # int64 [N]
    bad: tuple[BadSample, ...] = ()  # what could not be read on the way


class Batch(NamedTuple):
    """A batch on the device, ready for the model."""

    id: BatchId
    images: "Tensor"  # [N, C, H, W], float32, or float16 where asked for and of use
    labels: "Tensor"  # int64 [N], or float32 [N, class_num] after batch ops
    unreadable: int = 0  # how many labels are -1


class Dataset(Protocol):
    """What the loader asks of a data set."""

    rule: ReadRule

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> Item:
        """Read one sample; DataError with slug ``bad-image`` when its file cannot be read."""

    def where(self, index: int) -> str:
        """List, line and path of a sample, without reading it."""

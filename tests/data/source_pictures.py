"""Pictures that misbehave on request, and every kind of source to read them with."""

import cv2
import numpy as np
import pytest

from ppcls.data.dataloader.process_source import ProcessSource
from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import DistributedBatchSampler
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.dataloader.thread_source import ThreadSource

SOURCES = {
    "plain loop": lambda reader: ThreadSource(reader, 0),
    "1 thread": lambda reader: ThreadSource(reader, 1),
    "2 threads": lambda reader: ThreadSource(reader, 2),
    "4 threads": lambda reader: ThreadSource(reader, 4),
    "2 processes": lambda reader: ProcessSource(reader, 2),
    "2 processes without shared memory": lambda reader: ProcessSource(reader, 2, use_shared_memory=False),
}
every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())


class Pictures(SyntheticDataset):
    """20 pictures; what happens to sample i can be replaced by ``misdeeds[i]``."""

    def __init__(self, misdeeds=None, samples=20):
        super().__init__(class_num=5, samples=samples, side=12)
        self.misdeeds = misdeeds or {}

    def __getitem__(self, index):
        item = super().__getitem__(index)
        return item._replace(data=index.to_bytes(2, "big") + item.data)


def decode_and_crop(dataset):
    """The workers' part of a pipeline: decode, then a random crop, with the misdeed in between."""

    def host(data, rng):
        image = cv2.imdecode(np.frombuffer(data[2:], np.uint8), cv2.IMREAD_COLOR)
        misdeed = dataset.misdeeds.get(int.from_bytes(data[:2], "big"))
        image = misdeed(image) if misdeed else image
        top, left = rng.integers(0, 5, 2)
        return image if image.shape[0] != 12 else image[top : top + 8, left : left + 8]

    return host


def read(make, dataset, on_error="stop", epoch=0, start=0, batch_size=6):
    """All batches as (number, images, labels, bad)."""
    source = make(Reader(dataset, decode_and_crop(dataset), 7, on_error))
    ids = DistributedBatchSampler(batch_size, shuffle=True, length=len(dataset), seed=7).batches(epoch, start)
    return list(source.batches(ids, lambda b: (b.id.number, b.images.copy(), b.labels.tolist(), b.bad)))


def raises(error):
    """A misdeed."""

    def misdeed(image):
        raise error

    return misdeed


def order(epoch=0):
    """Which sample is at which place of the epoch."""
    return DistributedBatchSampler(6, shuffle=True, length=20, seed=7).order(epoch).tolist()

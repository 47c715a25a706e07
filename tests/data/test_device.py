"""Host batches -> device batches."""

import numpy as np
import paddle

from ppcls.data.dataloader.device import ToDevice
from ppcls.data.dataloader.values import BatchId, HostBatch
from ppcls.utils.seed import Stream, generator


def _host(number=0, labels=(1, 0)):
    images = np.random.default_rng(3).integers(0, 256, [len(labels), 4, 5, 3], dtype=np.uint8)
    return HostBatch(BatchId(2, number, np.arange(len(labels))), images, np.array(labels, dtype=np.int64))


def _to_float_chw(images):
    return images.transpose([0, 3, 1, 2]).astype("float32")


def test_images_are_transformed_and_labels_stay_integers():
    host = _host()
    batch = ToDevice(_to_float_chw)(host)
    assert (batch.images.numpy() == host.images.transpose(0, 3, 1, 2).astype(np.float32)).all()
    assert (batch.images.dtype, batch.labels.dtype) == (paddle.float32, paddle.int64)
    assert (batch.labels.tolist(), batch.id, batch.unreadable) == ([1, 0], host.id, 0)


def test_unreadable_samples_are_counted():
    batch = ToDevice(_to_float_chw)(_host(labels=(-1, 2, -1)))
    assert (batch.labels.tolist(), batch.unreadable) == ([-1, 2, -1], 2)


def test_the_device_batch_does_not_change_when_the_host_buffer_is_used_again():
    host = _host()
    batch = ToDevice(lambda images: images)(host)
    before = host.images.copy()
    host.images[:] = 0
    host.labels[:] = 9
    assert (batch.images.numpy() == before).all()
    assert batch.labels.tolist() == [1, 0]


def test_batch_ops_draw_from_epoch_number_and_rank_one_after_the_other():
    drawn = []

    def op(images, labels, rng):
        drawn.append(rng.random())
        return images + 1, labels

    batch = ToDevice(_to_float_chw, [op, op], seed=5, rank=3)(_host(number=4))
    expected = generator(5, Stream.BATCH, 2, 4, 3)
    assert drawn == [expected.random(), expected.random()]
    assert (batch.images.numpy() == _host().images.transpose(0, 3, 1, 2) + 2.0).all()


def test_a_batch_op_leaves_no_gradient_path():
    weight = paddle.ones([1])
    weight.stop_gradient = False
    batch = ToDevice(_to_float_chw, [lambda images, labels, rng: (images * weight, labels)])(_host())
    assert batch.images.stop_gradient

"""Orders of an epoch: who gets what, and that nothing is lost."""

import itertools

import numpy as np
import pytest

from ppcls.data.dataloader.sampler import BatchSampler, DistributedBatchSampler, Shard
from ppcls.utils.errors import DataError


def _all(sampler, epoch=0, start=0):
    return [batch.indices.tolist() for batch in sampler.batches(epoch, start)]


def _ranks(world, **arguments):
    return [DistributedBatchSampler(shard=Shard(rank, world), **arguments) for rank in range(world)]


def test_batches_are_dealt_block_by_block_and_the_rest_in_equal_slices():
    # 10 samples, padded to 12 by the head; global batches of 2 * 3, so one full block each and a rest of 6.
    ranks = [_all(sampler) for sampler in _ranks(3, batch_size=2, length=10)]
    assert ranks == [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [0, 1]]]


def test_the_remainder_goes_to_ranks_in_contiguous_slices():
    # padded to 10; one block of 8, rest [8, 0].
    ranks = [_all(sampler) for sampler in _ranks(2, batch_size=4, length=9)]
    assert ranks == [[[0, 1, 2, 3], [8]], [[4, 5, 6, 7], [0]]]


def test_imagenet_on_four_ranks_has_the_published_626_batches_the_last_of_292():
    sampler = DistributedBatchSampler(512, length=1281167, shard=Shard(3, 4))
    assert len(sampler) == 626
    last = list(sampler.batches(0, 625))
    assert [len(batch.indices) for batch in last] == [292]


def test_validation_on_four_ranks_has_25_batches_the_last_of_212():
    sampler = DistributedBatchSampler(512, length=50000, shard=Shard(0, 4), pad=False)
    assert [len(batch.indices) for batch in sampler.batches(0)] == [512] * 24 + [212]


@pytest.mark.parametrize(("length", "world"), [(10, 2), (13, 2), (13, 3), (1, 2), (1, 3), (64, 3)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_without_padding_each_sample_appears_exactly_once_over_all_ranks(length, world, shuffle):
    ranks = _ranks(world, batch_size=4, length=length, pad=False, shuffle=shuffle)
    seen = sorted(itertools.chain(*(itertools.chain(*_all(sampler)) for sampler in ranks)))
    assert seen == list(range(length))
    assert [len(sampler) for sampler in ranks] == [len(_all(sampler)) for sampler in ranks]


def test_padding_repeats_the_first_samples_and_no_other():
    ranks = _ranks(4, batch_size=3, length=17, shuffle=True, seed=5)
    seen = sorted(itertools.chain(*(itertools.chain(*_all(sampler)) for sampler in ranks)))
    assert seen == sorted([*range(17), 0, 1, 2])
    assert {len(sampler) for sampler in ranks} == {2}
    assert {tuple(len(indices) for indices in _all(sampler)) for sampler in ranks} == {(3, 2)}


def test_drop_last_leaves_out_the_short_batch():
    assert _all(DistributedBatchSampler(4, drop_last=True, length=10)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(DistributedBatchSampler(4, drop_last=True, length=10)) == 2


def test_numbers_and_epochs_stand_in_the_ids():
    ids = list(DistributedBatchSampler(4, length=10).batches(3, 1))
    assert [(batch.epoch, batch.number) for batch in ids] == [(3, 1), (3, 2)]


def test_seeking_gives_the_tail_of_the_epoch():
    sampler = DistributedBatchSampler(3, shuffle=True, length=50, seed=9, shard=Shard(1, 2))
    whole = _all(sampler, 4)
    assert all(_all(sampler, 4, start) == whole[start:] for start in range(len(sampler) + 1))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_before():
    first = DistributedBatchSampler(8, shuffle=True, length=100, seed=1)
    second = DistributedBatchSampler(8, shuffle=True, length=100, seed=1)
    list(first.batches(0))
    assert _all(first, 2) == _all(second, 2)
    assert _all(first, 2) != _all(first, 3)
    assert _all(first, 2) != _all(DistributedBatchSampler(8, shuffle=True, length=100, seed=2), 2)


def test_every_sample_is_equally_likely_to_come_first():
    heads = [DistributedBatchSampler(1, shuffle=True, length=4, seed=s).order(0)[0] for s in range(400)]
    assert np.bincount(heads, minlength=4).min() > 60  # 100 expected, standard deviation 8.7


def test_a_plain_batch_sampler_shows_everything_to_everyone():
    assert _all(BatchSampler(4, length=6)) == [[0, 1, 2, 3], [4, 5]]


def test_an_epoch_without_a_batch_is_an_error_that_says_the_numbers():
    with pytest.raises(DataError, match="6 samples on 2 ranks make no batch of 4 with drop_last") as caught:
        DistributedBatchSampler(4, drop_last=True, length=6, shard=Shard(0, 2))
    assert caught.value.slug == "too-little-data"
    with pytest.raises(DataError, match="0 samples: the list is empty"):
        DistributedBatchSampler(4, length=0)
    with pytest.raises(DataError, match="1 samples for 2 ranks; start fewer ranks"):
        DistributedBatchSampler(4, length=1, shard=Shard(0, 2))


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="batch_size is at least 1; got 0"):
        DistributedBatchSampler(0, length=5)

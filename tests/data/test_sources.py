"""Threads, processes and the plain loop: the same batches, the same errors."""

import re

import numpy as np
import pytest
from source_pictures import SOURCES, Pictures, decode_and_crop, every_source, order, raises, read

from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import DistributedBatchSampler
from ppcls.utils.errors import DataError


@every_source
def test_every_source_gives_the_batches_of_a_loop_written_by_hand(make):
    dataset = Pictures()
    host = decode_and_crop(dataset)
    got = read(make, dataset, epoch=3)
    assert [number for number, *_ in got] == [0, 1, 2, 3]
    for number, images, labels, bad in got:
        indices = order(3)[number * 6 : number * 6 + 6]
        streams = [np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 1, 3, i]))) for i in indices]
        expected = [host(dataset[i].data, rng) for i, rng in zip(indices, streams, strict=True)]
        assert (images == np.stack(expected)).all()
        assert (images.dtype, labels, bad) == (np.uint8, [i % 5 for i in indices], ())


@every_source
def test_a_pass_from_the_middle_is_the_tail_of_the_whole(make):
    whole, tail = read(make, Pictures()), read(make, Pictures(), start=2)
    assert [number for number, *_ in tail] == [2, 3]
    for ours, theirs in zip(tail, whole[2:], strict=True):
        assert (ours[1] == theirs[1]).all()
        assert ours[2] == theirs[2]


@every_source
def test_nothing_to_read_is_no_batch(make):
    assert read(make, Pictures(), start=4) == []


@every_source
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("hue"), "raised KeyError: 'hue'"),
        (StopIteration(), "raised StopIteration: "),
        (SystemExit(3), "raised SystemExit: 3"),
        (ValueError("too\nlarge"), "raised ValueError: too large"),
        (DataError("picture is smaller than the crop", "bad-batch"), "picture is smaller than the crop"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("on_error", ["skip", "stop", "count_wrong"])
def test_what_an_op_raises_arrives_at_its_batch_as_a_data_error_with_the_sample(make, error, text, on_error):
    place = 14  # in the third batch of six
    index = order()[place]
    dataset = Pictures({index: raises(error)})
    source = make(Reader(dataset, decode_and_crop(dataset), 7, on_error))
    ids = DistributedBatchSampler(6, shuffle=True, length=20, seed=7).batches(0)
    got = []
    with pytest.raises(DataError) as caught:
        got.extend(source.batches(ids, lambda batch: batch.id.number))
    assert got == [0, 1]
    assert str(caught.value).startswith(f"synthetic:{index}: ")
    assert str(caught.value).endswith(text)
    assert caught.value.slug == "bad-batch"


def test_the_message_of_two_failures_in_one_batch_is_that_of_the_first_row_everywhere():
    first, second = order()[7], order()[8]
    dataset = Pictures({first: raises(KeyError("first")), second: raises(KeyError("second"))})
    messages = set()
    for make in SOURCES.values():
        with pytest.raises(DataError) as caught:
            read(make, dataset)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert re.fullmatch(rf"synthetic:{first}: source_pictures.py:\d+ raised KeyError: 'first'", messages.pop())


@every_source
def test_training_takes_the_next_readable_picture_under_the_random_numbers_of_the_slot(make):
    unreadable = {i: raises(DataError("cut short")) for i in (4, 5)}
    host = decode_and_crop(Pictures())
    got = {
        index: (images[row], labels[row], bad)
        for number, images, labels, bad in read(make, Pictures(unreadable), "skip")
        for row, index in enumerate(order()[number * 6 : number * 6 + 6])
    }
    for slot in (4, 5):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 1, 0, slot])))
        assert (got[slot][0] == host(Pictures()[6].data, rng)).all()
        assert got[slot][1] == 6 % 5
    records = sorted(set(got[4][2]) | set(got[5][2]))
    assert [tuple(record) for record in records] == [("synthetic:4", "cut short"), ("synthetic:5", "cut short")]


@every_source
def test_the_picture_after_the_last_is_the_first(make):
    got = read(make, Pictures({19: raises(DataError("cut short"))}), "skip")
    place = order().index(19)
    assert got[place // 6][2][place % 6] == 0


@every_source
def test_twenty_replacements_are_tried_and_the_first_reason_is_told(make):
    unreadable = {i: raises(DataError(f"broken {i}")) for i in range(40)}
    with pytest.raises(DataError) as caught:
        read(make, Pictures(unreadable, samples=40), "skip")
    first = DistributedBatchSampler(6, shuffle=True, length=40, seed=7).order(0)[0]
    text = f"synthetic:{first}: broken {first}; nor can the 20 pictures after it be read"
    assert (str(caught.value), caught.value.slug) == (text, "bad-image")


@every_source
def test_evaluation_stops_at_an_unreadable_picture(make):
    with pytest.raises(DataError, match="synthetic:4: cut short"):
        read(make, Pictures({4: raises(DataError("cut short"))}), "stop")


@every_source
def test_evaluation_by_request_marks_it_and_puts_no_other_in_its_place(make):
    bad_first = order()[0]  # also the picture whose shape would have been looked at
    got = read(make, Pictures({bad_first: raises(DataError("cut short"))}), "count_wrong")
    good = read(make, Pictures())
    assert got[0][2] == [-1, *good[0][2][1:]]
    assert not got[0][1][0].any()
    assert (got[0][1][1:] == good[0][1][1:]).all()
    assert [tuple(record) for record in got[0][3]] == [(f"synthetic:{bad_first}", "cut short")]
    assert all((ours[1] == theirs[1]).all() for ours, theirs in zip(got[1:], good[1:], strict=True))


@every_source
def test_evaluation_by_request_goes_on_where_no_picture_of_the_first_batch_can_be_read(make):
    broken = {index: raises(DataError("cut short")) for index in order()[:6]}
    got = read(make, Pictures(broken), "count_wrong")
    assert [labels for _, _, labels, _ in got[:1]] == [[-1] * 6]
    assert (got[1][1] == read(make, Pictures())[1][1]).all()
    with pytest.raises(DataError, match=rf"none of 20 pictures can be read; synthetic:{order()[0]}: cut short"):
        read(make, Pictures({index: raises(DataError("cut short")) for index in range(20)}), "count_wrong")


@every_source
def test_pictures_of_other_shapes_make_an_error_that_names_both(make):
    odd, first = order()[8], order()[6]
    dataset = Pictures({odd: lambda image: image[:3]})
    text = (
        rf"pictures of one batch differ: synthetic:{first} is uint8 \[8, 8, 3\], synthetic:{odd} is uint8 \[3, 12, 3\]"
    )
    with pytest.raises(DataError, match=text) as caught:
        read(make, dataset)
    assert caught.value.slug == "bad-batch"


@every_source
def test_batches_of_one_may_differ_in_shape(make):
    shapes = {i: (lambda image, side=i + 1: np.resize(image, (side, 3, 3))) for i in range(11)}
    got = read(make, Pictures(shapes), batch_size=1)
    assert [images.shape[1] for _, images, *_ in got] == [i + 1 if i < 11 else 8 for i in order()]


@every_source
@pytest.mark.parametrize(
    ("misdeed", "text"),
    [
        (lambda image: image.astype(np.float64), r"gave float64 \[8, 8, 3\], expected uint8 or float32 \[H, W, 3\]"),
        (lambda image: image[:, :, 0], r"gave uint8 \[8, 8\]"),
        (lambda image: image[:0], r"gave uint8 \[0, 12, 3\]"),
        (lambda image: np.float32(image) * np.nan, "gave NaN or infinite values"),
    ],
    ids=["dtype", "grey", "empty", "nan"],
)
def test_an_image_that_cannot_be_a_row_is_told_not_wrapped(make, misdeed, text):
    with pytest.raises(DataError, match=rf"synthetic:3: transform_ops {text}") as caught:
        read(make, Pictures({3: misdeed}))
    assert caught.value.slug == "bad-batch"


@every_source
def test_a_float_picture_among_bytes_is_an_error_not_a_cast(make):
    with pytest.raises(DataError, match=r"synthetic:3 is float32 \[8, 8, 3\]|is uint8 \[8, 8, 3\]"):
        read(make, Pictures({3: np.float32}))

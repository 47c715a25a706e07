"""Threads, processes and the plain loop: the same batches, the same errors, nothing left behind."""

import multiprocessing
import os
import re
import select
import signal
import socket
import threading
import time

import cv2
import numpy as np
import pytest

from ppcls.data.dataloader.process_source import ProcessSource
from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import DistributedBatchSampler
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.dataloader.thread_source import ThreadSource
from ppcls.utils.errors import DataError, WorkerError

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
    return [(b.id.number, b.images.copy(), b.labels.tolist(), b.bad) for b in source.batches(ids)]


def raises(error):
    """A misdeed."""

    def misdeed(image):
        raise error

    return misdeed


def order(epoch=0):
    """Which sample is at which place of the epoch."""
    return DistributedBatchSampler(6, shuffle=True, length=20, seed=7).order(epoch).tolist()


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
        got.extend(batch.id.number for batch in source.batches(ids))
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
    assert re.fullmatch(rf"synthetic:{first}: test_sources.py:\d+ raised KeyError: 'first'", messages.pop())


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


def _open_files():
    return len(os.listdir("/proc/self/fd"))


@every_source
def test_closing_in_the_middle_leaves_no_thread_process_or_open_file(make):
    dataset = Pictures()
    before = (threading.active_count(), _open_files())
    ids = DistributedBatchSampler(2, length=20).batches(0)
    batches = make(Reader(dataset, decode_and_crop(dataset), 7, "stop")).batches(ids)
    next(batches)
    started = time.perf_counter()
    batches.close()
    assert time.perf_counter() - started < 2
    assert (threading.active_count(), multiprocessing.active_children()) == (before[0], [])
    assert _open_files() <= before[1] + 2  # fork may keep a resource tracker
    assert list(batches) == []


@every_source
def test_an_error_leaves_no_thread_or_process(make):
    before = threading.active_count()
    with pytest.raises(DataError):
        read(make, Pictures({3: raises(KeyError("x"))}))
    assert (threading.active_count(), multiprocessing.active_children()) == (before, [])


@pytest.mark.parametrize("kind", ["2 threads", "2 processes"])
def test_workers_are_two_batches_ahead_and_no_more(kind):
    read_by_workers = multiprocessing.get_context("fork").Value("i", 0)

    def count(image):
        with read_by_workers:
            read_by_workers.value += 1
        return image

    dataset = Pictures(dict.fromkeys(range(20), count))
    ids = DistributedBatchSampler(4, length=20).batches(0)
    batches = SOURCES[kind](Reader(dataset, decode_and_crop(dataset), 7, "stop")).batches(ids)
    next(batches)
    deadline = time.perf_counter() + 5
    while read_by_workers.value < 13 and time.perf_counter() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert read_by_workers.value == 1 + 3 * 4  # the first look at the shape, and three batches
    batches.close()


def test_the_batch_in_hand_stays_while_workers_read_on():
    dataset = Pictures()
    ids = DistributedBatchSampler(2, length=20).batches(0)
    for batch in ThreadSource(Reader(dataset, decode_and_crop(dataset), 7, "stop"), 2).batches(ids):
        copy = batch.images.copy()
        time.sleep(0.01)  # in which the workers fill what they may
        assert (batch.images == copy).all()


def test_buffers_are_used_again():
    dataset = Pictures()
    ids = DistributedBatchSampler(2, length=20).batches(0)
    source = ThreadSource(Reader(dataset, decode_and_crop(dataset), 7, "stop"), 2)
    addresses = [batch.images.ctypes.data for batch in source.batches(ids)]
    assert len(set(addresses)) == 3


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "was ended by SIGSEGV"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "was ended by SIGTERM"),
        (lambda: os._exit(0), "left with exit code 0"),
        (lambda: os._exit(3), "left with exit code 3"),
    ],
    ids=["SIGKILL", "SIGSEGV", "SIGTERM", "exit 0", "exit 3"],
)
@pytest.mark.parametrize("use_shared_memory", [True, False])
def test_a_process_that_ends_early_is_a_worker_error_that_names_the_sample(end, text, use_shared_memory):
    main, sample = os.getpid(), order()[9]

    def misdeed(image):
        if os.getpid() != main:
            end()
        return image

    with pytest.raises(WorkerError, match=rf"loader process \d+ {text} while it read synthetic:{sample};"):
        read(lambda reader: ProcessSource(reader, 2, use_shared_memory), Pictures({sample: misdeed}))
    assert multiprocessing.active_children() == []


def test_what_processes_are_told_by_signals_does_not_reach_the_parent():
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    old = signal.set_wakeup_fd(writing.fileno())
    main = os.getpid()

    def misdeed(image):
        if os.getpid() != main:
            os.kill(os.getpid(), signal.SIGTERM)
        return image

    try:
        with pytest.raises(WorkerError, match="SIGTERM"):
            read(SOURCES["2 processes"], Pictures({order()[9]: misdeed}))
        reading.setblocking(False)
        numbers = reading.recv(100) if select.select([reading], [], [], 0)[0] else b""
        assert (told, signal.SIGTERM in numbers) == ([], False)
    finally:
        signal.set_wakeup_fd(old)
        signal.signal(signal.SIGTERM, before)
        reading.close()
        writing.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_early_is_a_worker_error():
    with pytest.raises(WorkerError, match="a loader thread ended early"):
        read(SOURCES["2 threads"], Pictures({order()[9]: raises(MemoryError())}))


def test_processes_are_their_own_group_so_that_a_signal_for_the_run_spares_them():
    pids = multiprocessing.get_context("fork").SimpleQueue()
    main = os.getpid()

    def note(image):
        if os.getpid() != main:
            pids.put((os.getpid(), os.getpgid(0)))
        return image

    read(SOURCES["2 processes"], Pictures({order()[9]: note}))
    pid, group = pids.get()
    assert pid == group


def test_processes_end_with_a_killed_parent():
    dataset = Pictures(dict.fromkeys(range(6, 20), lambda image: time.sleep(60)))
    received, sent = multiprocessing.get_context("fork").Pipe(duplex=False)

    def parent():
        ids = DistributedBatchSampler(6, length=20).batches(0)
        batches = SOURCES["2 processes"](Reader(dataset, decode_and_crop(dataset), 7, "stop")).batches(ids)
        next(batches)
        sent.send([child.pid for child in multiprocessing.active_children()])
        time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    pids = received.recv()
    process.kill()
    process.join()
    deadline = time.perf_counter() + 5
    while any(_lives(pid) for pid in pids) and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert (len(pids), [pid for pid in pids if _lives(pid)]) == (2, [])


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", ["2 threads", "2 processes"])
def test_a_stuck_sample_can_be_named_from_outside(kind):
    stuck = order()[13]
    go_on = multiprocessing.get_context("fork").Event()

    def wait(image):
        go_on.wait(20)
        return image

    dataset = Pictures({stuck: wait})
    source = SOURCES[kind](Reader(dataset, decode_and_crop(dataset), 7, "stop"))
    ids = DistributedBatchSampler(6, shuffle=True, length=20, seed=7).batches(0)
    batches = source.batches(ids)
    next(batches)
    deadline = time.perf_counter() + 5
    while source.reading() != [f"synthetic:{stuck}"] and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert source.reading() == [f"synthetic:{stuck}"]
    go_on.set()
    assert len(list(batches)) == 3
    assert source.reading() == []


def test_a_process_source_without_workers_is_refused():
    with pytest.raises(ValueError, match="needs num_workers of at least 1; got 0"):
        ProcessSource(None, 0)

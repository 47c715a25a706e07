"""The life of loader threads and processes: read-ahead, closing, early ends, signals; nothing is left behind."""

import multiprocessing
import os
import select
import signal
import socket
import threading
import time
import tracemalloc

import numpy as np
import pytest
from source_pictures import SOURCES, Pictures, decode_and_crop, every_source, order, raises, read

from ppcls.data.dataloader.process_source import ProcessSource
from ppcls.data.dataloader.reader import Reader
from ppcls.data.dataloader.sampler import DistributedBatchSampler
from ppcls.data.dataloader.thread_source import ThreadSource
from ppcls.utils.errors import DataError, WorkerError


def _open_files():
    return len(os.listdir("/proc/self/fd"))


@every_source
def test_closing_in_the_middle_leaves_no_thread_process_or_open_file(make):
    dataset = Pictures()
    before = (threading.active_count(), _open_files())
    ids = DistributedBatchSampler(2, length=20).batches(0)
    source = make(Reader(dataset, decode_and_crop(dataset), 7, "stop"))
    batches = source.batches(ids, lambda batch: None)
    next(batches)
    started = time.perf_counter()
    batches.close()
    assert time.perf_counter() - started < 2
    assert (threading.active_count(), multiprocessing.active_children()) == (before[0], [])
    assert _open_files() <= before[1] + 2  # fork may keep a resource tracker
    assert (list(batches), source.reading()) == ([], [])


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
    batches = SOURCES[kind](Reader(dataset, decode_and_crop(dataset), 7, "stop")).batches(ids, lambda batch: None)
    next(batches)
    deadline = time.perf_counter() + 5
    while read_by_workers.value < 13 and time.perf_counter() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert read_by_workers.value == 1 + 3 * 4  # the first look at the shape, and three batches
    batches.close()


def test_a_batch_in_use_stays_and_nothing_is_read_but_the_next():
    decoded = []

    def count(image):
        decoded.append(None)
        return image

    dataset = Pictures(dict.fromkeys(range(20), count))
    ids = DistributedBatchSampler(2, length=20).batches(0)
    source = ThreadSource(Reader(dataset, decode_and_crop(dataset), 7, "stop"), 2)

    def use(batch):
        copy = batch.images.copy()
        next_read = 1 + min(20, 2 * (batch.id.number + 2))  # with the first look at the shape
        deadline = time.perf_counter() + 5
        while len(decoded) < next_read and time.perf_counter() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)  # in which the workers would read on
        assert (batch.images == copy).all()
        return len(decoded) - 1

    assert list(source.batches(ids, use)) == [4, 6, 8, 10, 12, 14, 16, 18, 20, 20]


def test_buffers_are_used_again():
    dataset = Pictures()
    ids = DistributedBatchSampler(2, length=20).batches(0)
    source = ThreadSource(Reader(dataset, decode_and_crop(dataset), 7, "stop"), 2)
    addresses = list(source.batches(ids, lambda batch: batch.images.ctypes.data))
    assert len(set(addresses)) == 2


def test_no_more_is_in_memory_than_two_batches_and_two_pictures_a_worker():
    picture = 128 * 128 * 3
    dataset = Pictures(samples=80)
    ids = DistributedBatchSampler(8, length=80).batches(0)
    source = ThreadSource(Reader(dataset, lambda data, rng: np.zeros([128, 128, 3], np.uint8), 7, "stop"), 2)
    tracemalloc.start()
    try:
        list(source.batches(ids, lambda batch: None))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # In each worker the picture it is at and the one before; the first of all, for its shape; and little else.
    assert 2 * 8 * picture < peak < (2 * 8 + 2 * 2 + 1 + 1) * picture


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

    dataset, got = Pictures({sample: misdeed}), []
    source = ProcessSource(Reader(dataset, decode_and_crop(dataset), 7, "stop"), 2, use_shared_memory)

    def use(batch):
        deadline = time.perf_counter() + 5
        while len(multiprocessing.active_children()) == 2 and time.perf_counter() < deadline:
            time.sleep(0.01)
        return batch.id.number

    ids = DistributedBatchSampler(6, shuffle=True, length=20, seed=7).batches(0)
    with pytest.raises(WorkerError, match=rf"loader process \d+ {text} while it read synthetic:{sample};"):
        got.extend(source.batches(ids, use))
    assert (got, multiprocessing.active_children()) == ([0], [])  # the sample is in the second batch


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
        batches = SOURCES["2 processes"](Reader(dataset, decode_and_crop(dataset), 7, "stop")).batches(
            ids, lambda batch: None
        )
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
    batches = source.batches(ids, lambda batch: None)
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

"""Ops, data sets and loader workers that fail in the middle of an epoch: told with the sample, and nobody hangs.

In the order of the list sample 14 is of the second batch, so that an update and its checkpoint lie before it.
"""

from functools import partial
from signal import SIGKILL, SIGSEGV

from checks import units_are
from fault import Fault
from process import Bent
from sizes import JUDGED, TRAINED

_EVERY = ("Global.save_every_steps=1",)
_BACKENDS = {
    "0 threads": ("DataLoader.Train.loader.num_workers=0",),
    "2 threads": (),
    "2 processes": ("DataLoader.Train.loader.backend=process",),
}
_STILL = "DataLoader.Train.sampler.shuffle=False"


def _sample(how: str, in_worker: bool = False) -> tuple[Bent, ...]:
    return (("bad_parts.spoil_sample", 14, how, TRAINED, in_worker),)


_bad_batch = partial(
    Fault, code=3, slug="bad-batch", given=(*_EVERY, _STILL), leaves=(units_are("1-0"),), within_s=15.0
)
_worker = partial(
    Fault,
    code=6,
    slug="worker",
    given=(*_EVERY, _STILL, "DataLoader.Train.loader.backend=process"),
    leaves=(units_are("1-0"),),
    continues=True,
    within_s=10.0,
)
_ERRORS = {
    "ValueError": r"bad_parts\.py:\d+ raised ValueError: too large",
    "KeyError": r"bad_parts\.py:\d+ raised KeyError: 'hue'",
    "StopIteration": r"bad_parts\.py:\d+ raised StopIteration: ",
    "SystemExit": r"bad_parts\.py:\d+ raised SystemExit: 3",
}
_RESULTS = {
    "nan": r"transform_ops gave NaN or infinite values; look at the float ops",
    "grey": r"transform_ops gave uint8 \[32, 32\], expected uint8 or float32 \[H, W, 3\]",
}
_DEATHS = {
    "SIGKILL": r"loader process \d+ was ended by SIGKILL while it read synthetic:14; resume, or take loader\.backend",
    "SIGSEGV": r"loader process \d+ was ended by SIGSEGV while it read synthetic:14; resume, or take loader\.backend",
    "exit 0": r"loader process \d+ left with exit code 0 while it read synthetic:14; resume, or take loader\.backend",
}
FAULTS = (
    *(
        _bad_batch(
            f"op raises {error}, {backend}",
            "an op fails on one sample",
            spoiling=words,
            bent=_sample(error),
            says=f"^error.*synthetic:14: {says}",
            whole=True,
            slow=backend != "2 threads" and (error, backend) != ("KeyError", "2 processes"),
        )
        for error, says in _ERRORS.items()
        for backend, words in _BACKENDS.items()
    ),
    *(
        _bad_batch(
            f"op gives a {result} picture",
            "what an op makes of one sample cannot be a row of a batch",
            bent=_sample(result),
            says=says,
        )
        for result, says in _RESULTS.items()
    ),
    *(
        _bad_batch(
            f"data set raises {error}",
            "reading one sample fails in an unexpected way",
            bent=(("bad_parts.spoil_reading", 14, error),),
            says=f"^error.*synthetic:14: {says}",
            slow=error != "StopIteration",
        )
        for error, says in _ERRORS.items()
    ),
    *(
        _worker(
            f"loader process ends by {death}",
            "a loader process ends on its own",
            bent=_sample(death, in_worker=True),
            says=says,
            whole=True,
            slow=death == "exit 0",
        )
        for death, says in _DEATHS.items()
    ),
    _worker(
        "loader process ends by SIGKILL, pipes",
        "a loader process that sends pictures through its pipe is killed",
        spoiling=("DataLoader.Train.loader.use_shared_memory=False",),
        bent=_sample("SIGKILL", in_worker=True),
        says=_DEATHS["SIGKILL"],
        slow=True,
    ),
    _worker(
        "loader thread ends early",
        "a loader thread runs out of memory",
        given=(*_EVERY, _STILL),
        bent=_sample("MemoryError"),
        traced=True,
        says=r"a loader thread ended early; its traceback stands above",
        whole=True,
    ),
    _bad_batch(
        "op gives a wide picture",
        "what an op makes of one sample has another size than the others of its batch",
        bent=(("bad_parts.spoil_sample", 3, "wide", JUDGED),),
        says=r"of one batch differ: synthetic:0 is uint8 \[32, 32, 3\], synthetic:3 is uint8 \[32, 64, 3\]",
        leaves=(units_are("1-0", "2-0"),),
    ),
    _bad_batch(
        "op raises in the evaluation",
        "an op fails on a sample of the evaluation",
        bent=(("bad_parts.spoil_sample", 3, "KeyError", JUDGED),),
        says=r"^error.*synthetic:3: bad_parts\.py:\d+ raised KeyError: 'hue'",
        leaves=(units_are("1-0", "2-0"),),
    ),
    Fault(
        "decoder crashes the process",
        "a decoder in a thread crashes in the evaluation, and with it the run",
        -SIGSEGV,
        given=_EVERY,
        bent=(("bad_parts.spoil_sample", 3, "SIGSEGV", JUDGED),),
        leaves=(units_are("1-0", "2-0"),),
        continues=True,
    ),
    Fault(
        "killed with loader processes",
        "a run with loader processes is killed",
        -SIGKILL,
        given=(*_EVERY, "DataLoader.Train.loader.backend=process"),
        spoiling=("Hooks=[SpoilRun: {step: 2, what: SIGKILL}]",),
        continues=True,
    ),
    Fault(
        "small /dev/shm",
        "shared memory has room for 64 kB",
        0,
        given=("DataLoader.Train.loader.backend=process",),
        bent=(("bent.small_shared_memory", "64k"),),
        says="training is complete",
        needs_mounts=True,
    ),
)

"""Runs that were stopped in mid-epoch and go on in other circumstances, and runs that should not go on."""

from functools import partial
from signal import SIGTERM

from fault import Fault
from place import Place
from process import Ended

from ppcls.utils.checkpoint import CheckpointStore

_AUTO = ("Global.checkpoints=auto",)
_PLAIN = "DataLoader.Train.dataset.batch_transform_ops=null"


def _stopped(
    name: str, broken: str, step: int, *continued: str, given: tuple[str, ...] = (), slow: bool = False
) -> Fault:
    hook = f"Hooks=[SignalAt: {{step: {step}}}]"
    fault = partial(Fault, name, broken, 128 + SIGTERM, says="stopped by SIGTERM after update", continues=True)
    return fault(given=given, spoiling=(hook,), continued=continued, slow=slow)


def _look(place: Place) -> dict[str, int]:
    kept = ("run.lock", "train.log")  # say that somebody looked
    paths = [path for path in place.run.rglob("*") if path.name not in kept and path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in paths if path.parent.name != "status"}


def remember(place: Place) -> None:
    """What is there, and since when."""
    place.values["seen"] = str(_look(place))


def unchanged(place: Place, ended: Ended) -> None:
    """Every file is as it was."""
    assert str(_look(place)) == place.values["seen"]


def first_is_best(place: Place, ended: Ended) -> None:
    """``best_model`` is of the first epoch, whatever came later."""
    best = CheckpointStore.load(place.run / "best_model").payload.states
    assert (best["epoch"], best["metric"]) == (1, 0.9)


FAULTS = (
    _stopped(
        "continued with four threads",
        "a run goes on with other loader threads",
        2,
        "DataLoader.Train.loader.num_workers=4",
    ),
    _stopped(
        "continued without threads",
        "a run goes on without loader threads",
        5,
        "DataLoader.Train.loader.num_workers=0",
        slow=True,
    ),
    _stopped(
        "continued with processes", "a run goes on with loader processes", 2, "DataLoader.Train.loader.backend=process"
    ),
    _stopped("stopped where warm-up ends", "a run stops where its warm-up and its first epoch end", 3),
    _stopped(
        "stopped between accumulations", "a run that accumulates gradients stops", 1, given=("Global.update_freq=2",)
    ),
    _stopped(
        "stopped with training metrics",
        "a run that judges its training batches stops in mid-epoch",
        2,
        given=(_PLAIN, "Metric.Train=[TopkAcc: {topk: [1]}]"),
        slow=True,
    ),
    _stopped(
        "stopped with dropped batches",
        "a run that drops incomplete batches stops in mid-epoch",
        1,
        given=("DataLoader.Train.sampler.drop_last=True",),
        slow=True,
    ),
    Fault(
        "complete run again",
        "a run that is complete is started again",
        0,
        start="done",
        given=_AUTO,
        arrange=remember,
        says=r"training is already complete: 2 epochs",
        leaves=(unchanged,),
    ),
    Fault(
        "worse than before",
        "the second evaluation is worse than the first",
        0,
        given=("Metric.Eval=[Falling: {}]",),
        says=r"\[Eval\]\[Epoch 2\]\[best metric: 0\.9",
        leaves=(first_is_best,),
    ),
    Fault(
        "earlier checkpoint in the same folder",
        "a run is to go on from a checkpoint that has later ones beside it",
        2,
        slug="locked",
        start="stopped",
        given=("Global.checkpoints=$run/checkpoints/step-000000002-0",),
        says=r"$run holds checkpoints later than $run/checkpoints/step-000000002-0/model; go on from the last",
    ),
)

"""Losses, weights and logits that are no numbers: the run ends, rolls back or leaves the batch out, as it was told."""

from functools import partial
from signal import SIGKILL

from checks import units_are
from fault import Check, Fault
from place import Place
from process import Ended

_EVERY = ("Global.save_every_steps=1",)
_POISON = "DataLoader.Train.dataset.batch_transform_ops=[PoisonBelow: {share: %s}]"
_THIRD, _ALWAYS = _POISON % 0.1, _POISON % 2  # with seed 7 the third update's batch; every batch
_SKIP, _BACK = "Global.on_nan=skip", "Global.on_nan=rollback"
_infinite = partial(Fault, code=5, slug="non-finite")
_killed = partial(Fault, code=-SIGKILL, spoiling=("Hooks=[SpoilRun: {step: 4, what: SIGKILL}]",), continues=True)


def no_numbers(place: Place, ended: Ended) -> None:
    """No accuracy is printed."""
    assert "[Avg]" not in ended.out.split("[Eval]")[-1]


def told_times(text: str, times: int) -> Check:
    """It is said so often."""

    def check(place: Place, ended: Ended) -> None:
        assert ended.text.count(text) == times, ended.text[-3000:]

    return check


FAULTS = (
    _infinite(
        "rate that explodes",
        "the learning rate of the second epoch is 1e30",
        spoiling=("Optimizer.lr={name: Piecewise, learning_rate: 0.01, decay_epochs: [1], values: [0.01, 1e30]}",),
        says=r"^error\[non-finite\]: the loss is not finite: .*; step 5, epoch 2, lr 1e\+30, batch of synthetic:\d+",
        leaves=(units_are("3-1"),),
    ),
    _infinite(
        "poisoned batch",
        "the pictures of a batch are NaN",
        given=(*_EVERY, _THIRD),
        says=r"the loss is not finite: CELoss nan, loss nan; step 3, epoch 1, lr \S+, batch of synthetic:\d+, .*stand",
        leaves=(units_are("1-0", "2-0"),),
    ),
    Fault(
        "poisoned batch, skipped",
        "the pictures of a batch are NaN, and its update is left out",
        0,
        given=(*_EVERY, _THIRD, _SKIP),
        says=r"step 3, .*: left out by on_nan: skip, 1 in all",
        leaves=(told_times("left out by on_nan", 1),),
    ),
    _infinite(
        "poisoned batches, skipped",
        "all batches are NaN",
        given=(_ALWAYS, _SKIP),
        says=r"left out by on_nan: skip, 6 in all, more than 5 in a row or 5 in all",
        leaves=(units_are("3-1"),),
    ),
    Fault(
        "poisoned batch, rolled back",
        "the pictures of a batch are NaN, and the run goes back and around it",
        0,
        given=(*_EVERY, _THIRD, _BACK),
        says=r"rolled back to $run/checkpoints/step-000000002-0; update 3 will be left out",
        leaves=(told_times("rolled back to", 1),),
    ),
    _infinite(
        "poisoned batches, rolled back",
        "all batches are NaN",
        given=(_ALWAYS, _BACK, "Global.epochs=4", "Global.eval_interval=0"),
        says=r"on_nan: rollback has left out 10 updates, which is the most",
        slow=True,
    ),
    _killed(
        "killed after a skipped batch",
        "a run that has left out an update is killed",
        given=(*_EVERY, _THIRD, _SKIP),
    ),
    _killed(
        "killed after a rollback",
        "a run that has gone back is killed",
        slow=True,
        given=(*_EVERY, _THIRD, _BACK),
    ),
    _infinite(
        "weight that becomes infinite",
        "a weight is infinite after update 2, before the save",
        given=_EVERY,
        spoiling=("Hooks=[SpoilRun: {step: 2, what: infinite}]",),
        says=r"^error\[non-finite\]: weights: \S+ holds NaN or infinity at step 2; nothing is saved, the units before",
        leaves=(units_are("1-0"),),
        continues=True,
    ),
    _infinite(
        "logits that are no numbers",
        "a weight is infinite when the evaluation begins",
        given=_EVERY,
        spoiling=("Hooks=[SpoilRun: {step: 3, what: infinite}]",),
        says=r"evaluation after epoch 1, batch 0: logits are not finite; the weights or the running statistics are",
        leaves=(units_are("1-0", "2-0"), no_numbers),
        continues=True,
    ),
)

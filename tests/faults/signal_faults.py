"""Signals to one process, whatever it is doing: the update is finished, saved once, and the code is 128 + n."""

from functools import partial
from signal import SIGINT, SIGKILL, SIGTERM, SIGUSR1

from fault import Check, Fault
from place import Place
from process import Ended, saved_units
from sizes import JUDGED

_STILL = "DataLoader.Train.sampler.shuffle=False"
_UNIT = "step-000000004-0"


def saves(*names: str) -> Check:
    """The run saved exactly these units, in this order."""

    def check(place: Place, ended: Ended) -> None:
        found = saved_units(place.folder)
        assert found == [f"step-00000000{name}" for name in names], found

    return check


def _hook(what: str, step: int = 2) -> tuple[str, ...]:
    return (f"Hooks=[SpoilRun: {{step: {step}, what: '{what}'}}]",)


_stopped = partial(Fault, code=128 + SIGTERM, continues=True, within_s=15.0)
FAULTS = (
    *(
        _stopped(
            f"{number.name} in training",
            "a signal comes after update 2",
            code=128 + number,
            spoiling=_hook(number.name),
            says=f"stopped by {number.name} after update 2; saved",
            leaves=(saves("2-0"),),
            slow=number != SIGTERM,
        )
        for number in (SIGTERM, SIGINT, SIGUSR1)
    ),
    _stopped(
        "SIGTERM in an evaluation",
        "a signal comes while the first epoch is judged",
        bent=(("bad_parts.spoil_sample", 3, "SIGTERM", JUDGED),),
        says="stopped by SIGTERM after update 3",
        continued=("Global.print_batch_step=2",),
    ),
    _stopped(
        "SIGTERM in a save",
        "a signal comes while weights are flushed",
        given=("Global.save_every_steps=4",),
        bent=(("bent.signal_at", "fsync", f"{_UNIT}-", [SIGTERM]),),
        says="stopped by SIGTERM after update 4; saved",
        leaves=(saves("3-1", "4-0", "4-0"),),
    ),
    _stopped(
        "SIGTERM while a sample is read",
        "a signal comes while the run waits a second for a sample",
        given=(_STILL,),
        bent=(("bad_parts.spoil_reading", 14, "SIGTERM,sleep 1"),),
        says=r"stopped by SIGTERM after update [12]; saved",
    ),
    _stopped(
        "SIGTERM three times to the group",
        "the launcher's way: three signals to the whole group within 0.4 s",
        spoiling=_hook("group SIGTERM,sleep 0.2,group SIGTERM,sleep 0.2,group SIGTERM"),
        says="stopped by SIGTERM after update 2; saved",
        leaves=(saves("2-0"),),
        slow=True,
    ),
    _stopped(
        "SIGTERM three times to the group, processes",
        "the launcher's way, with loader processes that must not go first",
        given=("DataLoader.Train.loader.backend=process",),
        spoiling=_hook("group SIGTERM,sleep 0.2,group SIGTERM,sleep 0.2,group SIGTERM"),
        says="stopped by SIGTERM after update 2; saved",
        leaves=(saves("2-0"),),
    ),
    _stopped(
        "SIGINT, and again",
        "somebody presses Ctrl-C, and once more 2.5 s later",
        code=128 + SIGINT,
        given=("Global.save_every_steps=1",),
        spoiling=_hook("SIGINT,sleep 2.5,SIGINT,sleep 30"),
        says=r"error\[stopped\]: stopped by SIGINT, told again by SIGINT: not saved; the checkpoints before are whole",
        leaves=(saves("1-0"),),
        within_s=5.0,
    ),
    _stopped(
        "SIGTERM, and SIGUSR1 later",
        "a second request comes 2.5 s after the first: the code is the first one's",
        given=("Global.save_every_steps=1",),
        spoiling=_hook("SIGTERM,sleep 2.5,SIGUSR1,sleep 30"),
        says=r"error\[stopped\]: stopped by SIGTERM, told again by SIGUSR1: not saved",
        leaves=(saves("1-0"),),
        within_s=5.0,
        slow=True,
    ),
    _stopped(
        "SIGTERM, then SIGKILL",
        "whoever sent SIGTERM loses patience before the save",
        code=-SIGKILL,
        given=("Global.save_every_steps=1",),
        spoiling=_hook("SIGTERM,sleep 0.5,SIGKILL"),
        leaves=(saves("1-0"),),
    ),
)

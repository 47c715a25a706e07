"""Ranks that fail, die, hang or are stopped: what is broken, and what the launcher, the console and the folder say."""

from dataclasses import dataclass

GONE = r"error\[rank\]: rank 1 \(pid \d+ on .*\) is gone without a word, last at .*; its log is workerlog\.1"
STALL = r"error\[step-stall\]: (rank 1: no progress for [\d.]+ s|no progress for [\d.]+ s at .*; rank 1 is behind)"
WATCHED = ("Global.watchdog_s=5",)


@dataclass(frozen=True)
class RankFault:
    """Something that happens to one of two ranks.

    Args:
        broken: what, in a sentence.
        hook: YAML of the hook that does it, see ``broken_ranks``; none for what happens from outside.
        code: of the launcher.
        says: a regular expression of the console, which is rank 0's.
        status: state, code and slug in the record of rank 0.
        more: overrides.
        kills: the signal that the launcher itself gets after the first checkpoint.
        continues: the run, started again, ends as one that was never broken.
        culprit: the rank that does it; one that hangs leaves its stacks.
        slow: ``make faults`` alone runs it.
    """

    broken: str
    hook: str
    code: int
    says: str
    status: tuple[str, int, str]
    more: tuple[str, ...] = ()
    kills: str = ""
    continues: bool = False
    culprit: int = 1
    slow: bool = False


def _misbehave(how: str, more: str = "") -> str:
    return f"[Misbehave: {{how: {how}{more}}}]"


JUDGING = ", step: 4, during: evaluation"
STOPPED = ("stopped", 143, "stopped")

RANK_FAULTS = {
    "raises": RankFault(
        "rank 1 raises an error about its data while rank 0 exchanges gradients",
        _misbehave("raise"),
        3,
        r"error\[bad-image\]: rank 1: train\.txt:17 a\.jpg: spoiled on purpose; its log is workerlog\.1",
        ("failed", 3, "bad-image"),
    ),
    "raises in evaluation": RankFault(
        "rank 1 raises an error about its data while both judge",
        _misbehave("raise", JUDGING),
        3,
        r"error\[bad-image\]: rank 1: train\.txt:17 a\.jpg: spoiled on purpose; its log is workerlog\.1",
        ("failed", 3, "bad-image"),
        slow=True,
    ),
    "bug": RankFault(
        "rank 1 meets a mistake of ours",
        _misbehave("bug"),
        1,
        r"error\[failed\]: rank 1: KeyError: 'a mistake of ours'; its log is workerlog\.1",
        ("failed", 1, "failed"),
        slow=True,
    ),
    "exits with 3": RankFault(
        "rank 1 leaves with exit code 3 and without a word",
        _misbehave("exit 3"),
        6,
        GONE,
        ("failed", 6, "rank"),
        slow=True,
    ),
    "killed": RankFault(
        "rank 1 is killed in training", _misbehave("kill"), 6, GONE, ("failed", 6, "rank"), continues=True
    ),
    "killed in evaluation": RankFault(
        "rank 1 is killed while both judge", _misbehave("kill", JUDGING), 6, GONE, ("failed", 6, "rank"), slow=True
    ),
    "leaves early": RankFault(
        "rank 1 leaves with exit code 0 before the run is complete",
        _misbehave("leave with 0"),
        6,
        GONE,
        ("failed", 6, "rank"),
    ),
    "leaves early by Python": RankFault(
        "rank 1 calls sys.exit(0) before the run is complete",
        _misbehave("exit politely"),
        1,
        r"error\[failed\]: rank 1: SystemExit: 0; its log is workerlog\.1",
        ("failed", 1, "failed"),
        slow=True,
    ),
    "hangs": RankFault(
        "rank 1 hangs after an update",
        _misbehave("hang"),
        7,
        STALL,
        ("failed", 7, "step-stall"),
        WATCHED,
    ),
    "hangs in evaluation": RankFault(
        "rank 1 hangs while both judge",
        _misbehave("hang", JUDGING),
        7,
        STALL,
        ("failed", 7, "step-stall"),
        WATCHED,
        slow=True,
    ),
    "rank 0 hangs": RankFault(
        "rank 0 hangs after an update",
        _misbehave("hang", ", rank: 0"),
        7,
        r"error\[step-stall\]: no progress for [\d.]+ s at the log and the checkpoint after update 2; the stacks",
        ("failed", 7, "step-stall"),
        WATCHED,
        culprit=0,
        slow=True,
    ),
    "hangs unwatched": RankFault(
        "rank 1 hangs after an update, and there is no watchdog",
        _misbehave("hang"),
        6,
        r"error\[rank\]: the ranks lost each other; rank 1 was last at the log and the checkpoint after update 2: .*",
        ("failed", 6, "rank"),
        slow=True,
    ),
    "picture hangs": RankFault(
        "the disk never gives rank 1 one of its pictures",
        "[]",
        7,
        r"error\[(data|step)-stall\]: (rank 1: )?no progress for [\d.]+ s at .*(reading list\.txt:|rank 1 is behind)",
        ("failed", 7, "data-stall|step-stall"),
        (*WATCHED, "DataLoader.Train.dataset.name=StuckDataset"),
    ),
    "not a number": RankFault(
        "the loss of rank 1 alone is not finite",
        _misbehave("poison"),
        5,
        r"error\[non-finite\]: the loss of rank 1 is not finite; its log names the pictures",
        ("failed", 5, "non-finite"),
        slow=True,
    ),
    "more ranks than pictures": RankFault(
        "there is a picture for one of two ranks",
        "[]",
        3,
        r"error\[too-little-data\]: DataLoader\.Train\.sampler: 1 samples for 2 ranks; start fewer ranks",
        ("failed", 3, "too-little-data"),
        ("DataLoader.Train.dataset={name: SyntheticDataset, samples: 1, transform_ops: [DecodeImage: {}]}",),
        slow=True,
    ),
    "told to stop": RankFault(
        "rank 1 alone is told to stop",
        _misbehave("terminate"),
        143,
        r"stopped by SIGTERM after update \d; saved",
        STOPPED,
        continues=True,
    ),
    "launcher told to stop": RankFault(
        "the launcher is told to stop",
        "[]",
        15,
        r"stopped by SIGTERM after update \d+; saved",
        STOPPED,
        kills="SIGTERM",
    ),
    "launcher killed": RankFault("the launcher is killed", "[]", -9, "", STOPPED, kills="SIGKILL"),
    "slow": RankFault(
        "rank 0 takes 35 s to save, and rank 1 as long to judge",
        "[Slow: {seconds: 35, judge: 1}]",
        0,
        "training is complete",
        ("complete", 0, ""),
        ("Global.epochs=1", "Global.save_every_steps=0"),
        slow=True,
    ),
}

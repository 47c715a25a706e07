"""Runs the stages of a Run in order, and finds where to continue."""

import dataclasses
import logging
import os
import shutil
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paddle.utils import unique_name

from ppcls.config import Run, Stage, resolved_yaml
from ppcls.config.profiler_options import ProfilerOptions
from ppcls.engine.changes import with_seed_of
from ppcls.engine.hooks.nan_guard import BadUpdate
from ppcls.engine.presence import Presence, ranks_together
from ppcls.engine.state import TrainState
from ppcls.engine.training import Training, announce, look_ahead, prepare_folder
from ppcls.utils import compat, dist, launcher, logger
from ppcls.utils.checkpoint import CheckpointStore, Unit, unit_step
from ppcls.utils.errors import ConfigError, NonFiniteError, PpclsError
from ppcls.utils.files import output_errors
from ppcls.utils.save_load import find_prefix
from ppcls.utils.signals import SIGNALS, StopRequests, leave
from ppcls.utils.status import StatusFolder
from ppcls.utils.watchdog import Mark, Pulse, Watchdog

_LOG = logging.getLogger("ppcls")
_SIGNAL_CODE = 128
MOST_ROLLBACKS = 10  # updates that `on_nan: rollback` may leave out


@dataclass(frozen=True)
class TrainOptions:
    """What the command line adds to a config. ``environment`` is what was set before paddle was imported."""

    overwrite: bool = False
    dry_run: bool = False
    allow_config_change: bool = False
    environment: str = ""
    profile: ProfilerOptions | None = None


def train_run(run: Run, options: TrainOptions) -> int:
    """Train every stage that is not complete, each from the last weights of the one before.

    Returns:
        0 when all epochs of all stages are done, 128 + n when signal n stopped the run after saving.
    """
    _require_one_place(run)
    logs = dist.rank() in run.stages[0].config.Global.log_ranks
    logger.setup(quiet=not logs).info(options.environment)
    if options.profile is not None and not options.profile.timer_only:
        compat.profiler_targets(options.profile.state)  # what cannot be recorded is refused before anything is written
    with ranks_together():
        _join(run.stages[0])
        with StopRequests() as requests:
            return _train_stages(run, options, requests)


def _join(stage: Stage) -> None:
    """Choose the device and meet the other ranks, watched as all else is.

    Paddle keeps Python's lock until they have met: no handler and no thread of ours would run, so signals end this
    process as they end any other.
    """
    settings = stage.config.Global
    compat.select_device(settings.device)
    if dist.world_size() > 1:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # not paddle's, which prints pages
    with Watchdog(Pulse(), settings.watchdog_s, looked=lambda: None, stalled=_missed):
        dist.start()


def _missed(mark: Mark, waited_s: float) -> None:
    """From the watchdog's thread."""
    leave(7, "step-stall", f"the ranks did not meet within {waited_s:.1f} s; look at their logs")


def _train_stages(run: Run, options: TrainOptions, requests: StopRequests) -> int:
    moved = None if options.dry_run else launcher.tidy_logs(Path(run.stages[0].config.Global.output_dir))
    if moved is not None:
        _LOG.info("the launcher's logs are in %s", moved)
    if options.dry_run:
        for stage in run.stages:
            _rehearse(stage)
        return 0
    for stage in run.stages[1:]:
        look_ahead(stage)
    previous: Stage | None = None  # as its file says it, without what was handed to it
    for stage in run.stages:
        code = _train_stage(stage, previous, options, requests)
        if code:
            return code
        previous = stage
    return 0


def _require_one_place(run: Run) -> None:
    """A prefix names the place in one stage; several stages find theirs by themselves."""
    for stage in run.stages:
        wanted = stage.config.Global.checkpoints
        if len(run.stages) > 1 and wanted not in (None, "auto"):
            raise ConfigError(f"{stage.name}: Global.checkpoints: a run of stages continues by auto; got {wanted!r}")


def _rehearse(stage: Stage) -> None:
    announce(stage)
    with unique_name.guard():
        training = Training(stage)
        training.start_from(stage.config.Global.pretrained_model)
        training.rehearse()
    print(resolved_yaml(training.stage), end="")


def _train_stage(stage: Stage, previous: Stage | None, options: TrainOptions, requests: StopRequests) -> int:
    store = CheckpointStore(stage.folder)
    is_new = dist.is_main() and not stage.folder.exists()
    with ExitStack() as opened:
        opened.callback(logger.close_files)
        try:
            # Rank 0 alone looks at the folder: what another saw there would depend on when, and on which machine.
            unit = dist.from_main(lambda: _open(stage, store, options, opened))
            if unit is not None and unit.payload.states.get("epoch", 0) >= stage.config.Global.epochs:
                _LOG.info("%s is already complete: %d epochs", stage.name or "training", unit.payload.states["epoch"])
                return 0
            stage = _with_start(stage, previous) if unit is None else with_seed_of(stage, unit)
            status = StatusFolder(stage.folder / "status")
            life = dist.from_main(status.begin_life)
            with Presence(status, life, stage.config.Global.watchdog_s, requests) as presence:
                return _train_from(unit, stage, store, options, presence)
        except PpclsError as error:
            if error.slug != "locked":
                _note(error, store, is_new)
            raise


def _note(error: PpclsError, store: CheckpointStore, is_new: bool) -> None:
    """Let the log end in the error; a mistake of configuration leaves no new folder behind."""
    logger.note_in_files(f"error[{error.slug}]: {error}")
    if is_new and isinstance(error, ConfigError) and not store.folder.exists():
        shutil.rmtree(store.run_folder, ignore_errors=True)
        with suppress(OSError):  # not empty: another run is in there
            store.run_folder.parent.rmdir()


def _open(stage: Stage, store: CheckpointStore, options: TrainOptions, opened: ExitStack) -> Unit | None:
    """Make the folder ours until ``opened`` is closed, and find where to continue in it."""
    if options.overwrite:
        _move_aside(store)
    prepare_folder(stage)
    opened.enter_context(store.lock())
    store.clean()
    return _where_to_continue(stage, store)


def _train_from(
    unit: Unit | None, stage: Stage, store: CheckpointStore, options: TrainOptions, presence: Presence
) -> int:
    announce(stage)
    left_out: frozenset[int] = frozenset()
    while True:
        try:
            state = _live(unit, stage, store, left_out, options, presence)
        except BadUpdate as error:
            if stage.config.Global.on_nan != "rollback":
                raise
            left_out |= {error.update}
            unit = dist.from_main(partial(_roll_back, store, error, left_out))
        else:
            return _said(presence, state.stop_signal)


def _said(presence: Presence, stop_signal: int | None) -> int:
    """The exit code of a stage that ended well, or was stopped and saved; also for its record."""
    if stop_signal is None:
        presence.complete()
        return 0
    presence.stopped(_SIGNAL_CODE + stop_signal)
    return _SIGNAL_CODE + stop_signal


def _live(
    unit: Unit | None,
    stage: Stage,
    store: CheckpointStore,
    left_out: frozenset[int],
    options: TrainOptions,
    presence: Presence,
) -> TrainState:
    """One life of a stage: from a checkpoint, or from its beginning, to its end or to what stops it.

    Args:
        left_out: the updates, from 0, that are not made.
    """
    # Paddle's names of accumulators count up in a process; within the guard they are the same in every life of a run.
    with unique_name.guard():
        training = Training(stage, presence.pulse)
        training.state.left_out = left_out
        if unit is None:
            training.start_from(stage.config.Global.pretrained_model)
            return training.run(store, {}, presence, options.profile)
        training.continue_from(unit, allow_change=options.allow_config_change)
        if dist.is_main():
            store.prune(stage.config.Global.keep_last)  # which may be lower than before, on a disk that was full
        return training.run(store, unit.payload.states.get("records", {}), presence, options.profile)


def _roll_back(store: CheckpointStore, error: BadUpdate, left_out: frozenset[int]) -> Unit:
    """The newest checkpoint, all of which were taken before the bad update; NonFiniteError after too many of them."""
    unit = store.newest()
    before = frozenset(unit.payload.states.get("left_out", ())) if unit is not None else frozenset()
    if unit is None or len(left_out | before) > MOST_ROLLBACKS:
        raise NonFiniteError(f"{error}; on_nan: rollback has left out {MOST_ROLLBACKS} updates, which is the most")
    _LOG.warning("%s: rolled back to %s; update %d will be left out", error, unit.prefix.parent, error.update + 1)
    return unit


def _with_start(stage: Stage, previous: Stage | None) -> Stage:
    """The stage with the weights it starts from in its config: the last of the stage before, unless it names others.

    A ``pretrained_model`` that both stages have stands in the common part of the file: it is where the first begins.
    """
    settings = stage.config.Global
    if previous is None or settings.pretrained_model not in (None, previous.config.Global.pretrained_model):
        return stage
    settings = dataclasses.replace(settings, pretrained_model=str(previous.folder / "latest"))
    return dataclasses.replace(stage, config=dataclasses.replace(stage.config, Global=settings))


def _where_to_continue(stage: Stage, store: CheckpointStore) -> Unit | None:
    """The unit that ``Global.checkpoints`` means; None for a fresh start."""
    wanted = stage.config.Global.checkpoints
    if wanted == "auto":
        unit = store.newest()
        if unit is not None:
            _forget_lost_best(store, unit)
        else:
            _LOG.info("no checkpoint in %s: a fresh start", store.folder)
        return unit
    if wanted:
        return _named(store, store.load(Path(find_prefix(wanted, stage.config.Arch.name))))
    if store.units():
        raise ConfigError(
            f"{stage.folder} holds the checkpoints of another run; continue it with --resume, "
            "or start afresh with --overwrite, which moves the folder aside",
            "locked",
        )
    return None


def _forget_lost_best(store: CheckpointStore, unit: Unit) -> None:
    """Begin anew to look for the best evaluation when the weights that earned it are no longer whole."""
    best = store.run_folder / "best_model"
    if not unit.payload.states.get("best"):
        return
    try:
        store.load(best)
    except PpclsError as error:
        _LOG.warning("%s; the best so far is forgotten, and the next evaluation is the best", error)
        unit.payload.states["best"] = None


def _named(store: CheckpointStore, unit: Unit) -> Unit:
    """The unit, unless this folder went on from there: its later checkpoints would be mixed with the new ones."""
    states = unit.payload.states
    step = states["step"] + states.get("step_shift", 0) if "step" in states else None
    later = store.units()[-1:]
    if later and (step is None or unit_step(later[0]) > step):
        raise ConfigError(
            f"{store.run_folder} holds checkpoints later than {unit.prefix}; go on from the last with --resume, "
            "or branch off into another Global.output_dir",
            "locked",
        )
    return unit


def _move_aside(store: CheckpointStore) -> None:
    """Rename the folder of an earlier run to ``<name>.old-<time>``; nothing is deleted."""
    folder = store.run_folder
    if store.units():
        target = folder.with_name(f"{folder.name}.old-{time.strftime('%Y%m%d-%H%M%S')}")
        if target.exists():
            target = target.with_name(f"{target.name}-{os.getpid()}")
        with store.lock(), output_errors(target):  # never from under a run that is still writing
            folder.rename(target)
        _LOG.info("moved the earlier run to %s", target)

"""TrainState <-> checkpoint."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ppcls.engine.changes import compute_threads
from ppcls.engine.precision import MASTER
from ppcls.engine.records import Records
from ppcls.engine.state import Best, Skips, TrainState
from ppcls.utils import compat, dist
from ppcls.utils.checkpoint import CheckpointStore, Payload, Unit
from ppcls.utils.errors import WeightsError
from ppcls.utils.manifest import UnitInfo
from ppcls.utils.save_load import Weights, load_into, model_arrays, parameter_names

_LOG = logging.getLogger("ppcls")


class Keeper:
    """Saves a run into its store, together with the lengths of its records.

    Args:
        config: what may not change on resume, as ``changes.fingerprint`` tells it.
        before: called on all ranks before every save.
        saved: called on all ranks after every save, with its step.
    """

    def __init__(
        self,
        store: CheckpointStore,
        records: Records,
        keep_last: int,
        config: dict[str, str],
        before: Callable[[], None],
        saved: Callable[[int], None],
    ) -> None:
        self._store = store
        self._records = records
        self._keep_last = keep_last
        self._config = config
        self._before = before
        self._saved = saved

    def save(self, state: TrainState, names: Sequence[str], after_evaluation: bool) -> None:
        """Commit a unit and let ``names`` point at it; all ranks call it, rank 0 writes and the others wait."""
        for model in state.eval_models.values():
            dist.share_statistics(model)
        self._before()
        state.pulse.mark("a checkpoint", state.step)
        dist.from_main(partial(self._write, state, names, after_evaluation))
        state.pulse.mark("what follows a checkpoint", state.step)
        self._saved(state.step + state.step_shift)

    def _write(self, state: TrainState, names: Sequence[str], after_evaluation: bool) -> None:
        info = UnitInfo(
            step=state.step + state.step_shift,
            epoch=state.epoch,
            batch=state.batch,
            suffix=int(after_evaluation),
            ranks=dist.world_size(),
            device=paddle.get_device(),
            compute_threads=compute_threads(),
            config=self._config,
            best=state.best._asdict() if state.best else None,
            versions={"paddle": compat.paddle_version()},
        )
        payload = _payload(state, self._records)
        self._store.save(payload, info, names, state.pulse.part)
        self._store.prune(self._keep_last)


def restore(state: TrainState, unit: Unit) -> None:
    """Continue where the unit was taken.

    A checkpoint without this project's entries (PaddleClas) resumes at the next epoch, and the log says what is lost.

    Raises:
        WeightsError: weights or optimizer state of another model, or optimizer state that is not there.
    """
    payload = unit.payload
    weights = Weights(payload.params, unit.prefix.with_suffix(".pdparams"), unit.manifest, payload.parameter_names)
    load_into(state.network, weights, strict=True, allow_head_mismatch=False)
    state.precision.lower(state.network, state.optimizer)
    if state.average is not None:
        _restore_average(state.average, unit)
    states = payload.states
    state.epoch = int(states["epoch"])
    state.batch = int(states.get("batch", 0))
    state.step = int(states.get("step", state.epoch * state.epoch_updates))
    state.step_shift = int(states.get("step_shift", 0))
    state.skips = Skips(*states.get("skips", ()))
    state.left_out |= frozenset(states.get("left_out", ()))
    _restore_optimizer(state, payload)
    _fit_to_epoch(state, states.get("epoch_batches", state.epoch_batches))
    state.precision.restore(states.get("scaler", {}))
    best = states.get("best")
    state.best = Best(**best) if best else None
    if "step" not in states:
        lost = "the best metric so far is not known and starts anew"
        _LOG.warning("%s is not of this project: continuing after epoch %d; %s", unit.prefix, state.epoch, lost)
    if "means" in states:
        state.means.restore(states["means"])
    if state.metrics is not None and "metrics" in states:
        state.metrics.restore(states["metrics"])


def _fit_to_epoch(state: TrainState, before: int) -> None:
    """Begin the running epoch again where an epoch has another number of batches than when the unit was taken."""
    if before == state.epoch_batches:
        return
    _LOG.warning("an epoch had %d batches, now %d: epoch %d begins again", before, state.epoch_batches, state.epoch + 1)
    state.batch = 0
    last, state.step = state.step, state.epoch * state.epoch_updates
    state.step_shift += max(last - state.step, 0)  # or the next checkpoint would stand before those of this folder


def _updates_made(state: TrainState) -> int:
    """Those before this step that were not left out; none of them leaves an optimizer without state."""
    return state.step - state.skips.total - sum(update < state.step for update in state.left_out)


def _restore_average(average: nn.Layer, unit: Unit) -> None:
    if unit.payload.ema is None:
        raise WeightsError(f"{unit.prefix}.pdema is missing: the checkpoint was taken without EMA; go on without it")
    path = unit.prefix.with_suffix(".pdema")
    weights = Weights(unit.payload.ema, path, unit.manifest, unit.payload.parameter_names)
    load_into(average, weights, strict=True, allow_head_mismatch=False)


def _payload(state: TrainState, records: Records) -> Payload:
    best = state.best._asdict() if state.best else None
    states = {
        "epoch": state.epoch,
        "metric": state.best.value if state.best else 0.0,
        "batch": state.batch,
        "step": state.step,
        "step_shift": state.step_shift,
        "epoch_batches": state.epoch_batches,
        "best": best,
        "records": records.lengths(),
        "means": state.means.state(),
        "metrics": state.metrics.state() if state.metrics is not None else [],
        "skips": list(state.skips),
        "left_out": sorted(state.left_out),
        "scaler": state.precision.state(),
    }
    optimizer = _optimizer_arrays(state.optimizer)
    # Not the optimizer's own rate: it has none yet when a run goes on at the end of an epoch.
    optimizer["LR_Scheduler"] = {"last_epoch": state.step, "last_lr": state.schedule(max(state.step - 1, 0))}
    average = model_arrays(state.average) if state.average is not None else None
    weights = {name: tensor.numpy() for name, tensor in state.precision.weights(state.network).items()}
    return Payload(weights, optimizer, states, average, parameter_names(state.network))


def _optimizer_arrays(optimizer: paddle.optimizer.Optimizer) -> dict[str, Any]:
    """Its accumulators, under the same names at every precision; master weights are the weights that are saved."""
    accumulators = {name: value for name, value in optimizer.state_dict().items() if isinstance(value, paddle.Tensor)}
    return {name.replace(MASTER, ""): value.numpy() for name, value in accumulators.items()}


def _restore_optimizer(state: TrainState, payload: Payload) -> None:
    """Give every accumulator to the parameter it was saved for, whatever Paddle calls that parameter now."""
    stored = {name: value for name, value in payload.opt.items() if isinstance(value, np.ndarray)}
    now = parameter_names(state.network)
    renamed: dict[str, Any] = {}
    accumulators: dict[str, set[str]] = {}
    for name, before in sorted(payload.parameter_names.items(), key=lambda pair: -len(pair[1])):
        for key in [key for key in stored if key.startswith(f"{before}_")]:
            kind = key.removeprefix(before).removeprefix(MASTER).removeprefix("_")
            renamed[f"{state.precision.kept_as(now[name])}_{kind}"] = paddle.to_tensor(stored.pop(key))
            accumulators.setdefault(kind, set()).add(name)
    _require_known(state, accumulators)
    _require_whole(state, accumulators)
    if renamed:
        state.optimizer.set_state_dict(renamed)


def _require_known(state: TrainState, kinds: Iterable[str]) -> None:
    """No accumulator is of another kind than this optimizer keeps: it would be dropped in silence."""
    name = type(state.optimizer).__name__
    known = tuple(compat.accumulator_kinds(state.optimizer))
    foreign = sorted(kind for kind in kinds if not kind.rpartition("_")[0].endswith(known))
    if foreign:
        raise WeightsError(
            f"the checkpoint's optimizer state holds {foreign[0]}, which {name} does not have: another optimizer wrote "
            "it; continue with that one, or begin with its weights by Global.pretrained_model"
        )


def _require_whole(state: TrainState, accumulators: dict[str, set[str]]) -> None:
    """Every trainable parameter has every kind of accumulator; plain SGD has none."""
    trainable = [name for name, parameter in state.network.named_parameters() if not parameter.stop_gradient]
    if not accumulators and _updates_made(state) and not isinstance(state.optimizer, paddle.optimizer.SGD):
        raise WeightsError(f"the checkpoint has no optimizer state; {trainable[0]} would start with fresh moments")
    for kind, names in accumulators.items():
        missing = [name for name in trainable if name not in names]
        if missing:
            raise WeightsError(
                f"the checkpoint's optimizer state lacks {kind} of {missing[0]} and {len(missing)} in all"
            )

"""One training step, and the loop around it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import islice

import paddle
from paddle import Tensor

from ppcls.data import Batch, Loader
from ppcls.engine.evaluate import UNREADABLE
from ppcls.engine.finite import first_bad_gradient, is_finite, put_back, statistics
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.plan import Plan
from ppcls.engine.precision import Overflow, in_float32
from ppcls.engine.state import Best, Scored, StepOutput, TrainState
from ppcls.utils import dist
from ppcls.utils.seed import Stream, derive


def train_step(state: TrainState, batches: Sequence[Batch]) -> StepOutput:
    """One update from one or more micro-batches.

    It reads nothing back from the device, but for ``on_nan: skip`` and a loss scale: once each.
    """
    # Paddle's generator too is a function of the place in the run, so a checkpoint needs no state of it.
    paddle.seed(derive(state.seed, Stream.FRAMEWORK, dist.rank(), state.step))
    lr = state.schedule(state.step)
    state.optimizer.set_lr(lr)
    if state.step in state.left_out:
        return _leave_out(state, batches, lr)
    before = statistics(state.network) if state.on_nan == "skip" else None
    share = 1.0 / len(batches)
    losses: dict[str, Tensor] = {}
    scored = []
    for number, batch in enumerate(batches, start=1):
        with _gradients_meet(state, number == len(batches)):
            with state.precision.autocast():
                logits = state.model(batch.images)  # [N, class_num]
            logits = in_float32(logits)
            parts = state.loss(logits, batch.labels)
            state.precision.backward(parts["loss"] * share)
        for name, value in parts.items():
            mean = value.detach() * share
            losses[name] = losses[name] + mean if name in losses else mean
        scored.append(Scored(logits.detach(), batch.labels))
    if not dist.averages_by_itself(state.model):
        dist.average_gradients(state.network)
    is_made, overflow = _update(state, losses, before)
    state.optimizer.clear_grad()
    _count(state, batches)
    ids = [batch.id for batch in batches]
    return StepOutput(losses, scored, lr, ids, left_out=not is_made, overflow=overflow)


def _update(
    state: TrainState, losses: Mapping[str, Tensor], before: list[tuple[Tensor, Tensor]] | None
) -> tuple[bool, Overflow | None]:
    """Move the weights, unless losses or gradients are not finite; whether it did.

    Args:
        before: for ``on_nan: skip``, what a left out update puts back. Only it looks at losses here: what it protects
            must not be touched first.
    """
    if before is not None and not is_finite(losses, state.precision.unguarded(state.network)):
        put_back(before)
        return False, None
    overflow = state.precision.update(state.optimizer)
    if overflow is not None and not overflow.is_cured:
        overflow = overflow._replace(where=first_bad_gradient(state.network))
        put_back(before or [])
    return overflow is None, overflow


def _leave_out(state: TrainState, batches: Sequence[Batch], lr: float) -> StepOutput:
    """The place of an update passes, and nothing else."""
    _count(state, batches)
    return StepOutput({}, [], lr, [batch.id for batch in batches], left_out=True)


def _count(state: TrainState, batches: Sequence[Batch]) -> None:
    state.step += 1
    state.batch += len(batches)


def _gradients_meet(state: TrainState, is_last: bool) -> AbstractContextManager[None]:
    """A model that exchanges gradients in its backward pass does so with the last micro-batch of an update only."""
    if is_last or not dist.averages_by_itself(state.model):
        return nullcontext()
    return state.model.no_sync()


Evaluate = Callable[[TrainState], Mapping[str, float]]


def fit(state: TrainState, loader: Loader, hooks: Sequence[Hook], plan: Plan, evaluate: Evaluate) -> None:
    """Run the epochs that are left; stop early where a hook set ``state.stop_signal``.

    Args:
        evaluate: judges ``state.eval_models`` after epoch ``state.epoch + 1``; its first number that is no loss
            decides which epoch is best. It may set ``state.stop_signal``, and then answers nothing.
    """
    with ExitStack() as endings:
        for hook in reversed(hooks):
            endings.callback(hook.train_end, state)  # in the hooks' order, each whatever another raised
        for hook in hooks:
            hook.train_begin(state)
        while not state.is_complete and state.stop_signal is None:
            _run_epoch(state, loader, hooks, plan)
            if state.stop_signal is None:
                _finish_epoch(state, hooks, plan, evaluate)


def _run_epoch(state: TrainState, loader: Loader, hooks: Sequence[Hook], plan: Plan) -> None:
    if state.batch == 0:
        state.means.reset()
        if state.metrics is not None:
            state.metrics.reset()
    for hook in hooks:
        hook.epoch_begin(state)
    state.model.train()
    state.clock.reset()
    batches = loader.batches(state.epoch, state.batch)
    try:
        while not state.ends_epoch and state.stop_signal is None:
            waiting = f"batch {state.batch} of epoch {state.epoch + 1}"
            state.pulse.mark(waiting, state.step, loader.reading)
            taken = _take(batches, plan.update_freq, state)
            state.pulse.mark(f"update {state.step + 1}", state.step)
            output = train_step(state, taken)
            state.pulse.mark(f"the log and the checkpoint after update {state.step}", state.step)
            state.clock.count(sum(len(part.labels) for part in output.scored), len(output.ids))
            for hook in hooks:
                hook.step_end(state, output)
    finally:
        batches.close()


def _take(batches: Iterator[Batch], count: int, state: TrainState) -> list[Batch]:
    """The next ``count`` micro-batches, fewer at the end of the epoch, and the time spent waiting for them."""
    start = time.perf_counter()
    taken = list(islice(batches, count))
    state.clock.waited(time.perf_counter() - start)
    return taken


def _finish_epoch(state: TrainState, hooks: Sequence[Hook], plan: Plan, evaluate: Evaluate) -> None:
    is_judged = plan.evaluates(state.epoch + 1)
    results = evaluate(state) if is_judged else {}
    if state.stop_signal is not None:
        return  # stopped in the evaluation: who continues finds all batches done, and evaluates anew
    state.epoch += 1
    state.batch = 0
    if is_judged:
        state.best = better(state.best, results, state.epoch)
        for hook in hooks:
            hook.evaluated(state, results)
    for hook in hooks:
        hook.epoch_end(state)


def better(best: Best | None, results: Mapping[str, float], epoch: int) -> Best | None:
    """The best so far: strictly greater wins, and the first number that is no loss counts.

    ``results`` are ordered: ``CELoss, loss, top1, ...`` of the raw weights, then the same as ``ema_top1, ...``.
    """
    names = [name for name in results if not name.endswith(UNREADABLE)]
    metrics = names[names.index("loss") + 1 :] if "loss" in names else names
    if not metrics:
        return best
    for name, weights in ((metrics[0], "raw"), (f"ema_{metrics[0]}", "ema")):
        if name in results and (best is None or results[name] > best.value):
            best = Best(results[name], epoch, weights)
    return best

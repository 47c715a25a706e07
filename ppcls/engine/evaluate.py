"""Model, loader, metrics -> numbers."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import paddle
from paddle import Tensor, nn

from ppcls.data import Batch, Loader
from ppcls.engine import lines
from ppcls.engine.precision import in_float32
from ppcls.loss import CombinedLoss
from ppcls.metric import Metrics
from ppcls.utils import dist
from ppcls.utils.errors import NonFiniteError
from ppcls.utils.meter import Means, Stopwatch
from ppcls.utils.watchdog import Pulse


class Judge(NamedTuple):
    """What an evaluation needs besides the model; ``loss`` may be absent."""

    loader: Loader
    loss: CombinedLoss | None
    metrics: Metrics
    print_batch_step: int
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext  # around the forward pass

    def answers(self, model: nn.Layer, images: Tensor) -> Tensor:
        """Images ``[N, 3, H, W]`` -> logits ``[N, class_num]``, float32 or wider whatever the model computed in."""
        with self.autocast():
            logits = model(images)
        return in_float32(logits)


UNREADABLE = "unreadable"


class EvaluationStopped(Exception):
    """Somebody asked the run to stop while it evaluated; nothing has changed."""


class Watch(NamedTuple):
    """Who looks on: ``pulse`` is told what the run does now, ``stop`` says whether it shall stop.

    ``stop`` is asked after batches, by all ranks equally often.
    """

    pulse: Pulse
    step: int = 0  # updates done
    stop: Callable[[], bool] = lambda: False


def evaluate(forward: Callable[[Tensor], Tensor], judge: Judge, epoch: int, watch: Watch) -> dict[str, float]:
    """Means over every sample once, whatever the number of ranks and the size of the last batch.

    Args:
        forward: images ``[N, C, H, W]`` -> logits ``[N, class_num]``.
        epoch: for the log lines; 0 for a run of its own.
    Returns:
        Parts of the loss, ``loss``, then the metrics in the order of the config; at last ``unreadable``, if some
        pictures could not be read and count as wrong.
    Raises:
        NonFiniteError: some logits are NaN or infinite, on whatever rank; no number is given then.
        EvaluationStopped: ``watch.stop`` said so.
    """
    logger = logging.getLogger("ppcls")
    judge.metrics.reset()
    losses = Means()
    clock = Stopwatch()
    finite: list[Tensor] = []
    place = f"[Epoch {epoch}]"
    unreadable = 0
    rounds = _common_rounds(judge.loader)
    wait = partial(watch.pulse.mark, step=watch.step, reading=judge.loader.reading)
    wait("evaluation, batch 0")
    waiting_since = time.perf_counter()
    for batch in judge.loader.batches(0):
        clock.waited(time.perf_counter() - waiting_since)
        watch.pulse.mark(f"evaluation, the network on batch {batch.id.number}", watch.step)
        logits = forward(batch.images)
        finite.append(paddle.isfinite(logits).all())
        if judge.loss is not None:
            _add_loss(losses, judge.loss, logits, batch)
        judge.metrics.update(logits, batch.labels)
        unreadable += batch.unreadable
        clock.count(len(batch.labels))
        number = batch.id.number
        if judge.print_batch_step > 0 and number % judge.print_batch_step == 0:
            means = losses.read() | judge.metrics.local()
            logger.info(lines.eval_line(f"{place}[Iter: {number}/{len(judge.loader)}]", means, clock.read()))
        if number < rounds and watch.stop():
            raise EvaluationStopped
        wait(f"evaluation, batch {number + 1}")
        waiting_since = time.perf_counter()
    watch.pulse.mark("the end of the evaluation", watch.step)
    dist.meet()  # some have read more pictures, or slower ones
    _require_finite(finite, epoch)
    names = judge.loss.keys() if judge.loss is not None else []
    results = _mean_over_ranks(losses, names) | judge.metrics.compute()
    counted_wrong = dist.all_sum([unreadable])[0]
    return results | ({UNREADABLE: counted_wrong} if counted_wrong else {})


@paddle.no_grad()
def judge_model(model: nn.Layer, judge: Judge, epoch: int, watch: Watch) -> dict[str, float]:
    """``evaluate`` of a network in eval mode; its mode is restored."""
    was_training = model.training
    model.eval()
    try:
        return evaluate(partial(judge.answers, model), judge, epoch, watch)
    finally:
        if was_training:
            model.train()


def judge_all(models: Mapping[str, nn.Layer], judge: Judge, epoch: int, watch: Watch) -> dict[str, float]:
    """``judge_model`` of each, the names of the numbers prefixed by the model's name."""
    results: dict[str, float] = {}
    for prefix, model in models.items():
        numbers = judge_model(model, judge, epoch, watch)
        results |= {f"{prefix}{name}": value for name, value in numbers.items()}
    return results


def _common_rounds(loader: Loader) -> int:
    """The batches that every rank has: after these all ask whether to stop."""
    return -int(dist.all_max([-len(loader)])[0])


def _add_loss(losses: Means, loss: nn.Layer, logits: Tensor, batch: Batch) -> None:
    """Add the loss of the readable samples: a picture counted as wrong has label -1 and no loss."""
    labels = batch.labels
    if batch.unreadable:
        kept = paddle.nonzero(labels >= 0).flatten()
        logits, labels = logits[kept], labels[kept]
    if len(labels):
        # float64: the sum must not depend on how the samples are dealt to batches and ranks.
        losses.add(loss(logits.astype("float64"), labels), len(labels))


def _require_finite(flags: list[Tensor], epoch: int) -> None:
    bad = next((number for number, flag in enumerate(flags) if not bool(flag)), None)
    bad_rank = int(dist.all_max([-1 if bad is None else dist.rank()])[0])
    if bad is None and bad_rank < 0:
        return
    when = f"evaluation after epoch {epoch}" if epoch else "evaluation"
    place = f"rank {bad_rank}" if bad is None else f"batch {bad}"
    raise NonFiniteError(
        f"{when}, {place}: logits are not finite; the weights or the running statistics are broken, "
        "lower the learning rate or take other weights"
    )


def _mean_over_ranks(losses: Means, names: list[str]) -> dict[str, float]:
    """To 12 digits: what follows them depends on the order in which ranks and batches were added up."""
    means = losses.read()
    sums = dist.all_sum([losses.count, *(means.get(name, 0.0) * losses.count for name in names)])
    if not sums[0]:
        return {}
    return {name: float(f"{total / sums[0]:.12g}") for name, total in zip(names, sums[1:], strict=True)}

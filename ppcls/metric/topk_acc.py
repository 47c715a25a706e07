"""Top-k accuracy."""

import logging
from collections.abc import Sequence

import paddle
from paddle import Tensor

from ppcls.registry import METRICS
from ppcls.utils import dist

_log = logging.getLogger("ppcls")


@METRICS.register
class TopkAcc:
    """Share of samples whose label is among the k largest logits, over everything seen since ``reset``, in [0, 1].

    Sums of samples are kept, not means of batches, so a short last batch and uneven ranks weigh what they are worth.

    Args:
        class_num: width of the logits.
        topk: each k of at least 1; a k above ``class_num`` has no meaning and is left out, with one line that says so.
    Raises:
        ValueError: a k below 1, or none that is left.
    Source: PaddleClas ``TopkAcc``, which answers 1.0 for k > class_num.
    """

    def __init__(self, class_num: int, topk: int | Sequence[int] = (1, 5)) -> None:
        wanted = [topk] if isinstance(topk, int) else list(topk)
        if not wanted or any(isinstance(k, bool) or not isinstance(k, int) or k < 1 for k in wanted):
            raise ValueError(f"topk is a whole number of at least 1, or a list of them; got {topk!r}")
        self._topk = [k for k in dict.fromkeys(wanted) if k <= class_num]
        if not self._topk:
            raise ValueError(f"topk {topk} asks for more than the {class_num} classes of class_num; give topk: [1]")
        if left_out := [f"top{k}" for k in wanted if k > class_num]:
            _log.info("TopkAcc: %s left out, there are %d classes", ", ".join(left_out), class_num)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._hits: Tensor | None = None  # int64 [len(topk)], on the device
        self._count = 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch; queues work on the device and reads nothing back.

        Shape:
            logits ``[N, C]``; labels integer ``[N]`` or ``[N, 1]``.
        """
        samples = logits.shape[0]
        ranks = label_ranks(logits, labels.astype("int64").reshape([samples]))  # [N]
        hits = paddle.stack([(ranks < k).astype("int64").sum() for k in self._topk])
        self._hits = hits if self._hits is None else self._hits + hits
        self._count += samples

    def names(self) -> list[str]:
        """The numbers it gives, in order: ``["top1", "top5"]``."""
        return [f"top{k}" for k in self._topk]

    def compute(self) -> dict[str, float]:
        """``{"top1": ..., "top5": ...}`` over all ranks, each of which must call it.

        Raises:
            ValueError: no rank has seen a sample.
        """
        return self._shares(dist.all_sum(self.state()))

    def local(self) -> dict[str, float]:
        """The same over what this rank has seen, for log lines; reads from the device."""
        return self._shares(self.state())

    def state(self) -> list[float]:
        """Hits for each k, then the number of samples, on this rank; reads from the device."""
        hits = [0] * len(self._topk) if self._hits is None else self._hits.tolist()
        return [*hits, self._count]

    def restore(self, state: Sequence[float]) -> None:
        """Go on from what ``state`` gave; of other k it begins anew."""
        *hits, count = map(int, state)
        if len(hits) == len(self._topk):
            self._hits = paddle.to_tensor(hits, dtype="int64")
            self._count = count

    def _shares(self, sums: Sequence[float]) -> dict[str, float]:
        *hits, count = sums
        if not count:
            raise ValueError("TopkAcc has seen no sample since its last reset")
        return {name: hit / count for name, hit in zip(self.names(), hits, strict=True)}


def label_ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes stand before the label's, int64 ``[N]``: 0 when it has the largest logit, C for no class.

    Of equal logits the one with the lower index stands first, as in a stable sort. What cannot be compared (NaN)
    stands before the label, so a broken model scores nothing.
    """
    classes = logits.shape[1]
    inside = labels.clip(0, classes - 1)
    ids = inside.unsqueeze(1)  # [N, 1]
    if logits.dtype not in (paddle.float32, paddle.float64):
        logits = logits.astype("float32")  # exact; the CPU cannot compare half floats
    own = paddle.take_along_axis(logits, ids, axis=1)  # [N, 1]
    index = paddle.arange(classes, dtype="int64").unsqueeze(0)  # [1, C]
    not_before = (logits < own) | ((logits == own) & (index >= ids))  # [N, C]; true for the label itself
    ranks = classes - not_before.astype("int64").sum(axis=1)
    return paddle.where(labels == inside, ranks, paddle.full_like(ranks, classes))

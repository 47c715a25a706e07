"""OpSampler: one of several batch ops for each batch, or none."""

import logging
from typing import Any, NamedTuple

import numpy as np
from paddle import Tensor

from ppcls.data.preprocess.batch_ops.soft_labels import soft_labels
from ppcls.registry import BATCH_OPS

_logger = logging.getLogger("ppcls")


class _Part(NamedTuple):
    """What ``Registry.build`` needs to know about one of the ops."""

    name: str
    kwargs: dict[str, Any]
    key: str


@BATCH_OPS.register
class OpSampler:
    """Each batch goes through one op, op i with its ``prob``; with what is left of 1, only the labels become soft.

    Draws one number, then what the chosen op draws.

    Args:
        MixupOperator, CutmixOperator: the op's own arguments and ``prob``, its share of the batches in [0, 1];
            without ``prob`` the op is never chosen, and a warning says so.
    Raises:
        ValueError: no op, a ``prob`` outside [0, 1], or shares that add up to more than 1.
    Source: PaddleClas ``OpSampler``, which leaves labels hard when no op is chosen.
    """

    def __init__(
        self,
        class_num: int,
        MixupOperator: dict[str, Any] | None = None,
        CutmixOperator: dict[str, Any] | None = None,
    ) -> None:
        given = {"MixupOperator": MixupOperator, "CutmixOperator": CutmixOperator}
        parts = {name: dict(arguments) for name, arguments in given.items() if arguments is not None}
        if not parts:
            raise ValueError(f"OpSampler needs at least one of {', '.join(given)}")
        shares = [_take_share(name, arguments) for name, arguments in parts.items()]
        if sum(shares) > 1 + 1e-9:
            raise ValueError(f"OpSampler: the prob of its ops add up to {sum(shares):g}; at most 1 is possible")
        self._ops = [BATCH_OPS.build(_Part(name, parts[name], name), class_num=class_num) for name in parts]
        self._bounds = np.cumsum(shares)
        self._class_num = class_num

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Labels int64 ``[N]`` or soft ``[N, class_num]`` -> soft, also when no op is chosen."""
        chosen = int(np.searchsorted(self._bounds, rng.random(), side="right"))
        if chosen == len(self._ops):
            return images, soft_labels(labels, self._class_num, images)
        return self._ops[chosen](images, labels, rng)


def _take_share(name: str, arguments: dict[str, Any]) -> float:
    """The op's ``prob``, removed from its arguments."""
    share = arguments.pop("prob", None)
    if share is None:
        _logger.warning("OpSampler: %s has no prob and is never chosen; give it one in [0, 1]", name)
        return 0.0
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ValueError(f"OpSampler: prob of {name} is in [0, 1]; got {share!r}")
    return float(share)

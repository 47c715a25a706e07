"""What a model is judged by: ``build_metrics`` makes one judge of the entries of ``Metric.Eval``."""

from collections.abc import Sequence
from typing import Any

from ppcls.metric import topk_acc  # noqa: F401  registers its name
from ppcls.metric.metrics import Metrics
from ppcls.registry import METRICS, Buildable


def build_metrics(components: Sequence[Buildable], class_num: int, **known: Any) -> Metrics:
    """All the given metrics as one; an empty list gives a judge that answers nothing.

    Args:
        class_num: width of the logits.
        known: further values the caller knows; each goes to a metric that asks for it.
    Raises:
        ConfigError: an unknown metric or argument, a value out of range; under its dotted key.
    """
    return Metrics([METRICS.build(component, class_num=class_num, **known) for component in components])

"""``output_fp16`` where nothing takes float16."""

import dataclasses
import logging
from collections.abc import Sequence

from ppcls.config.schema import Component

_logger = logging.getLogger("ppcls")


def in_float32(ops: Sequence[Component]) -> list[Component]:
    """The ops, those that would give float16 giving float32; each of these is told in a line of the log."""
    return [_widened(op) if op.kwargs.get("output_fp16") else op for op in ops]


def _widened(op: Component) -> Component:
    _logger.warning("%s.output_fp16: pictures stay float32; float16 is for training with AMP on a GPU", op.key)
    return dataclasses.replace(op, kwargs={**op.kwargs, "output_fp16": False})

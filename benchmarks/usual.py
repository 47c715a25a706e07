"""Octave layers as they are usually written, to be compared with."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock


@contextmanager
def usual_layers() -> Iterator[None]:
    """Upsampling by ``interpolate``, means and depthwise convolution by Paddle's own operators."""
    import paddle.nn.functional as F

    from ppcls.arch.layers import depthwise, oct_conv, resample

    def interpolate(x: Any, data_format: str, training: bool) -> Any:
        return F.interpolate(x, scale_factor=2, data_format=data_format)

    with ExitStack() as changes:
        changes.enter_context(mock.patch.object(oct_conv, "double", interpolate))
        for module, decision in ((resample, "_by_matrix"), (depthwise, "_pays")):
            changes.enter_context(mock.patch.object(module, decision, return_value=False))
        yield

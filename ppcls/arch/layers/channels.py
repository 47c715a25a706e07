"""Numbers of channels, and the arguments that they follow from."""

import math
from numbers import Real


def scale_channels(channels: int, scale: float) -> int:
    """``int(scale * channels)``: truncated, and not rounded to a multiple of 8, as in the published weights.

    Raises:
        ValueError: no channel is left.
    """
    scaled = int(scale * channels)
    if scaled < 1:
        raise ValueError(f"scale {scale} leaves {scaled} of {channels} channels; use a larger one")
    return scaled


def check_scale(scale: float) -> float:
    """``scale``, if widths can be multiplied by it; else ValueError."""
    if not _is_number(scale) or not 0 < scale < math.inf:
        raise ValueError(f"scale multiplies every width and is above 0; got {scale!r}")
    return scale


def check_alpha(alpha: float) -> float:
    """``alpha``, if it is a share; else ValueError."""
    if not _is_number(alpha) or not 0 <= alpha <= 1:
        raise ValueError(f"alpha is the share of low-frequency channels, in [0, 1]; got {alpha!r}")
    return alpha


def check_class_num(class_num: int) -> int:
    """``class_num``, if it is a number of outputs; else ValueError."""
    if not isinstance(class_num, int) or isinstance(class_num, bool) or class_num < 1:
        raise ValueError(f"class_num is the number of classes, a whole number from 1; got {class_num!r}")
    return class_num


def check_dropout(dropout: float) -> float:
    """``dropout``, if it is a probability below 1; else ValueError."""
    if not _is_number(dropout) or not 0 <= dropout < 1:
        raise ValueError(f"dropout is the share of features set to 0 while training, in [0, 1); got {dropout!r}")
    return dropout


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)

"""A feature map in two octaves: how many channels, the values, and how maps come together.

Source: "Drop an Octave", arXiv 1904.05049, section 3, and its official code.
"""

from dataclasses import dataclass

import paddle
from paddle import Tensor

from ppcls.arch.layers.channels import check_alpha
from ppcls.arch.layers.layout import DataFormat, channel_axis, sides


@dataclass(frozen=True)
class OctaveChannels:
    """Channels at full resolution (``high``) and at half resolution (``low``); 0 means that the part is absent."""

    high: int
    low: int = 0

    def __post_init__(self) -> None:
        if self.high < 0 or self.low < 0 or self.total == 0:
            raise ValueError(f"a map has 0 or more channels an octave and at least one in all; got {self}")

    @property
    def total(self) -> int:
        """Channels of both parts."""
        return self.high + self.low

    @classmethod
    def split(cls, channels: int, alpha: float) -> "OctaveChannels":
        """``int(alpha * channels)`` low channels, and the rest high.

        The other way round, ``int((1 - alpha) * channels)`` high ones, is off by one for 162 channels at alpha .375.

        Raises:
            ValueError: ``alpha`` is outside [0, 1].
        """
        low = int(check_alpha(alpha) * channels)
        return cls(high=channels - low, low=low)


class Octave:
    """A map in two parts, of which one may be absent; ``[N, C, H, W]`` here, but see ``layout``.

    A plain class: ``to_static`` of Paddle 2.6 and 3.x traces it, but stops on named tuples and dataclasses.

    Shape:
        high ``[N, C_h, H, W]``, low ``[N, C_l, ceil(H / 2), ceil(W / 2)]``. ``size`` is ``(H, W)`` where ``high`` is
        absent, since ``low`` does not tell an odd H from the even one above; None there means even.
    """

    __slots__ = ("high", "low", "size")

    def __init__(self, high: Tensor | None, low: Tensor | None, size: tuple[int, int] | None = None) -> None:
        self.high = high
        self.low = low
        self.size = size


# Defaults below are spelt out: to_static builds these functions anew, where it does not know our names.
def full_size(x: Octave, data_format: DataFormat = "NCHW") -> tuple[int, int]:
    """``(H, W)`` of the map."""
    if x.high is not None:
        return sides(x.high, data_format)
    if x.size is not None:
        return x.size
    height, width = sides(x.low, data_format)
    return 2 * height, 2 * width


def enter(x: Tensor) -> Octave:
    """A plain map as one without a low part."""
    return Octave(high=x, low=None)


def leave(x: Octave) -> Tensor:
    """The plain map that ``x`` is; the layer before must have merged the low part."""
    assert x.low is None, "the last octave layer has alpha_out = 0"
    return x.high


def add(x: Octave, y: Octave) -> Octave:
    """The sum, part by part; a part that only one has is taken as it is."""
    return Octave(_add(x.high, y.high), _add(x.low, y.low), x.size or y.size)


def concat(x: Octave, y: Octave, data_format: DataFormat = "NCHW") -> Octave:
    """Along channels, part by part; a part that only one has is taken as it is."""
    axis = channel_axis(data_format)
    return Octave(_concat(x.high, y.high, axis), _concat(x.low, y.low, axis), x.size or y.size)


def _add(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    if x is None or y is None:
        return y if x is None else x
    # A 1x1 map would be broadcast in silence.
    assert x.shape[1:] == y.shape[1:], "maps that are added have one size"
    return x + y


def _concat(x: Tensor | None, y: Tensor | None, axis: int) -> Tensor | None:
    if x is None or y is None:
        return y if x is None else x
    return paddle.concat([x, y], axis=axis)

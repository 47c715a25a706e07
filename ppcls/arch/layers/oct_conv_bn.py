"""Convolution and batch norm over maps in one octave or two, for networks that are plain at alpha 0."""

from dataclasses import dataclass
from typing import NamedTuple

from paddle import nn

from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.layout import NCHW, DataFormat
from ppcls.arch.layers.oct_conv import OctConv2D
from ppcls.arch.layers.oct_layers import OctActivation, OctBatchNorm
from ppcls.arch.layers.octave import Octave, OctaveChannels, enter, leave
from ppcls.arch.layers.resample import shrink


@dataclass(frozen=True)
class Channels:
    """Channels of a map in the order of the plain network: in pieces, of which each has its high ones first.

    One piece is the rule. A grouped convolution has a piece for each group, or a group would lie in one octave alone;
    a dense block has one for each layer. The parts of an octave map hold the pieces' shares one after the other.
    """

    pieces: tuple[OctaveChannels, ...]

    @classmethod
    def split(cls, channels: int, alpha: float, groups: int = 1) -> "Channels":
        """``int(alpha * channels)`` low channels, as many from each group.

        Raises:
            ValueError: ``groups`` does not divide both parts.
        """
        parts = OctaveChannels.split(channels, alpha)
        if parts.high % groups or parts.low % groups:
            raise ValueError(
                f"alpha {alpha} splits {channels} channels into {parts.high} high and {parts.low} low ones, "
                f"which {groups} groups do not divide; choose another alpha"
            )
        return cls((OctaveChannels(parts.high // groups, parts.low // groups),) * groups)

    def __add__(self, other: "Channels") -> "Channels":
        """Those of a concatenated map."""
        return Channels(self.pieces + other.pieces)

    @property
    def parts(self) -> OctaveChannels:
        """Numbers of channels of the two octaves."""
        return OctaveChannels(sum(piece.high for piece in self.pieces), sum(piece.low for piece in self.pieces))

    @property
    def is_plain(self) -> bool:
        """Whether there is no low part."""
        return self.parts.low == 0

    def high_and_low(self) -> tuple[list[int], list[int]]:
        """Which channels of the plain network's map the two parts hold, in their order."""
        high: list[int] = []
        low: list[int] = []
        start = 0
        for piece in self.pieces:
            high += range(start, start + piece.high)
            low += range(start + piece.high, start + piece.total)
            start += piece.total
        return high, low


class Style(NamedTuple):
    """What the layers of a network share: the names of weights, and how a stride is made.

    Attributes:
        pools: a stride is a mean over 2x2 pixels before the convolution, in every layer, as in the paper's networks.
            An octave convolution knows no other stride.
    """

    conv: str = "_conv"
    norm: str = "_batch_norm"
    pools: bool = False


PLAIN = Style()


class OctConv(nn.Layer):
    """A convolution without bias and a batch norm, what ``OctConvBN`` and ``OctBNConv`` have in common.

    Each of the two layers is plain, with a plain network's names and weights, where its maps have no low part.

    Args:
        norm_first: whether batch norm acts on the map that comes in.
    """

    _data_format: DataFormat = NCHW

    def __init__(
        self,
        inputs: Channels,
        outputs: Channels,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        style: Style = PLAIN,
        *,
        norm_first: bool,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.style = inputs, outputs, style
        self.normed = inputs if norm_first else outputs
        self.is_plain = inputs.is_plain and outputs.is_plain
        # Known before the forward pass, for to_static stops on attributes that are dataclasses.
        self._norms_plain = self.normed.is_plain
        self._shrinks = self.is_plain and style.pools and stride == 2
        if self.is_plain:
            stride = 1 if self._shrinks else stride
            conv = conv2d(inputs.parts.high, outputs.parts.high, kernel_size, stride, groups)
        else:
            conv = OctConv2D(inputs.parts, outputs.parts, kernel_size, stride, groups)
        norm = batch_norm(self.normed.parts.high) if self.normed.is_plain else OctBatchNorm(self.normed.parts)
        layers = {style.conv: conv, style.norm: norm}
        for name in reversed(layers) if norm_first else layers:
            self.add_sublayer(name, layers[name])

    def convolve(self, x: Octave) -> Octave:
        """The convolution alone."""
        conv = getattr(self, self.style.conv)
        if not self.is_plain:
            return conv(x)
        plain = leave(x)
        return enter(conv(shrink(plain, 2, self._data_format, self.training) if self._shrinks else plain))

    def normalise(self, x: Octave) -> Octave:
        """The batch norm alone."""
        norm = getattr(self, self.style.norm)
        return enter(norm(leave(x))) if self._norms_plain else norm(x)


class OctConvBN(OctConv):
    """Convolution, then batch norm.

    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    def __init__(
        self,
        inputs: Channels,
        outputs: Channels,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        style: Style = PLAIN,
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride, groups, style, norm_first=False)

    def forward(self, x: Octave) -> Octave:
        """A map with the channels of ``outputs``."""
        return self.normalise(self.convolve(x))


class OctBNConv(OctConv):
    """Batch norm, ReLU, then a convolution of stride 1.

    Shape:
        ``(H, W)`` -> the same, each part as ``Octave`` says.
    """

    def __init__(self, inputs: Channels, outputs: Channels, kernel_size: int, style: Style = PLAIN) -> None:
        super().__init__(inputs, outputs, kernel_size, style=style, norm_first=True)
        self.relu = OctActivation(nn.ReLU())

    def forward(self, x: Octave) -> Octave:
        """A map with the channels of ``outputs``."""
        return self.convolve(self.relu(self.normalise(x)))

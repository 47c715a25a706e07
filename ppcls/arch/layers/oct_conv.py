"""Octave convolution: four paths between the parts of two maps.

Source: "Drop an Octave", arXiv 1904.05049, section 3.2, and its official code, from which pooling (not striding) and
its place before the convolution come. Maps of odd size, where that code fails, follow from rounding sizes up.
"""

from paddle import Tensor, nn

from ppcls.arch.layers.conv_bn import conv2d
from ppcls.arch.layers.layout import NCHW, DataFormat
from ppcls.arch.layers.octave import Octave, OctaveChannels, add, full_size
from ppcls.arch.layers.resample import crop, double, shrink


class OctConv2D(nn.Layer):
    """Convolution of a map in two octaves; padding is ``(kernel_size - 1) / 2``.

    With P_k the mean over k x k pixels, U nearest upsampling and C an ordinary convolution of stride 1:

    ===== ======================== ====================
    path  stride 1                 stride 2
    ===== ======================== ====================
    h2h   C(X_h)                   C(P_2(X_h))
    h2l   C(P_2(X_h))              C(P_4(X_h))
    l2l   C(X_l)                   C(P_2(X_l))
    l2h   crop(U(C(X_l)))          C(X_l)
    ===== ======================== ====================

    A path exists if both its ends do. A depthwise layer (``groups`` equals all channels, split alike on both sides)
    has no path from one octave to the other. Weights are ``conv_l2l``, ``conv_l2h``, ``conv_h2l``, ``conv_h2h``, in
    this order.

    Args:
        kernel_size: odd.
        stride: 1 or 2.
        groups: of each path; must divide the channels of every existing part.
        bias: one for each part of the output, in the path from ``high`` if there is one.
    Raises:
        ValueError: an argument outside these bounds.
    Shape:
        ``(H, W)`` -> ``(ceil(H / stride), ceil(W / stride))``, each part as ``Octave`` says.
    """

    _data_format: DataFormat = NCHW

    def __init__(
        self,
        in_channels: OctaveChannels,
        out_channels: OctaveChannels,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        _check(kernel_size, stride, groups)
        depthwise = groups == in_channels.total and in_channels == out_channels
        if not depthwise:
            _check_groups(in_channels, out_channels, groups)

        def path(inputs: int, outputs: int, has_bias: bool) -> nn.Conv2D | None:
            if inputs == 0 or outputs == 0:
                return None
            return conv2d(inputs, outputs, kernel_size, groups=inputs if depthwise else groups, bias=has_bias)

        low_only = bias and (depthwise or in_channels.high == 0)
        self.conv_l2l = path(in_channels.low, out_channels.low, low_only)
        self.conv_l2h = None if depthwise else path(in_channels.low, out_channels.high, low_only)
        self.conv_h2l = None if depthwise else path(in_channels.high, out_channels.low, bias)
        self.conv_h2h = path(in_channels.high, out_channels.high, bias)
        self._in_channels = in_channels
        self._out_channels = out_channels
        self._stride = stride

    def forward(self, x: Octave) -> Octave:
        """The map with ``out_channels``; ``x`` has the parts of ``in_channels``."""
        assert (x.high is None) == (self._in_channels.high == 0), "the high part does not fit in_channels"
        assert (x.low is None) == (self._in_channels.low == 0), "the low part does not fit in_channels"
        from_high = Octave(None, None) if x.high is None else self._from_high(x)
        from_low = Octave(None, None) if x.low is None else self._from_low(x)
        y = add(from_high, from_low)
        if self._out_channels.high:
            return y
        height, width = full_size(x, self._data_format)
        return Octave(y.high, y.low, (-(-height // self._stride), -(-width // self._stride)))

    def _from_high(self, x: Octave) -> Octave:
        high = low = None
        if self.conv_h2h is not None:
            high = self.conv_h2h(x.high if self._stride == 1 else self._shrink(x.high, 2))
        if self.conv_h2l is not None:
            # One pool of 4, not two of 2: they differ when H % 4 == 3.
            low = self.conv_h2l(self._shrink(x.high, 2 * self._stride))
        return Octave(high, low)

    def _from_low(self, x: Octave) -> Octave:
        high = low = None
        if self.conv_l2h is not None:
            high = self.conv_l2h(x.low)  # at stride 2 this is the size of the output already
            if self._stride == 1:
                size = full_size(x, self._data_format)
                high = crop(double(high, self._data_format, self.training), size, self._data_format)
        if self.conv_l2l is not None:
            low = self.conv_l2l(x.low if self._stride == 1 else self._shrink(x.low, 2))
        return Octave(high, low)

    def _shrink(self, x: Tensor, factor: int) -> Tensor:
        return shrink(x, factor, self._data_format, self.training)


def _check(kernel_size: int, stride: int, groups: int) -> None:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size of an octave convolution is odd; got {kernel_size}")
    if stride not in (1, 2):
        raise ValueError(f"stride of an octave convolution is 1 or 2; got {stride}")
    if groups < 1:
        raise ValueError(f"groups is at least 1; got {groups}")


def _check_groups(in_channels: OctaveChannels, out_channels: OctaveChannels, groups: int) -> None:
    for channels in (in_channels, out_channels):
        if channels.high % groups or channels.low % groups:
            raise ValueError(f"groups {groups} does not divide both parts of {channels}")

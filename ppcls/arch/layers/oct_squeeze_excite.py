"""Squeeze and excitation of a map in two octaves.

Source: "Squeeze-and-Excitation Networks", arXiv 1709.01507; over two parts as in the official code of
"Drop an Octave", arXiv 1904.05049.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ppcls.arch.layers.conv_bn import linear
from ppcls.arch.layers.layout import NCHW, DataFormat, pixel_axes
from ppcls.arch.layers.octave import Octave, OctaveChannels


class OctSqueezeExcite(nn.Layer):
    """Each channel times a number in (0, 1) that follows from the means of all channels of both parts.

    With v the means, those of ``high`` first: t = ReLU(W v + b), then sigmoid(W_h t + b_h) for ``high`` and
    sigmoid(W_l t + b_l) for ``low``. Weights are ``squeeze``, ``excite_h``, ``excite_l``.

    Args:
        reduction: t has ``channels.total // reduction`` numbers.
    Raises:
        ValueError: none is left.
    Shape:
        stays as it is.
    """

    _data_format: DataFormat = NCHW

    def __init__(self, channels: OctaveChannels, reduction: int = 16) -> None:
        super().__init__()
        squeezed = channels.total // reduction
        if squeezed < 1:
            raise ValueError(
                f"{channels.total} channels squeezed by {reduction} leave none; use more channels, or a lower reduction"
            )
        self.squeeze = linear(channels.total, squeezed)
        self.excite_h = linear(squeezed, channels.high) if channels.high else None
        self.excite_l = linear(squeezed, channels.low) if channels.low else None

    def forward(self, x: Octave) -> Octave:
        """The map with its channels scaled."""
        t = F.relu(self.squeeze(means(x, self._data_format)))  # [N, C / reduction]
        high = x.high if x.high is None else x.high * gate(self.excite_h(t), self._data_format)
        low = x.low if x.low is None else x.low * gate(self.excite_l(t), self._data_format)
        return Octave(high, low, x.size)


def means(x: Octave, data_format: DataFormat) -> Tensor:
    """The mean of each channel, ``[N, C_h + C_l]``."""
    pixels = pixel_axes(data_format)
    if x.high is None or x.low is None:
        return (x.low if x.high is None else x.high).mean(pixels)
    return paddle.concat([x.high.mean(pixels), x.low.mean(pixels)], axis=1)


def gate(excitation: Tensor, data_format: DataFormat) -> Tensor:
    """What channels are multiplied by: ``[N, C]`` -> ``[N, C, 1, 1]`` or ``[N, 1, 1, C]``, each in (0, 1)."""
    return F.sigmoid(excitation).unsqueeze(pixel_axes(data_format))

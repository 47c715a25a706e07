"""Squeeze and excitation of a map in two octaves.

Source: "Squeeze-and-Excitation Networks", arXiv 1709.01507; over two parts as in the official code of
"Drop an Octave", arXiv 1904.05049.
"""

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ppcls.arch.layers.conv_bn import linear
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
        t = F.relu(self.squeeze(_means(x)))  # [N, C / reduction]
        high = x.high if x.high is None else x.high * _gate(self.excite_h(t))
        low = x.low if x.low is None else x.low * _gate(self.excite_l(t))
        return Octave(high, low, x.size)


def _means(x: Octave) -> Tensor:
    """``[N, C_h + C_l]``."""
    if x.high is None or x.low is None:
        return (x.low if x.high is None else x.high).mean([2, 3])
    return paddle.concat([x.high.mean([2, 3]), x.low.mean([2, 3])], axis=1)


def _gate(excitation: Tensor) -> Tensor:
    """``[N, C]`` -> ``[N, C, 1, 1]``, each in (0, 1)."""
    return F.sigmoid(excitation).unsqueeze([2, 3])

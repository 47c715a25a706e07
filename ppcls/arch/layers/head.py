"""From the last map to logits."""

from paddle import Tensor, nn

from ppcls.arch.layers.channels import check_class_num, check_dropout
from ppcls.arch.layers.conv_bn import linear
from ppcls.arch.layers.layout import NCHW, DataFormat, pixel_axes


class Head(nn.Layer):
    """The mean of each channel, dropout, a linear classifier.

    Args:
        dropout: share of the means set to 0 while training, in [0, 1).
    Raises:
        ValueError: ``class_num`` or ``dropout`` is out of range.
    Shape:
        ``[N, channels, H, W]`` of any size -> logits ``[N, class_num]``.
    """

    _data_format: DataFormat = NCHW

    def __init__(self, channels: int, class_num: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.classifier = linear(channels, check_class_num(class_num))

    def forward(self, x: Tensor) -> Tensor:
        """A plain map; octave networks ``Leave`` first."""
        return self.classifier(self.dropout(x.mean(pixel_axes(self._data_format))))

"""Where the channels of a map stand: ``[N, C, H, W]``, or ``[N, H, W, C]``, which float16 on GPUs is fastest in.

Weights are the same in both, in name and shape. A layer that must know has ``_data_format``, as Paddle's layers have;
``compute_in`` sets it in all of a network. Pictures come in as ``[N, C, H, W]``, whatever the network computes in.
"""

from typing import Literal

from paddle import Tensor, nn

DataFormat = Literal["NCHW", "NHWC"]
NCHW: DataFormat = "NCHW"
NHWC: DataFormat = "NHWC"


def channel_axis(data_format: DataFormat) -> int:
    """The axis of C."""
    return data_format.index("C")


def pixel_axes(data_format: DataFormat) -> list[int]:
    """The axes of H and W."""
    return [data_format.index("H"), data_format.index("W")]


def sides(x: Tensor, data_format: DataFormat) -> tuple[int, int]:
    """``(H, W)`` of a map."""
    height, width = pixel_axes(data_format)
    return x.shape[height], x.shape[width]


def column(x: Tensor, data_format: DataFormat) -> Tensor:
    """A number for each channel, to be broadcast over a map: ``[C]`` -> ``[1, C, 1, 1]`` or ``[1, 1, 1, C]``."""
    return x.reshape([1, -1, 1, 1] if data_format == NCHW else [1, 1, 1, -1])


class Picture(nn.Layer):
    """The first layer of a network that computes in either layout, and has it turn pictures into its own.

    Shape:
        ``[N, C, H, W]`` -> the same, or ``[N, H, W, C]``.
    """

    _data_format: DataFormat = NCHW

    def forward(self, x: Tensor) -> Tensor:
        """The pictures in the layout of the network."""
        return x if self._data_format == NCHW else x.transpose([0, 2, 3, 1])


def compute_in(network: nn.Layer, data_format: DataFormat) -> nn.Layer:
    """The network, which from now on computes in that layout; answers differ by rounding only.

    Raises:
        ValueError: it has no ``Picture`` layer, so nobody made it for more than one layout.
    """
    layers = network.sublayers(include_self=True)
    if not any(isinstance(layer, Picture) for layer in layers):
        raise ValueError(f"{type(network).__name__} computes in NCHW only, it has no Picture layer; leave it at NCHW")
    for layer in layers:
        for name in ("_data_format", "data_format"):  # Paddle's pools have it without the underscore
            if getattr(layer, name, None) in (NCHW, NHWC):
                setattr(layer, name, data_format)
        if isinstance(layer, nn.Conv2D):
            layer._channel_dim = channel_axis(data_format)
    return network

"""``Global.to_static``: the network as a compiled program, for the training step alone."""

import paddle
from paddle import Tensor, nn


class _Step(nn.Layer):
    """The network as it trains; what is judged, averaged, saved and named is the network itself."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def compiled(network: nn.Layer) -> nn.Layer:
    """A layer over the same parameters whose forward and backward pass are one program for each shape of a batch.

    The network stays as it is: to evaluate it runs no program, and its state dict has the same names.
    """
    return paddle.jit.to_static(_Step(network), full_graph=True)

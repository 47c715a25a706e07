"""An exported program in the network's place, to judge it or to answer with it."""

from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn

from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.exported import RUNNERS, read_about

_STEM = "inference"
_LEAST = np.finfo(np.float32).tiny  # where a probability has no logarithm


class ExportedNetwork(nn.Layer):
    """Images ``[N, C, H, W]`` -> logits ``[N, class_num]``, on the CPU by the program in ``folder``.

    Logits of a program that ends in softmax are logarithms of its probabilities: the same up to a number for each row.

    Args:
        runtime: one of ``RUNNERS``.
    Raises:
        WeightsError: there is no whole export, or its classes are not ``class_num``.
        PpclsError: the package of that runtime is missing.
        ConfigError: the pictures have another size than the export's, which is fixed.
    """

    def __init__(self, runtime: str, folder: Path, class_num: int) -> None:
        super().__init__()
        self._prefix = folder / _STEM
        self._run = RUNNERS[runtime](self._prefix)
        about = read_about(self._prefix)
        self._has_softmax = bool(about.get("softmax"))
        self._image_shape = list(about["image_shape"])
        self._class_num = class_num

    def forward(self, images: Tensor) -> Tensor:
        """Outputs as the network's."""
        image_shape = list(images.shape[1:])
        if image_shape != self._image_shape:
            raise ConfigError(
                f"{self._prefix} takes pictures of {self._image_shape}, these are {image_shape}; change the "
                "transforms, or export again with another Global.image_shape"
            )
        outputs = self._run(images.numpy())
        if outputs.shape[1] != self._class_num:
            raise WeightsError(f"{self._prefix} has {outputs.shape[1]} classes, Arch.class_num is {self._class_num}")
        return paddle.to_tensor(np.log(np.maximum(outputs, _LEAST)) if self._has_softmax else outputs)

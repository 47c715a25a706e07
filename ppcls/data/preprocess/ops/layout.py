"""ToCHWImage: channels first."""

from typing import TYPE_CHECKING

import numpy as np

from ppcls.registry import OPS

if TYPE_CHECKING:
    from paddle import Tensor


@OPS.register
class ToCHWImage:
    """``[H, W, C]`` -> ``[C, H, W]``, a view; for ``Infer.transforms``, since loaders do it for whole batches."""

    output_layout = "CHW"

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image.transpose(2, 0, 1)

    def on_device(self, images: "Tensor") -> "Tensor":
        """``[N, C, H, W]`` as it comes: ``Pipeline.device`` transposes before the first op."""
        return images

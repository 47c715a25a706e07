"""Pictures from a formula: tests, benchmarks and smoke runs need no files."""

from typing import Any

import cv2
import numpy as np

from ppcls.data.dataloader.bad_samples import ReadRule
from ppcls.data.dataloader.values import Item
from ppcls.registry import DATASETS


@DATASETS.register(accepts=ReadRule)
class SyntheticDataset:
    """Stripes whose angle tells the class.

    Sample i is of class ``i % class_num``; i also shifts the stripes and tints them.

    Args:
        samples: how many.
        side: pictures are ``[side, side, 3]``, and travel as PNG.
        reading: see ``ReadRule``.
    """

    def __init__(self, class_num: int, samples: int = 1024, side: int = 256, **reading: Any) -> None:
        if min(class_num, samples, side) < 1:
            raise ValueError(f"class_num, samples and side are at least 1; got {class_num}, {samples}, {side}")
        self.rule = ReadRule(**reading)
        self.class_num = class_num
        self.samples = samples
        self.side = side

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> Item:
        """A PNG and its label."""
        _, png = cv2.imencode(".png", self.pixels(index), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return Item(png.tobytes(), index % self.class_num, self.where(index))

    def where(self, index: int) -> str:
        """``synthetic:17``"""
        return f"synthetic:{index}"

    def pixels(self, index: int) -> np.ndarray:
        """The picture before it is encoded, uint8 ``[side, side, 3]``."""
        angle = np.pi * (index % self.class_num) / self.class_num
        y, x = np.mgrid[: self.side, : self.side] / self.side
        wave = np.cos(6 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) + 0.7 * index)  # [side, side]
        tint = 0.5 + 0.4 * np.cos(index + np.array([0.0, 2.0, 4.0]))  # [3]
        return np.uint8(127.5 * (1 + wave[:, :, None] * tint))

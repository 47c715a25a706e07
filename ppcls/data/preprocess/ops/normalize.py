"""NormalizeImage: bytes -> numbers around 0."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ppcls.registry import OPS

if TYPE_CHECKING:
    from paddle import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_LAYOUTS = {"": "HWC", "hwc": "HWC", "chw": "CHW"}


@OPS.register
class NormalizeImage:
    """``(x * scale - mean) / std`` per channel, in float32.

    Args:
        scale: null is 1/255, which YAML may also write as ``1.0/255.0``.
        mean, std: three numbers each; null is ImageNet's.
        order: '' and 'hwc' for ``[H, W, 3]``, as in every recipe; 'chw' after ToCHWImage.
        output_fp16: float16 instead of float32 leaves the op; the arithmetic stays in float32.
        channel_num: 4 appends a channel of zeros, for networks that take four.
    Raises:
        ValueError: at a call: the picture has not three channels where ``order`` says.
    Source: PaddleClas ``NormalizeImage``, where any unknown order means hwc.
    """

    def __init__(
        self,
        scale: float | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        order: Literal["", "hwc", "chw"] = "chw",
        output_fp16: bool = False,
        channel_num: Literal[3, 4] = 3,
    ) -> None:
        if order not in _LAYOUTS:
            raise ValueError(f"NormalizeImage order is one of '', 'hwc', 'chw'; got {order!r}")
        if channel_num not in (3, 4):
            raise ValueError(f"NormalizeImage channel_num is 3 or 4; got {channel_num}")
        self.layout = _LAYOUTS[order]
        self.output_dtype = np.dtype(np.float16 if output_fp16 else np.float32)
        self._scale = 1 / 255 if scale is None else scale
        self._mean = _parse_channels("mean", _MEAN if mean is None else mean)
        self._std = _parse_channels("std", _STD if std is None else std)
        if not self._std.all():
            raise ValueError(f"NormalizeImage std divides; got {std}")
        self._pad = channel_num - 3

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        axis = self.layout.index("C")
        if image.ndim != 3 or image.shape[axis] != 3:
            raise ValueError(f"NormalizeImage expects {self.layout} with 3 channels; got shape {list(image.shape)}")
        shape = [1, 1, 1]
        shape[axis] = 3
        x = image.astype(np.float32)
        x *= np.float32(self._scale)
        x -= self._mean.reshape(shape)
        x /= self._std.reshape(shape)
        if self._pad:
            zeros = [(0, 0)] * 3
            zeros[axis] = (0, self._pad)
            x = np.pad(x, zeros)
        return x.astype(self.output_dtype, copy=False)

    def on_device(self, images: "Tensor") -> "Tensor":
        """``[N, 3, H, W]`` of any dtype -> ``[N, channel_num, H, W]``, the same numbers as on the host."""
        import paddle  # main thread only: workers import this module

        # Channels last: on a CPU paddle is 2 to 8 times as fast where what it broadcasts lies along the last axis.
        x = images.transpose([0, 2, 3, 1]).astype("float32")  # [N, H, W, 3]
        x = (x * self._scale - paddle.to_tensor(self._mean)) / paddle.to_tensor(self._std)
        x = x.transpose([0, 3, 1, 2])  # [N, 3, H, W]
        if self._pad:
            x = paddle.concat([x, paddle.zeros_like(x[:, : self._pad])], axis=1)
        return x.astype(self.output_dtype.name)


def _parse_channels(name: str, value: Sequence[float]) -> np.ndarray:
    if len(value) != 3 or not all(isinstance(number, int | float) for number in value):
        raise ValueError(f"NormalizeImage {name} is three numbers, red first; got {value!r}")
    return np.asarray(value, np.float32)

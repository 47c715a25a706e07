"""transform_ops -> a part the workers run and a part the device runs for a whole batch."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppcls.data.preprocess.ops.opening import join_first
from ppcls.registry import OPS, Buildable
from ppcls.utils.errors import ConfigError

if TYPE_CHECKING:
    from paddle import Tensor

Op = Callable[..., Any]

_logger = logging.getLogger("ppcls")


class Pipeline:
    """The ops of one list, cut in two: the longest tail of ops that have a device form runs on the device.

    An op is ``op(image, rng) -> image``. It may say more about itself; what it leaves out is the first value:

        takes_bytes     False; True for the one op that decodes, the first
        layout          "HWC", what it takes; or "CHW"
        output_layout   as it takes
        output_dtype    numpy dtype, as it takes
        on_device       no device form; or ``on_device(images [N, C, H, W]) -> images``, channel by channel and
                        without randomness, so that it does not matter that the batch has been transposed before

    Batches thus travel as uint8, a quarter of the bytes, and workers spend no time on float arithmetic.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        tail = len(ops)
        while tail > 0 and hasattr(ops[tail - 1], "on_device"):
            tail -= 1
        self.host_ops = tuple(ops[:tail])
        self._device_ops = tuple(ops[tail:])
        self._host_layout = _last(self.host_ops, "output_layout", "HWC")
        self._full_layout = _last(ops, "output_layout", "HWC")
        self.host_dtype: np.dtype = _last(self.host_ops, "output_dtype", np.dtype(np.uint8))
        stays = [op for op in self.host_ops if hasattr(op, "on_device")]
        if stays:
            names = ", ".join(type(op).__name__ for op in stays)
            last = type(self.host_ops[-1]).__name__
            _logger.info("%s stays on the host: %s after it has no device form", names, last)

    @classmethod
    def from_components(cls, components: Sequence[Buildable], *, fast_decode: bool = False, **known: Any) -> "Pipeline":
        """The pipeline of a loader: ``DataLoader.<split>.dataset.transform_ops``.

        Args:
            fast_decode: decode a JPEG no larger than the crop needs; see ``ops.opening.Open``.
            known: values for the ops that ask, such as ``max_pixels``.
        Raises:
            ConfigError: an op that does not build, an order that cannot work, or ToCHWImage, which loaders do.
        """
        ops = _build(components, known)
        for component, op in zip(components, ops, strict=True):
            if hasattr(op, "output_layout"):
                raise ConfigError(f"{component.key}: loaders transpose whole batches to CHW themselves; remove it")
        try:
            return cls(join_first(ops, fast_decode))
        except ValueError as error:
            raise ConfigError(f"{components[0].key}: {error}") from error

    @classmethod
    def for_inference(cls, components: Sequence[Buildable], **known: Any) -> "Pipeline":
        """The pipeline of ``Infer.transforms``, which ends in ToCHWImage; otherwise as ``from_components``."""
        ops = _build(components, known)
        if _last(ops, "output_layout", "HWC") != "CHW":
            raise ConfigError(f"{components[-1].key}: Infer.transforms must end in CHW; append ToCHWImage")
        return cls(join_first(ops, fast=False))

    def host(self, data: bytes, rng: np.random.Generator) -> np.ndarray:
        """The workers' part: ``[H, W, C]`` of ``host_dtype``.

        Raises:
            DataError: slug ``bad-image`` when the file cannot be decoded, ``bad-batch`` when an op cannot work on it.
        """
        image: Any = data
        for op in self.host_ops:
            image = op(image, rng)
        return image

    def device(self, images: "Tensor") -> "Tensor":
        """The rest: ``[N, H, W, C]`` of ``host_dtype`` -> ``[N, C, H, W]``, float32 unless an op says float16."""
        # Transposed first, while a pixel is one byte.
        x = images if self._host_layout == "CHW" else images.transpose([0, 3, 1, 2])
        for op in self._device_ops:
            x = op.on_device(x)
        return x if x.is_floating_point() else x.astype("float32")

    def full(self, data: bytes, rng: np.random.Generator) -> np.ndarray:
        """All of it on the host: ``[C, H, W]``, equal to ``device(host(...))`` up to float32 rounding."""
        image = self.host(data, rng)
        for op in self._device_ops:
            image = op(image, rng)
        image = image if self._full_layout == "CHW" else image.transpose(2, 0, 1)
        dtype = image.dtype if np.issubdtype(image.dtype, np.floating) else np.float32
        return np.ascontiguousarray(image, dtype=dtype)


def _build(components: Sequence[Buildable], known: dict[str, Any]) -> list[Op]:
    """The ops, after checking that each can take what the one before it gives."""
    if not components:
        raise ConfigError("a list of transform ops is empty; it begins with DecodeImage")
    ops = [OPS.build(component, **known) for component in components]
    layout = "HWC"
    for position, (component, op) in enumerate(zip(components, ops, strict=True)):
        if getattr(op, "takes_bytes", False) != (position == 0):
            raise ConfigError(f"{component.key}: DecodeImage comes first, and once")
        wants = getattr(op, "layout", "HWC")
        if wants != layout:
            hint = "order: '' is for HWC" if wants == "CHW" else "move it before ToCHWImage"
            raise ConfigError(f"{component.key}: {component.name} works on {wants}, pictures are {layout} here; {hint}")
        layout = getattr(op, "output_layout", layout)
    return ops


def _last(ops: Sequence[Op], trait: str, default: Any) -> Any:
    """What the last op that has the trait says, or the default."""
    return next((getattr(op, trait) for op in reversed(ops) if hasattr(op, trait)), default)

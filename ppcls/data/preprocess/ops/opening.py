"""DecodeImage and the op after it, which together need less work than one after the other."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ppcls.data.preprocess.ops.decode import DecodeImage, decode_bgr, swap_channels
from ppcls.data.preprocess.ops.size import Need, Size, size_of
from ppcls.data.preprocess.picture import jpeg_orientation, picture_kind

FACTORS = (8, 4, 2)


class Cutter(Protocol):
    """An op that can say what it takes of a picture before the picture is decoded: RandCropImage, ResizeImage."""

    def need(self, size: Size, rng: np.random.Generator) -> Need:
        """Of a picture of that size."""

    def finish(self, image: np.ndarray, need: Need, rng: np.random.Generator) -> np.ndarray:
        """The op's result, from what ``need`` said."""


class Opened(NamedTuple):
    """A picture, blue first, perhaps at a reduced scale, and what is to be taken of it as it is here."""

    image: np.ndarray
    need: Need


def join_first(ops: Sequence[Callable[..., Any]], fast: bool) -> list[Callable[..., Any]]:
    """The ops, the first two replaced by ``Open`` and ``Cut`` where they allow it; equal results unless ``fast``.

    Raises:
        ValueError: ``fast``, and they do not.
    """
    allow = len(ops) > 1 and isinstance(ops[0], DecodeImage) and ops[0].is_cv2 and hasattr(ops[1], "need")
    if allow:
        return [Open(ops[0], ops[1], fast), Cut(ops[1], ops[0].to_rgb), *ops[2:]]
    if fast:
        raise ValueError("fast_decode needs DecodeImage with backend cv2, then RandCropImage or ResizeImage; remove it")
    return [*ops]


class Open:
    """Decodes, and draws what the next op takes.

    Args:
        fast: decode a JPEG at the smallest of 1, 1/2, 1/4, 1/8 at which the part taken is not enlarged. The draws are
            those of the full size, which the header tells.
    """

    takes_bytes = True

    def __init__(self, decode: DecodeImage, cutter: Cutter, fast: bool) -> None:
        self._decode = decode
        self._cutter = cutter
        self._fast = fast
        self.name = type(decode).__name__

    def __call__(self, data: bytes, rng: np.random.Generator) -> Opened:
        size = self._decode.check(data)
        opened = self._reduced(data, size, rng) if self._fast and picture_kind(data) == "JPEG" else None
        if opened is not None:
            return opened
        image = decode_bgr(data)
        return Opened(image, self._cutter.need(size_of(image), rng))

    def _reduced(self, data: bytes, size: Size, rng: np.random.Generator) -> Opened | None:
        """None, with nothing drawn, where the decoder gives another size than the header and its EXIF part told."""
        if 0 in size:
            return None
        full = Size(size.height, size.width) if jpeg_orientation(data) >= 5 else size
        before = rng.bit_generator.state
        need = self._cutter.need(full, rng)
        factor = reduction(need)
        image = decode_bgr(data, factor)
        if size_of(image) == (-(-full.width // factor), -(-full.height // factor)):
            return Opened(image, Need(need.box.reduced(factor), need.size))
        rng.bit_generator.state = before
        return None


class Cut:
    """The second op, then red first where that is asked for: the fewer pixels, the cheaper."""

    def __init__(self, cutter: Cutter, to_rgb: bool) -> None:
        self._cutter = cutter
        self._to_rgb = to_rgb
        self.name = type(cutter).__name__

    def __call__(self, opened: Opened, rng: np.random.Generator) -> np.ndarray:
        image = self._cutter.finish(opened.image, opened.need, rng)
        # OpenCV would make colours of a map without channels, which is no picture, and is refused later.
        return swap_channels(image) if self._to_rgb and image.ndim == 3 else image


def reduction(need: Need) -> int:
    """The largest of 1, 2, 4 and 8 by which the part can be divided without being smaller than what it becomes."""
    return next(
        (
            factor
            for factor in FACTORS
            if need.box.width // factor >= need.size.width and need.box.height // factor >= need.size.height
        ),
        1,
    )

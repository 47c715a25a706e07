"""Sample ops, ``op(image, rng) -> image``: imports the modules below, so that their names register."""

from ppcls.data.preprocess.ops import crop, decode, flip, layout, normalize, resize

__all__ = ["crop", "decode", "flip", "layout", "normalize", "resize"]

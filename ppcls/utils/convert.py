"""Weights from one kind of file into another, number for number."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.manifest import read_manifest
from ppcls.utils.save_load import SUFFIXES, read_stored, write_weights

_PADDLE_LACKS = ("uint32", "uint64")


class Converted(NamedTuple):
    """The file that was read, how many tensors it held, and their size in bytes."""

    source: Path
    tensors: int
    bytes: int


def convert_weights(source: str, target: Path, *, overwrite: bool) -> Converted:
    """Read weights as every command does and write them to ``target``, in the format of its suffix.

    Every number keeps its bits and every tensor its name, kind and shape. Paddle's own names of parameters, which only
    an optimizer's state refers to, have no place in ``.safetensors``.

    Args:
        source: a file, a prefix, or a folder with ``model.pdparams``.
        overwrite: replace a file that is there.
    Raises:
        ConfigError: ``source`` is not there, ``target`` is, or it has another suffix or belongs to a checkpoint.
        WeightsError: ``source`` is damaged or unsafe, or holds what the other format cannot.
    """
    require_free(target, overwrite)
    arrays, path, _, names = read_stored(source)
    if target.suffix != ".safetensors":
        _require_paddle_kinds(arrays, path)
    write_weights(target, arrays, names)
    return Converted(path, len(arrays), sum(array.nbytes for array in arrays.values()))


def require_free(target: Path, overwrite: bool) -> None:
    """ConfigError if weights cannot be written to ``target``, or would replace what must stay."""
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"{target}: the suffix of OUT says the format; one of {', '.join(SUFFIXES)}", "usage")
    manifest = read_manifest(target.with_suffix(""))
    if manifest is not None and target.suffix in manifest.files:
        raise ConfigError(f"{target} belongs to a checkpoint, which never changes; choose another name", "usage")
    if target.exists() and not overwrite:
        raise ConfigError(f"{target} is there already; choose another name, or add --overwrite", "usage")


def _require_paddle_kinds(arrays: dict[str, np.ndarray], path: Path) -> None:
    for name, array in arrays.items():
        if str(array.dtype) in _PADDLE_LACKS:
            raise WeightsError(f"{path}: tensor {name!r} is {array.dtype}, which Paddle has no tensors of")

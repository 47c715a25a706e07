"""Bytes -> arrays of an MXNet file: whatever they are, arrays come out or one kind of error, in little memory."""

import resource
import struct

import numpy as np
from fuzzing import Rng, fuzz, mutated, pick, refused

from ppcls.utils.errors import WeightsError
from ppcls.utils.mxnet_params import parse_mxnet_params

_V2 = struct.pack("<Ii", 0xF993FAC9, 0)


def _file(dtype: str, kind: int, names: list[str]) -> bytes:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    records = [_V2 + struct.pack("<I2qiii", 2, 2, 3, 1, 0, kind) + array.tobytes() for _ in names]
    text = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)
    return struct.pack("<QQQ", 0x112, 0, len(names)) + b"".join(records) + struct.pack("<Q", len(names)) + text


FILES = [_file("<f4", 0, ["arg:a_weight", "aux:a_moving_mean"]), _file("<f2", 2, ["conv1.0.weight"])]


def _take(data: bytes) -> None:
    arrays = parse_mxnet_params(data, "x.params")
    assert all(type(name) is str and isinstance(array, np.ndarray) for name, array in arrays.items())
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


def test_nothing_but_arrays_or_one_error_leaves_the_mxnet_reader() -> None:
    for data in FILES:
        _take(data)

    def check(rng: Rng) -> None:
        data = mutated(pick(rng, FILES), FILES, rng)
        refused(lambda: _take(data), WeightsError, ("damaged",))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(check) > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB

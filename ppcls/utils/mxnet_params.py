"""MXNet's ``.params`` files: named arrays, read with numpy alone, in all four generations of the format.

Source: the format as MXNet 1.9.1 writes and reads it (``src/ndarray/ndarray.cc``, ``NDArray::Save`` and ``Load``).
"""

import struct
from math import prod

import numpy as np

from ppcls.utils.errors import WeightsError
from ppcls.utils.text import printable
from ppcls.utils.unpickle import MAX_RANK

_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # any other first word is the rank of a V0 record
_KINDS = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", 7: "?", 12: "<u2"}
_LARGEST = 2**59  # numpy multiplies the sizes of an array without values all the same
_LEAST_RECORD = 4  # bytes: the one word of an empty V0 slot


def is_mxnet_params(data: bytes | memoryview) -> bool:
    """Whether ``data`` begins as such a file does."""
    return bytes(data[:8]) == _LIST_MAGIC.to_bytes(8, "little")


def parse_mxnet_params(data: bytes | memoryview, where: str) -> dict[str, np.ndarray]:
    """The arrays of a ``.params`` file by name, or by "0", "1", ... where the file has no names; read-only.

    bfloat16 comes back as its bits in uint16; a slot without an array is left out.

    Raises:
        WeightsError: ``damaged``: another format, sparse, cut short, too long, or at odds with itself.
    """
    reader = _Reader(memoryview(data), where)
    if not is_mxnet_params(data):
        raise reader.damaged("it does not begin as an MXNet list of arrays does")
    reader.take(16)  # the magic, and a word that MXNet keeps for later
    count = reader.number("Q")
    if count > reader.left // _LEAST_RECORD:
        raise reader.damaged(f"it says that {count} arrays follow in {reader.left} bytes")
    arrays = [_record(reader, number) for number in range(count)]
    names = _names(reader, count)
    if reader.left:
        raise reader.damaged(f"{reader.left} bytes follow its last name")
    return {name: array for name, array in zip(names, arrays, strict=True) if array is not None}


class _Reader:
    """A place in the bytes of a file; nothing is read beyond their end."""

    def __init__(self, data: memoryview, where: str) -> None:
        self._data = data
        self._where = where
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise self.damaged(f"it is cut short: {count} bytes wanted at {self._position}, {self.left} left")
        self._position += count
        return self._data[self._position - count : self._position]

    def number(self, code: str) -> int:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize(code)))

    def damaged(self, what: str) -> WeightsError:
        return WeightsError(f"{self._where} is damaged: {what}; fetch it again", "damaged")


def _record(reader: _Reader, number: int) -> np.ndarray | None:
    """One array, or None for a slot that holds none."""
    shape = _shape(reader, number)
    if shape is None:
        return None
    reader.take(8)  # the device that it was saved from
    kind = reader.number("i")
    if kind not in _KINDS:
        raise reader.damaged(f"array {number} has numbers of the unknown type {kind}")
    dtype = np.dtype(_KINDS[kind])
    if prod(max(size, 1) for size in shape) >= _LARGEST:
        raise reader.damaged(f"no array has the shape of array {number}, {list(shape)}")
    return np.frombuffer(reader.take(prod(shape) * dtype.itemsize), dtype).reshape(shape)


def _shape(reader: _Reader, number: int) -> tuple[int, ...] | None:
    """The sizes, or None for a slot that holds no array; ``reader`` stands behind them."""
    version = reader.number("I")
    if version in (_V2, _V3) and (storage := reader.number("i")):
        raise reader.damaged(f"array {number} has the storage type {storage}; only dense arrays (0) are weights")
    rank = reader.number("i") if version in (_V1, _V2, _V3) else version
    if (rank == 0 and version != _V3) or (rank == -1 and version == _V3):
        return None
    if not 0 <= rank <= MAX_RANK:
        raise reader.damaged(f"array {number} begins with {version:#x} and would have {rank} dimensions")
    shape = reader.numbers("q" if version in (_V1, _V2, _V3) else "I", rank)
    if min(shape, default=0) < 0:
        raise reader.damaged(f"array {number} has the shape {list(shape)}")
    return shape


def _names(reader: _Reader, count: int) -> list[str]:
    found = reader.number("Q")
    if found not in (0, count):
        raise reader.damaged(f"it names {found} of its {count} arrays")
    if found == 0:
        return [str(number) for number in range(count)]
    names = [_name(reader) for _ in range(count)]
    twice = next((name for name, again in zip(sorted(names), sorted(names)[1:], strict=False) if name == again), None)
    if twice is not None:
        raise reader.damaged(f"the name {printable(twice[:80])!r} stands twice")
    return names


def _name(reader: _Reader) -> str:
    raw = bytes(reader.take(reader.number("Q")))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise reader.damaged(f"a name of {len(raw)} bytes is not UTF-8") from error

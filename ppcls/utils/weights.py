"""Weights as bytes: ``.pdparams`` and ``.safetensors``, read and written with numpy alone."""

import json
from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ppcls.utils.errors import WeightsError
from ppcls.utils.unpickle import MAX_RANK, dumps, loads

NAMES_KEY = "StructuredToParameterName@@"
SLICES_KEY = "UnpackBigParamInfor@@"

_SAFE_TYPES = {
    **{"BOOL": "?", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "u1", "U32": "<u4", "U64": "<u8"},
    # No U16: Paddle and numpy keep the bits of bfloat16 as uint16, and numbers would be taken for those.
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "C64": "<c8"},
}
_SAFE_NAMES = {np.dtype(code): name for name, code in _SAFE_TYPES.items()}
_MAX_HEADER = 16 << 20

_LOOKS = (
    (b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with: git lfs pull"),
    (b"<!doctype html", "an HTML page, not the file; check the address it was fetched from"),
    (b"<html", "an HTML page, not the file; check the address it was fetched from"),
    (b"<?xml", "an XML answer, not the file; check the address it was fetched from"),
    (b"PK\x03\x04", "a zip archive; PyTorch writes such files, convert them first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file; convert it first"),
)


class Tensors(NamedTuple):
    """What a file of weights holds."""

    arrays: dict[str, np.ndarray]
    parameter_names: dict[str, str]  # name in the model -> Paddle's own unique name


def parse_weights(data: bytes, where: str) -> Tensors:
    """As ``parse_stored``, but bfloat16 comes back as float32, which holds every such value."""
    arrays, names = parse_stored(data, where)
    return Tensors({k: widen_bfloat16(v) if v.dtype == np.uint16 else v for k, v in arrays.items()}, names)


def parse_stored(data: bytes, where: str) -> Tensors:
    """The arrays in the bytes of a ``.pdparams`` or, when ``where`` ends so, a ``.safetensors`` file, as they are.

    bfloat16 comes back as its bits in uint16. Arrays may be read-only.

    Raises:
        WeightsError: ``damaged`` or ``unsafe``, with what the bytes look like.
    """
    look = _look(data)
    if look:
        raise WeightsError(f"{where} holds no weights: it is {look}", "damaged")
    if where.endswith(".safetensors"):
        return Tensors(parse_safetensors(data, where), {})
    return _parse_pdparams(data, where)


def dump_pdparams(arrays: Mapping[str, np.ndarray], parameter_names: Mapping[str, str]) -> bytes:
    """The bytes of a ``.pdparams`` file that ``paddle.load`` and PaddleClas read too.

    Args:
        parameter_names: Paddle's own name of every array, or nothing.
    """
    content: dict[str, Any] = dict(arrays)
    if parameter_names:  # paddle.load makes tensors of the names in this table only, or, without it, of all
        content[NAMES_KEY] = dict(parameter_names)
    return dumps(content)


def parse_safetensors(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The arrays in the bytes of a ``.safetensors`` file; the tensors must fill it without gap or overlap.

    bfloat16 comes back as its bits in uint16.

    Source: the format's description, https://github.com/huggingface/safetensors#format
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(_MAX_HEADER, len(data) - 8):
        raise _damaged(where, f"its header would have {size} bytes; the file has {len(data)}")
    header = _parse_header(data[8 : 8 + size], where)
    arrays, spans = {}, []
    for name, entry in header.items():
        kind, shape, begin, end = _entry(entry, f"{where}: tensor {name!r}")
        spans.append((begin, end))
        if 8 + size + end > len(data):
            raise _damaged(where, f"tensor {name!r} ends at byte {end} of {len(data) - 8 - size}")
        arrays[name] = np.frombuffer(data, np.dtype(_SAFE_TYPES[kind]), prod(shape), 8 + size + begin).reshape(shape)
    ends = [0] + [end for _, end in sorted(spans)]
    if [begin for begin, _ in sorted(spans)] != ends[:-1] or ends[-1] != len(data) - 8 - size:
        raise _damaged(where, "tensors overlap, leave gaps, or do not fill the file")
    return arrays


def dump_safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a ``.safetensors`` file; keys are the names in the model, uint16 holds bfloat16.

    Raises:
        WeightsError: a kind of numbers that the format has not.
    """
    header, parts, offset = {}, [], 0
    for name, array in arrays.items():
        if array.dtype not in _SAFE_NAMES:
            raise WeightsError(
                f"tensor {name!r} is {array.dtype}, which .safetensors cannot hold; keep it as .pdparams"
            )
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        span = [offset, offset + len(raw)]
        header[name] = {"dtype": _SAFE_NAMES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        parts.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 with the values of bfloat16 ``bits``, which Paddle and numpy keep as uint16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def first_non_finite(arrays: Mapping[str, Any]) -> str | None:
    """The name of the first array that holds a NaN or an infinity."""
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            values = widen_bfloat16(array) if array.dtype == np.uint16 else array
            if values.dtype.kind in "fc" and not np.isfinite(values).all():
                return name
    return None


def _parse_pdparams(data: bytes, where: str) -> Tensors:
    content = loads(data, where)
    if not isinstance(content, dict):
        raise _damaged(where, f"it holds a {type(content).__name__}; expected names with arrays")
    names = content.pop(NAMES_KEY, {})
    _join_slices(content, where)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise _damaged(where, f"entry {name!r} is a {type(value).__name__}; expected an array")
    if not isinstance(names, dict) or not all(isinstance(text, str) for pair in names.items() for text in pair):
        raise _damaged(where, f"entry {NAMES_KEY!r} does not map names to names")
    return Tensors(content, names)


def _join_slices(content: dict[Any, Any], where: str) -> None:
    """Put together the arrays that Paddle cuts into pieces below 1 GiB for pickle protocols 2 and 3."""
    plan = content.pop(SLICES_KEY, {})
    try:
        for name, how in plan.items():
            pieces = [content.pop(piece) for piece in how["slices"]]
            if not all(isinstance(piece, np.ndarray) for piece in pieces):
                raise TypeError("a piece is no array")
            content[name] = np.concatenate(pieces).reshape(how["OriginShape"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _damaged(where, f"its large tensors do not fit together ({error})") from error


def _parse_header(text: bytes, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise _damaged(where, f"{name!r} stands twice in its header")
        return found

    try:
        header = json.loads(text, object_pairs_hook=unique)
    except WeightsError:
        raise
    except (ValueError, RecursionError) as error:
        raise _damaged(where, f"its header is no JSON ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise _damaged(where, "its header is no JSON object")
    header.pop("__metadata__", None)
    return header


def _entry(entry: Any, where: str) -> tuple[str, list[int], int, int]:
    """dtype, shape, begin and end of one tensor, checked against each other."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(where, "no dtype, shape or data_offsets") from error
    if type(kind) is not str or kind not in _SAFE_TYPES:
        raise WeightsError(f"{where}: unknown dtype {str(kind)[:20]!r}", "damaged")
    if type(shape) is not list or any(type(n) is not int or not 0 <= n < 2**63 for n in [*shape, begin, end]):
        raise _damaged(where, "shape or data_offsets are no sizes")
    if len(shape) > MAX_RANK:
        raise _damaged(where, f"it has {len(shape)} dimensions")
    if end - begin != prod(shape) * np.dtype(_SAFE_TYPES[kind]).itemsize:
        raise _damaged(where, f"shape {shape} and {kind} do not fit {end - begin} bytes")
    if prod(max(n, 1) for n in shape) >= 2**59:  # no values, but sizes that numpy multiplies all the same
        raise _damaged(where, f"no array has the shape {shape}")
    return kind, shape, begin, end


def _look(data: bytes) -> str:
    """What bytes that cannot be weights are, or an empty string."""
    if not data:
        return "empty"
    head = data[:256].lstrip().lower()
    for start, meaning in _LOOKS:
        if data.startswith(start) or head.startswith(start):
            return meaning
    if not any(data[:4096]):
        return "zeros: the disk or the transfer lost its content"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:256]):
        return f"text that begins {data[:40].decode('ascii')!r}"
    return ""


def _damaged(where: str, what: str) -> WeightsError:
    return WeightsError(f"{where} is damaged: {what}; fetch or save it again", "damaged")

"""Files that pretend to be weights: pickles that run code or never end, broken safetensors, other things altogether."""

import functools
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class _Call:
    """Pickles as the call of ``function``, the way an attack is made."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def write_pickle(path: Path, value: Any) -> None:
    """What Python writes."""
    path.write_bytes(pickle.dumps(value, protocol=4))


def _calling(function: Any, *arguments: str) -> Callable[[Path, Path], None]:
    """Writes a pickle that calls; ``{ran}`` in an argument is the file that shows it."""

    def make(path: Path, ran: Path) -> None:
        write_pickle(path, {"weight": _Call(function, *(text.replace("{ran}", str(ran)) for text in arguments))})

    return make


def _calling_partial(path: Path, ran: Path) -> None:
    write_pickle(path, {"weight": functools.partial(os.mkdir, str(ran))})


def _objects(path: Path, ran: Path) -> None:
    write_pickle(path, {"weight": np.zeros(2, [("a", "f4"), ("b", "i4")])})


def _huge(path: Path, ran: Path) -> None:
    """An array of 2^40 numbers in four bytes."""
    rebuild, arguments, _ = np.zeros(0, "f4").__reduce__()

    class Forged:
        def __reduce__(self) -> tuple[Any, ...]:
            return rebuild, arguments, (1, (2**40,), np.dtype("f4"), False, b"1234")

    write_pickle(path, {"weight": Forged()})


def _deep(path: Path, ran: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


def _swelling(path: Path, ran: Path) -> None:
    """One megabyte of text, encoded 5,000 times."""
    text = b"x" * 1_000_000
    data = io.BytesIO()
    data.write(b"\x80\x02c_codecs\nencode\nq\x00X" + len(text).to_bytes(4, "little") + text)
    data.write(b"q\x01X\x06\0\0\0latin1q\x02(" + b"h\x00h\x01h\x02\x86R" * 5000 + b"l.")
    path.write_bytes(data.getvalue())


# What it asks for -> slug, how it is written, what is said of it.
PICKLES: dict[str, tuple[str, Callable[[Path, Path], None], str]] = {
    "a shell": ("unsafe", _calling(os.system, "touch {ran}"), r"asks for posix\.system, which weights do not need"),
    "eval": ("unsafe", _calling(eval, "open({ran!r}, 'w')"), r"asks for builtins\.eval, which weights do not need"),
    "a partial call": ("unsafe", _calling_partial, r"asks for functools\.partial, which weights do not need"),
    "a record type": ("unsafe", _objects, r"asks for the dtype 'V8', which weights do not need"),
    "2^40 numbers": ("damaged", _huge, r"is damaged: .*an array of shape \[1099511627776\], float32 has 4 bytes"),
    "100,000 levels": ("damaged", _deep, r"is damaged: .*nested deeper than 32"),
    "5 GB of text": ("damaged", _swelling, r"is damaged: more data than the file can hold"),
}

STRANGERS: dict[str, tuple[bytes, str]] = {
    "web page as weights": (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
    "git-lfs pointer as weights": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a git-lfs pointer"),
    "zip archive as weights": (b"PK\x03\x04" + bytes(100), "a zip archive; PyTorch"),
    "zeros as weights": (bytes(5000), ".*zeros"),
}


def _tensor(begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1], "data_offsets": [begin, end]}


def _safe(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "header of 2^63": ((2**63).to_bytes(8, "little") + b"{}", "its header would have 9223372036854775808 bytes"),
    "header of 100 MB": (_safe(b" " * 100_000_000), "its header would have 100000000 bytes"),
    "tensors that overlap": (_safe({"v": _tensor(0, 4), "w": _tensor(2, 6)}, bytes(6)), "overlap"),
    "key twice": (_safe(b'{"v": {}, "w": {}, "w": {}}'), "'w' stands twice"),
    "unknown dtype": (_safe({"w": _tensor(0, 4, "F8_E4M3")}, bytes(4)), "tensor 'w': unknown dtype 'F8_E4M3'"),
}

"""Pickles as weights are kept in: written by Python, read by something that cannot do anything else.

Nothing is ever called on behalf of a file: a small stack machine knows the instructions that arrays and plain
values need, and the few names they mention stand for inert markers.
"""

import io
import pickle
import pickletools
import warnings
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ppcls.utils.errors import WeightsError
from ppcls.utils.text import printable

MAX_DEPTH = 32
MAX_RANK = 32  # what every numpy takes; a product of a million sizes would take minutes


def loads(data: bytes, where: str) -> Any:
    """The value a pickle holds: dict, list, tuple, None, bool, int, float, str, bytes and arrays, nested.

    Args:
        where: the path, for messages.
    Raises:
        WeightsError: slug ``unsafe`` when the pickle asks for anything else, by name; ``damaged`` when it is broken.
    """
    return _Machine(data, where).run()


def dumps(value: Any) -> bytes:
    """The pickle of plain values and arrays, as ``loads`` and ``paddle.load`` read it."""
    return pickle.dumps(value, protocol=4)


class _Name(NamedTuple):
    """A global that a pickle mentioned and may mention."""

    role: str


class _DType:
    """A dtype between its construction and its state."""

    def __init__(self, code: str) -> None:
        self.value = np.dtype(code).newbyteorder("<")


class _Array:
    """An array between its construction and its state; ``value`` is the real one."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None


class _ForeignError(ValueError):
    """Well-formed, but nothing that weights need."""


class _Mark:
    """Where a group of operands begins on the stack."""


_ROLES = {
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "ordered dict",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ROLES[_module, "_reconstruct"] = "reconstruct"
    _ROLES[_module, "scalar"] = "scalar"
for _module in ("builtins", "__builtin__"):
    _ROLES[_module, "tuple"] = "tuple"
    _ROLES[_module, "bytes"] = "bytes"  # protocol 2 writes bytes() for the data of an empty array

_CODES = {f"{kind}{size}" for kind, sizes in {"i": "1248", "u": "1248", "f": "248"}.items() for size in sizes}
_CODES |= {"b1", "c8", "c16"}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_BROKEN = (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, RecursionError)


class _Machine:
    """Runs one pickle. Every method named ``_op_...`` is an instruction; there are no others."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0
        self.encoded = 0
        self.visited = 0

    def run(self) -> Any:
        try:
            with warnings.catch_warnings():  # pickletools decodes names like Python text, and warns of odd escapes
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.simplefilter("ignore", SyntaxWarning)
                stop = self._execute()
            return self._finish(stop)
        except WeightsError:
            raise
        except _ForeignError as error:
            raise self._unsafe(str(error)) from error
        except _BROKEN as error:
            raise self._damaged(f"{type(error).__name__}: {error}"[:200]) from error

    def _execute(self) -> int:
        position = -1
        for opcode, argument, position in pickletools.genops(io.BytesIO(self.data)):  # noqa: B007
            self.steps += 1
            if opcode.name in _LITERALS:
                self.stack.append(argument)
            elif opcode.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[opcode.name])
            else:
                operation: Callable[[Any], None] | None = getattr(self, f"_op_{opcode.name.lower()}", None)
                if operation is None:
                    raise self._unsafe(f"the instruction {opcode.name}")
                operation(argument)
        return position

    def _finish(self, stop: int) -> Any:
        if stop + 1 != len(self.data):
            raise self._damaged(f"{len(self.data) - stop - 1} bytes after its end")
        if len(self.stack) != 1:
            raise self._damaged(f"{len(self.stack)} values where one was expected")
        return self._plain(self.stack[0], 0)

    def _plain(self, value: Any, depth: int) -> Any:
        """``value`` with real arrays; refuses what is unfinished, too deep, or refers to itself."""
        self.visited += 1
        # An honest file visits at most one value per instruction; one that repeats itself could visit 2 ** 32.
        if depth > MAX_DEPTH or self.visited > 4 * self.steps + 100:
            raise self._damaged(f"values nested deeper than {MAX_DEPTH}, or repeated inside each other")
        if isinstance(value, dict):
            return {key: self._plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple) and not isinstance(value, _Name):
            return type(value)([self._plain(item, depth + 1) for item in value])
        if isinstance(value, _Array):
            if value.value is None:
                raise self._damaged("an array without data")
            return value.value
        if value is None or type(value) in (bool, int, float, complex, str, bytes):
            return value
        raise self._unsafe(f"a bare {getattr(value, 'role', type(value).__name__)}")

    def _unsafe(self, what: str) -> WeightsError:
        return WeightsError(f"{self.where} asks for {printable(what)}, which weights do not need; refused", "unsafe")

    def _damaged(self, what: str) -> WeightsError:
        return WeightsError(f"{self.where} is damaged: {printable(what)}; fetch or save it again", "damaged")

    # Instructions without effect on the values.
    def _op_proto(self, version: int) -> None:
        if version > 5:
            raise self._damaged(f"pickle protocol {version} is unknown")

    def _op_frame(self, _: Any) -> None:
        pass

    def _op_stop(self, _: Any) -> None:
        pass

    # Memory and stack.
    def _op_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _op_binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _op_binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _op_put = _op_long_binput = _op_binput
    _op_get = _op_long_binget = _op_binget

    def _op_mark(self, _: Any) -> None:
        self.stack.append(_Mark)

    def _op_pop(self, _: Any) -> None:
        self.stack.pop()

    def _op_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _since_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        taken = []
        while (value := self.stack.pop()) is not _Mark:
            taken.append(value)
        return taken[::-1]

    # Containers.
    def _op_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _op_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _op_empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def _op_dict(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._fill(items)

    def _op_list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _op_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _op_tuple1(self, _: Any) -> None:
        self._tuple_of(1)

    def _op_tuple2(self, _: Any) -> None:
        self._tuple_of(2)

    def _op_tuple3(self, _: Any) -> None:
        self._tuple_of(3)

    def _tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def _op_append(self, _: Any) -> None:
        item = self.stack.pop()
        self._top(list).append(item)

    def _op_appends(self, _: Any) -> None:
        items = self._since_mark()
        self._top(list).extend(items)

    def _op_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _op_setitems(self, _: Any) -> None:
        self._fill(self._since_mark())

    def _fill(self, items: list[Any]) -> None:
        """Put keys and values, alternating, into the dict on the stack."""
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):  # the hash of a tuple recurses without a limit
                raise self._unsafe(f"a dict key of type {type(key).__name__}")
            target[key] = value

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    # Names, and what is made of them.
    def _op_global(self, argument: str) -> None:
        self._push_name(*argument.split(" ", 1))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        if type(module) is not str or type(name) is not str or (module, name) not in _ROLES:
            raise self._unsafe(f"{module}.{name}"[:200])
        self.stack.append(_Name(_ROLES[module, name]))

    def _op_reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not _Name or type(arguments) is not tuple:
            raise self._unsafe("a call of a value")
        make: Callable[..., Any] | None = _MAKERS.get(name.role)
        if make is None:
            raise self._unsafe(f"a call of {name.role}")
        made = make(*arguments)
        if type(made) is bytes:
            self.encoded += len(made)
            if self.encoded > 2 * len(self.data):  # one text, encoded again and again, would fill the memory
                raise self._damaged("more data than the file can hold")
        self.stack.append(made)

    def _op_build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(state) is not tuple:
            raise self._unsafe(f"a state of type {type(state).__name__}")
        if type(target) is _DType:
            _set_dtype_state(target, *state)
        elif type(target) is _Array:
            _set_array_state(target, *state)
        else:
            raise self._unsafe(f"state for a {type(target).__name__}")


def _make_array(kind: Any, shape: Any, code: Any) -> _Array:
    if kind != _Name("ndarray") or shape != (0,):
        raise _ForeignError("an array that is not a plain ndarray")
    return _Array()


def _make_dtype(code: Any, align: Any = False, copy: Any = True) -> _DType:
    if type(code) is not str or code not in _CODES:
        raise _ForeignError(f"the dtype {str(code)[:20]!r}")
    return _DType(code)


def _set_dtype_state(target: _DType, version: Any, order: Any, *rest: Any) -> None:
    if order not in ("<", "|") or any(item is not None and type(item) is not int for item in rest):
        raise _ForeignError("a dtype that is big-endian or has fields")


def _set_array_state(target: _Array, version: Any, shape: Any, dtype: Any, fortran: Any, data: Any) -> None:
    if target.value is not None:
        raise ValueError("an array that is filled twice")
    if type(shape) is not tuple or any(type(side) is not int or not 0 <= side < 2**63 for side in shape):
        raise ValueError("an array whose shape is no tuple of sizes")
    if len(shape) > MAX_RANK:
        raise ValueError(f"an array of {len(shape)} dimensions")
    if type(dtype) is not _DType or type(data) is not bytes:
        raise ValueError("an array without a dtype or bytes")
    kind = dtype.value
    if prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"an array of shape {list(shape)}, {kind} has {len(data)} bytes")
    target.value = np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _make_scalar(dtype: Any, data: Any) -> bool | int | float | complex:
    if type(dtype) is not _DType or type(data) is not bytes or len(data) != dtype.value.itemsize:
        raise ValueError("a scalar whose bytes do not fit its dtype")
    return np.frombuffer(data, dtype.value)[0].item()


def _make_bytes(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise ValueError("text that is not encoded as latin1")
    return text.encode("latin1")


def _make_tuple(items: Any) -> tuple[Any, ...] | _Array:
    if type(items) is not tuple:
        raise ValueError("a tuple of something else than a tuple")
    if len(items) == 2 and type(items[0]) is str and type(items[1]) is _Array:
        return items[1]  # how Paddle writes a tensor inside a list: its name, its data
    return items


_MAKERS: dict[str, Callable[..., Any]] = {
    "reconstruct": _make_array,
    "dtype": _make_dtype,
    "scalar": _make_scalar,
    "encode": _make_bytes,
    "tuple": _make_tuple,
    "bytes": lambda: b"",
    "ordered dict": lambda: {},
}

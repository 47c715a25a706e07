"""The restricted unpickler: what Paddle writes comes back, everything else is refused without effect."""

import io
import os
import pickle
import resource
import sys
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppcls.utils.errors import WeightsError
from ppcls.utils.unpickle import loads


class _Call:
    """Pickles as the call of ``function``, the way an attack is made."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def _refusal(data: bytes) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        loads(data, "x.pdparams")
    assert "x.pdparams" in str(caught.value)
    return caught.value


ARRAYS = {
    "f32": np.arange(6, dtype="f4").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype="f8").reshape(2, 3)),
    "scalar": np.array(2.5, "f4"),
    "empty": np.zeros((0, 3), "f4"),
    "bits": np.array([0x3F80], "u2"),
    "half": np.array([1.5], "f2"),
    "flags": np.array([True, False]),
    "complex": np.array([1 + 2j], "c8"),
    "int": np.array([-1, 2**40]),
}


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_with_its_dtype_shape_and_values(name: str, protocol: int) -> None:
    array = loads(pickle.dumps({name: ARRAYS[name]}, protocol), "x")[name]
    assert (array.dtype, array.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
    np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_come_back_as_they_were(protocol: int) -> None:
    value = {
        "metric": 0.25,
        "epoch": 3,
        7: [1, (2, 3), (), [None, True, False]],
        "rng": [*range(-2, 400), 2**40, -(2**70)],
        "text": "Größe",
        "bytes": b"\x00\xff",
        "nested": {"a": {}, "order": OrderedDict(b=1)},
    }
    assert loads(pickle.dumps(value, protocol), "x") == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_numbers_come_back_as_plain_ones(protocol: int) -> None:
    value = loads(pickle.dumps([np.float32(0.5), np.float64(0.1), np.int64(-3), np.bool_(True)], protocol), "x")
    assert value == [0.5, 0.1, -3, True]
    assert [type(item) for item in value] == [float, float, int, bool]


def test_the_module_names_of_numpy_1_are_understood() -> None:
    data = pickle.dumps(ARRAYS["f32"], 2).replace(b"numpy._core.", b"numpy.core.")
    np.testing.assert_array_equal(loads(data, "x"), ARRAYS["f32"])


ATTACKS = {
    "os.system": (_Call(os.system, "touch {trace}"), "posix.system"),
    "eval": (_Call(eval, "open({trace!r}, 'w')"), "eval"),
    "exec": (_Call(exec, "open({trace!r}, 'w')"), "exec"),
    "open": (_Call(open, "{trace}", "w"), "open"),
    "partial": (_Call(partial, os.mkdir, "{trace}"), "functools.partial"),
    "import": (_Call(__import__, "antigravity"), "__import__"),
    "getattr": (_Call(getattr, "text", "upper"), "getattr"),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_pickle_that_calls_is_refused_by_name_and_does_nothing(name: str, protocol: int, tmp_path: Path) -> None:
    call, expected = ATTACKS[name]
    trace = str(tmp_path / "trace")
    function, arguments = call.made
    filled = _Call(function, *(a.format(trace=trace) if isinstance(a, str) else a for a in arguments))
    error = _refusal(pickle.dumps({"weight": filled}, protocol))
    assert error.slug == "unsafe"
    assert expected in str(error) or "instruction" in str(error)
    assert not Path(trace).exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0elib.npyio.load\x93.", "numpy.lib.npyio.load"),
        (b"(S'x'\nios\nsystem\n.", "instruction STRING"),
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"Pid\n.", "instruction PERSID"),
        (b"\x80\x02K\x01Q.", "instruction BINPERSID"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "call of ndarray"),
        (b"\x80\x02cnumpy\nndarray\n.", "bare ndarray"),
        (b"\x80\x02}}b.", "state of type dict"),
        (b"\x80\x02})b.", "state for a dict"),
        (b"\x80\x04\x8f.", "instruction EMPTY_SET"),
    ],
)
def test_what_weights_do_not_need_is_named(data: bytes, named: str) -> None:
    error = _refusal(data)
    assert error.slug == "unsafe"
    assert named in str(error)


def test_a_dtype_with_fields_or_objects_is_refused() -> None:
    assert _refusal(pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "i4")]), 4)).slug == "unsafe"
    assert _refusal(pickle.dumps(np.array([None, 1], object), 4)).slug == "unsafe"
    assert "big-endian" in str(_refusal(pickle.dumps(np.zeros(2, ">f4"), 4)))


def _array_pickle(shape: tuple[Any, ...], data: bytes) -> bytes:
    """An array as numpy would write it, with a shape and data that need not agree."""
    rebuild, arguments, _ = np.zeros(0, "f4").__reduce__()

    class Forged:
        def __reduce__(self) -> tuple[Any, ...]:
            return rebuild, arguments, (1, shape, np.dtype("f4"), False, data)

    return pickle.dumps(Forged(), 4)


@pytest.mark.parametrize("shape", [(2**40,), (2,), (2**31, 2**31, 2**31), (-1,), (2**64,), (True,), ("1",)])
def test_an_array_whose_shape_does_not_fit_its_bytes_is_refused(shape: tuple[Any, ...]) -> None:
    assert _refusal(_array_pickle(shape, b"1234")).slug == "damaged"


def test_an_array_of_the_right_size_is_taken_and_of_another_told() -> None:
    assert "an array of shape [2], float32 has 4 bytes" in str(_refusal(_array_pickle((2,), b"1234")))
    assert loads(_array_pickle((1,), b"\x00\x00\x80\x3f"), "x").tolist() == [1.0]


def _with_shape(shape: bytes) -> bytes:
    """An array of two numbers, whose shape is what these instructions make."""
    data = pickle.dumps(np.ones(2, np.float32), 2)
    start = data.index(b"K\x02\x85")
    return data[:start] + shape + data[start + 3 :]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02)" + b"\x85" * 100_000 + b".",
        b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.",
        b"\x80\x02]q\x00h\x00a.",
        _with_shape(b"(" + (b"\x8a\x08" + (2**62).to_bytes(8, "little")) * 300_000 + b"t"),
        b"\x80\x02]q\x00" + b"".join(b"0](h%ch%ceq%c" % (i, i, i + 1) for i in range(31)) + b".",
    ],
    ids=["lists", "tuples", "tuple as key", "list in itself", "sizes", "lists that double"],
)
def test_deep_or_endless_values_are_refused_at_once(data: bytes) -> None:
    started = time.monotonic()
    _refusal(data)
    assert time.monotonic() - started < 5


def test_thirty_two_levels_are_read_and_thirty_three_are_not() -> None:
    def nest(levels: int) -> bytes:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return pickle.dumps(value, 4)

    loads(nest(32), "x")
    assert "nested deeper than 32" in str(_refusal(nest(33)))


def test_a_small_file_cannot_fill_the_memory() -> None:
    once = b"h\x00h\x01h\x02\x86R"
    text = b"x" * 1_000_000
    data = io.BytesIO()
    data.write(
        b"\x80\x02c_codecs\nencode\nq\x00X" + len(text).to_bytes(4, "little") + text + b"q\x01X\x06\0\0\0latin1q\x02"
    )
    data.write(b"(" + once * 5000 + b"l.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _refusal(data.getvalue()).slug == "damaged"
    assert loads(b"\x80\x02K\x01r\xff\xff\xff\xff.", "x") == 1  # a memo index of 2 ** 32 - 1
    _refusal(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.")  # bytes of 2 ** 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("protocol", [2, 4])
def test_every_cut_is_refused(protocol: int) -> None:
    data = pickle.dumps({"a": ARRAYS["f32"], "b": [1, 2.0, "c"]}, protocol)
    for length in range(len(data)):
        assert _refusal(data[:length]).slug in ("damaged", "unsafe")


def test_a_hostile_name_is_shown_without_its_control_characters() -> None:
    for name in ("\x1b[2Jos", "os\r", "a\ud800"):
        data = b"\x80\x04" + b"".join(
            b"X" + len(text).to_bytes(4, "little") + text for text in (name.encode("utf-8", "surrogatepass"), b"f")
        )
        assert str(_refusal(data + b"\x93.")).isprintable()


def test_an_odd_escape_in_a_name_is_refused_without_a_warning() -> None:
    assert _refusal(b"\x80\x02cos\\q\nsystem\n.").slug == "unsafe"


def test_bytes_after_the_end_are_refused() -> None:
    assert "4 bytes after its end" in str(_refusal(pickle.dumps({"a": 1}) + b"\0\0\0\0"))


def test_no_other_exception_leaves_for_random_damage() -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(pickle.dumps({"a": ARRAYS["f32"], "b": [1, (2.0,), "c"]}, 4), np.uint8)
    refused = 0
    for _ in range(3000):
        data = whole.copy()
        data[rng.integers(len(data), size=rng.integers(1, 4))] = rng.integers(256)
        try:
            loads(data.tobytes(), "x")
        except WeightsError:
            refused += 1
    assert refused > 1000

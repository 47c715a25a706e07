"""Bytes -> weights: whatever they are, arrays come out or one kind of error, soon, and in little memory."""

import json
import pickle
import pickletools
import resource

import numpy as np
from fuzzing import Rng, fuzz, mutated, pick, refused

from ppcls.utils.errors import WeightsError
from ppcls.utils.unpickle import loads
from ppcls.utils.weights import SLICES_KEY, dump_pdparams, dump_safetensors, parse_stored, parse_weights

RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": RNG.random((2, 3, 2), dtype=np.float32),
    "bn.mean": np.zeros(4),
    "bits": np.arange(6, dtype=np.uint16).reshape(2, 3),
    "count": np.array(7),
    "none": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
}
STATES = {"LR_Scheduler": {"last_epoch": 3, "last_lr": 0.1}, "rng": [1, (2, 3.0), "x", None, True, b"y" * 40]}
SLICED = {"a@@.0": np.arange(3.0), "a@@.1": np.arange(3.0)}
PLAN = {SLICES_KEY: {"a": {"OriginShape": (2, 3), "slices": ["a@@.0", "a@@.1"]}}}
PICKLES = [
    dump_pdparams(ARRAYS, {name: f"{name}_0" for name in ARRAYS}),
    *(pickle.dumps(ARRAYS | STATES, protocol) for protocol in (2, 3, 4)),
    *(pickle.dumps(SLICED | PLAN, protocol) for protocol in (2, 4)),
    pickle.dumps([np.float32(1), np.int64(2), ("name", np.ones(3))], 2),
]
SAFE = [dump_safetensors(ARRAYS), dump_safetensors({"a": np.ones(1, np.float32)})]
NAMES = ("numpy ndarray", "numpy dtype", "numpy._core.multiarray _reconstruct", "numpy._core.multiarray scalar")
NAMES += ("_codecs encode", "builtins tuple", "builtins bytes", "collections OrderedDict", "os system", "builtins eval")
OPCODES = [code for code in pickletools.opcodes if code.arg is None]


def _looks_right(value: object) -> None:
    if isinstance(value, dict):
        assert all(type(key) in (str, int) for key in value)
        for item in value.values():
            _looks_right(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _looks_right(item)
    elif isinstance(value, np.ndarray):
        assert value.dtype.kind in "biufc"
    else:
        assert value is None or type(value) in (bool, int, float, complex, str, bytes)


def _take(data: bytes, name: str) -> None:
    if name.endswith(".pdopt"):
        _looks_right(loads(data, name))
        return
    arrays, names = parse_stored(data, name)
    parse_weights(data, name)
    assert all(type(key) is str and isinstance(array, np.ndarray) for key, array in arrays.items())
    _looks_right(arrays)
    assert sum(array.nbytes for array in arrays.values()) <= 2 * len(data)
    assert all(type(text) is str for pair in names.items() for text in pair)


def _read(data: bytes, suffix: str) -> bool:
    """Whether it was taken."""
    return not refused(lambda: _take(data, f"x{suffix}"), WeightsError, ("damaged", "unsafe"))


def _literal(rng: Rng) -> bytes:
    """An instruction that puts a value on the stack."""
    number = int(pick(rng, (0, 1, 2, 255, 2**31 - 1)))
    text = pick(rng, (b"", b"<f4", b"f4", b"latin1", b"|", b"<", b"abc", b"\xed\xa0\x80", b"i8"))
    return pick(
        rng,
        (
            *(b"K" + bytes([number % 256]), b"M" + (number % 65536).to_bytes(2, "little")),
            *(b"J" + number.to_bytes(4, "little"), b"X" + len(text).to_bytes(4, "little") + text),
            *(b"C" + bytes([len(text)]) + text, b"I01\n", b"F1.5\n", b"L99999999999999999999L\n", b"N", b"\x88"),
            *(b"h" + bytes([number % 8]), b"q" + bytes([number % 8]), b"c" + _name(rng), b"\x8a\x09" + bytes(9)),
        ),
    )


def _name(rng: Rng) -> bytes:
    module, _, name = str(pick(rng, NAMES)).partition(" ")
    return f"{module}\n{name}\n".encode()


def _program(rng: Rng) -> bytes:
    """A pickle of instructions in no sensible order."""
    parts = [b"\x80", bytes([int(rng.integers(2, 6))])]
    for _ in range(int(rng.integers(1, 40))):
        code = OPCODES[int(rng.integers(len(OPCODES)))].code.encode("latin1")
        parts.append(_literal(rng) if rng.random() < 0.6 else code)
    return b"".join([*parts, b"."])


def _header_value(rng: Rng, depth: int = 0) -> object:
    plain = (0, 1, -1, 4, 2**31, 2**63, 1.5, "F32", "BF16", "U16", "x", "\ud800", None, True, [0, 4], [2**62] * 3, [])
    if depth > 2 or rng.random() < 0.6:
        return pick(rng, plain)
    items = [_header_value(rng, depth + 1) for _ in range(int(rng.integers(4)))]
    return items if rng.random() < 0.5 else {str(pick(rng, ("dtype", "shape", "a"))): item for item in items}


def _safe_file(rng: Rng) -> bytes:
    """A .safetensors file whose header is right in form and any in content."""
    header = {}
    for number in range(int(rng.integers(4))):
        entry = {"dtype": pick(rng, ("F32", "BF16", "BOOL", "I64")), "shape": [1], "data_offsets": [0, 4]}
        entry["shape"] = pick(rng, ([], [0], [1], [2, 2], [0, 2**62, 2**62], [1] * 70, [2**62] * 40, [-1], [True]))
        entry["data_offsets"] = sorted(int(n) for n in rng.integers(0, 20, 2))
        if rng.random() < 0.3:
            entry[str(pick(rng, list(entry)))] = _header_value(rng)
        header[pick(rng, (f"t{number}", "\ud800", "", "__metadata__"))] = (
            entry if rng.random() < 0.9 else _header_value(rng)
        )
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rng.bytes(int(rng.integers(20)))


def test_nothing_but_arrays_or_one_error_leaves_the_weights_reader() -> None:
    taken = []
    for data in PICKLES:
        assert _read(data, ".pdopt")
    for data in SAFE:
        assert _read(data, ".safetensors")

    def check(rng: Rng) -> None:
        kind = rng.random()
        if kind < 0.4:
            data = mutated(PICKLES[int(rng.integers(len(PICKLES)))], PICKLES, rng)
            taken.append(_read(data, str(pick(rng, (".pdparams", ".pdopt")))))
        elif kind < 0.6:
            taken.append(_read(_program(rng), str(pick(rng, (".pdparams", ".pdopt")))))
        elif kind < 0.8:
            taken.append(_read(mutated(SAFE[int(rng.integers(len(SAFE)))], SAFE, rng), ".safetensors"))
        else:
            taken.append(_read(_safe_file(rng), ".safetensors"))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = fuzz(check)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert len(taken) == count

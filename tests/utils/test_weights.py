"""Weights as bytes, against Paddle and the safetensors package as independent readers and writers."""

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from ppcls.utils.errors import WeightsError
from ppcls.utils.unpickle import dumps, loads
from ppcls.utils.weights import (
    dump_pdparams,
    dump_safetensors,
    first_non_finite,
    parse_safetensors,
    parse_weights,
)

ARRAYS = {
    "w": np.arange(6, dtype="f4").reshape(2, 3),
    "t": np.arange(6, dtype="f8").reshape(2, 3).T,
    "s": np.array(2.5, "f4"),
    "h": np.array([1.5, -2], "f2"),
    "i": np.array([-1, 2**40]),
    "b": np.array([True, False]),
    "z": np.zeros((0, 3), "f4"),
}


def _equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_paddle_saves_is_read_as_paddle_loads_it(protocol: int, tmp_path: Path) -> None:
    net = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4), paddle.nn.Linear(6, 5))
    path = tmp_path / "x.pdparams"
    paddle.save(net.state_dict(), str(path), protocol=protocol)
    tensors = parse_weights(path.read_bytes(), str(path))
    _equal(tensors.arrays, {name: tensor.numpy() for name, tensor in net.state_dict().items()})
    assert tensors.parameter_names == {name: tensor.name for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize("protocol", [2, 4])
def test_bfloat16_of_paddle_is_read_as_float32(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    paddle.save({"w": paddle.to_tensor([1.0, -0.15625]).astype("bfloat16")}, str(path), protocol=protocol)
    _equal(parse_weights(path.read_bytes(), "x").arrays, {"w": np.array([1.0, -0.15625], "f4")})


@pytest.mark.parametrize("protocol", [2, 4])
def test_optimizer_state_of_paddle_is_read_alone_and_in_a_list(protocol: int, tmp_path: Path) -> None:
    net = paddle.nn.Linear(2, 3)
    rate = paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10), 5, 0, 0.1)
    momentum = paddle.optimizer.Momentum(rate, 0.9, parameters=net.parameters())
    net(paddle.ones([1, 2])).sum().backward()
    momentum.step()
    rate.step()
    expected = {k: v if k == "LR_Scheduler" else v.numpy() for k, v in momentum.state_dict().items()}
    paddle.save(momentum.state_dict(), str(tmp_path / "one"), protocol=protocol)
    paddle.save([momentum.state_dict()], str(tmp_path / "list"), protocol=protocol)
    one, listed = (loads((tmp_path / name).read_bytes(), name) for name in ("one", "list"))
    one.pop("StructuredToParameterName@@", None)
    np.testing.assert_equal(one, expected)
    np.testing.assert_equal(listed, [expected])


def test_paddle_loads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    arrays = {name: array for name, array in ARRAYS.items() if array.size}
    for names in ({name: f"linear_0.{name}" for name in arrays}, {}):
        path.write_bytes(dump_pdparams(arrays, names))
        loaded = paddle.load(str(path))
        _equal({name: tensor.numpy() for name, tensor in loaded.items()}, arrays)
        assert {name: loaded[name].name for name in names} == names


def test_paddle_loads_optimizer_state_that_is_written(tmp_path: Path) -> None:
    state = {"linear_0.w_0_velocity_0": ARRAYS["w"], "LR_Scheduler": {"last_epoch": 3, "last_lr": 0.5}}
    (tmp_path / "x.pdopt").write_bytes(dumps(state))
    loaded = paddle.load(str(tmp_path / "x.pdopt"))
    assert loaded["LR_Scheduler"] == {"last_epoch": 3, "last_lr": 0.5}
    np.testing.assert_array_equal(loaded["linear_0.w_0_velocity_0"].numpy(), ARRAYS["w"])


def test_what_is_written_is_read_back() -> None:
    tensors = parse_weights(dump_pdparams(ARRAYS, {"w": "linear_0.w_0"}), "x.pdparams")
    _equal(tensors.arrays, ARRAYS)
    assert tensors.parameter_names == {"w": "linear_0.w_0"}


def _sliced() -> dict[str, Any]:
    """A 2x3 tensor in pieces, as Paddle cuts those above 1 GiB for protocols 2 and 3."""
    plan = {"w": {"OriginShape": (2, 3), "slices": ["w@@.0", "w@@.1"]}}
    pieces = {"w@@.0": ARRAYS["w"].reshape(-1)[:4], "w@@.1": ARRAYS["w"].reshape(-1)[4:]}
    return {**pieces, "b": ARRAYS["s"], "UnpackBigParamInfor@@": plan}


def test_large_tensors_are_put_together_as_paddle_does(tmp_path: Path) -> None:
    data = pickle.dumps(_sliced(), 2)
    (tmp_path / "x.pdparams").write_bytes(data)
    found = parse_weights(data, "x").arrays
    _equal(found, {"w": ARRAYS["w"], "b": ARRAYS["s"]})
    _equal(found, paddle.load(str(tmp_path / "x.pdparams"), return_numpy=True))


def test_large_tensors_with_a_piece_missing_are_refused() -> None:
    content = _sliced()
    del content["w@@.1"]
    with pytest.raises(WeightsError, match="large tensors do not fit together"):
        parse_weights(pickle.dumps(content, 2), "x")


@pytest.mark.parametrize(
    ("data", "look"),
    [
        (b"", "it is empty"),
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (b"<HTML>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a git-lfs pointer"),
        (b"PK\x03\x04....", "a zip archive; PyTorch"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"404: Not Found", "text that begins '404: Not Found'"),
        (bytes(5000), "zeros"),
    ],
)
def test_what_cannot_be_weights_is_named_by_its_look(data: bytes, look: str) -> None:
    with pytest.raises(WeightsError, match=f"x.pdparams holds no weights: it is .*{look.removeprefix('it is ')}") as e:
        parse_weights(data, "x.pdparams")
    assert e.value.slug == "damaged"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([ARRAYS["w"]], "it holds a list; expected names with arrays"),
        ({"epoch": 3}, "entry 'epoch' is a int; expected an array"),
        ({3: ARRAYS["w"]}, "entry 3 is a ndarray"),
        ({"StructuredToParameterName@@": {"w": 1}}, "does not map names to names"),
    ],
)
def test_a_pickle_of_something_else_is_refused(content: Any, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        parse_weights(dumps(content), "x.pdparams")


def test_safetensors_reads_what_is_written_and_the_other_way_round() -> None:
    package = pytest.importorskip("safetensors.numpy", reason="the safetensors package is not installed")
    full = {name: array for name, array in ARRAYS.items() if array.size}
    _equal(package.load(dump_safetensors(full)), full)
    _equal(parse_safetensors(package.save({k: v.copy() for k, v in full.items()}), "x"), full)
    _equal(parse_weights(dump_safetensors(ARRAYS), "x.safetensors").arrays, ARRAYS)


def _safe(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _tensor(begin: int = 0, end: int = 4, dtype: str = "F32", shape: Any = (1,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_bfloat16_in_safetensors_is_read_as_float32() -> None:
    data = _safe({"w": _tensor(0, 4, "BF16", (2,)), "__metadata__": {"format": "pt"}}, b"\x80\x3f\x20\xbe")
    _equal(parse_weights(data, "x.safetensors").arrays, {"w": np.array([1.0, -0.15625], "f4")})
    _equal(parse_safetensors(data, "x"), {"w": np.array([0x3F80, 0xBE20], "u2")})
    assert parse_safetensors(dump_safetensors(parse_safetensors(data, "x")), "x")["w"].dtype == np.uint16


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((2**63).to_bytes(8, "little") + b"{}", "its header would have 9223372036854775808 bytes; the file has 10"),
        (_safe(b" " * (17 << 20)), "its header would have"),
        (b"\x02\0", "the file has 2"),
        (_safe(b"{"), "no JSON"),
        (_safe(b"[" * 100_000), "no JSON"),
        (_safe([]), "no JSON object"),
        (_safe(b'{"v": {}, "w": {}, "w": {}}'), "'w' stands twice"),
        (_safe({"w": 3}), "no dtype, shape or data_offsets"),
        (_safe({"w": _tensor(dtype="F8_E4M3")}, bytes(4)), "tensor 'w': unknown dtype 'F8_E4M3'"),
        (_safe({"w": _tensor(dtype="U16")}, bytes(4)), "tensor 'w': unknown dtype 'U16'"),
        (_safe({"w": _tensor(shape=(2,))}, bytes(4)), r"shape \[2\] and F32 do not fit 4 bytes"),
        (_safe({"w": _tensor(shape=(-1,))}, bytes(4)), "no sizes"),
        (_safe({"w": _tensor(shape=(2**40, 2**40), end=2**60)}, bytes(4)), "do not fit"),
        (_safe({"w": _tensor(shape=(0, 2**62, 2**62), end=0)}), "no array has the shape"),
        (_safe({"w": _tensor(shape=(1,) * 33)}, bytes(4)), "it has 33 dimensions"),
        (_safe({"w": _tensor()}, bytes(3)), "tensor 'w' ends at byte 4 of 3"),
        (_safe({"w": _tensor()}, bytes(5)), "do not fill the file"),
        (_safe({"w": _tensor(), "v": _tensor()}, bytes(4)), "overlap"),
        (_safe({"w": _tensor(0, 4), "v": _tensor(2, 6)}, bytes(6)), "overlap"),
        (_safe({"w": _tensor(4, 8)}, bytes(8)), "gaps"),
    ],
)
def test_a_damaged_safetensors_file_is_refused_with_tensor_and_reason(data: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=f"x.safetensors.*{reason}") as caught:
        parse_safetensors(data, "x.safetensors")
    assert caught.value.slug == "damaged"


@pytest.mark.parametrize(
    "data",
    [
        _safe({"w": _tensor(shape=(2**62,) * 300_000)}),
        _safe(b"{" + b",".join(b'"t%d":1' % k for k in range(200_000)) + b',"t199999":1}'),
    ],
    ids=["a product of 300,000 sizes", "the last of 200,000 names twice"],
)
def test_a_large_header_is_refused_at_once(data: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(WeightsError):
        parse_safetensors(data, "x.safetensors")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("piece", [["ab"], [1.0], 3, "ab"])
def test_a_piece_of_a_large_tensor_that_is_no_array_is_refused(piece: Any) -> None:
    plan = {"UnpackBigParamInfor@@": {"a": {"OriginShape": (1,), "slices": ["s"]}}}
    with pytest.raises(WeightsError, match="a piece is no array"):
        parse_weights(pickle.dumps({"s": piece} | plan, 2), "x.pdparams")


def test_every_cut_of_a_safetensors_file_is_refused() -> None:
    data = dump_safetensors(ARRAYS)
    for length in range(len(data)):
        with pytest.raises(WeightsError):
            parse_weights(data[:length], "x.safetensors")


def test_values_that_are_not_finite_are_found_in_every_float_type() -> None:
    assert first_non_finite(ARRAYS | {"name": "text"}) is None
    for kind in ("f2", "f4", "f8", "c8"):
        for value in (np.nan, np.inf, -np.inf):
            assert first_non_finite({"a": np.zeros(2), "w": np.array([1, value], kind)}) == "w"
    assert first_non_finite({"w": np.array([0xFF80], "u2")}) == "w"
    assert first_non_finite({"w": np.array([0xFF70], "u2")}) is None

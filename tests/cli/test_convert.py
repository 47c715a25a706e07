"""``ppcls convert``: the same numbers in another kind of file."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcls.cli import main
from ppcls.utils.manifest import FileMark, Manifest, UnitInfo
from ppcls.utils.save_load import read_stored, write_weights
from ppcls.utils.weights import dump_safetensors

ARRAYS = {
    "f16": np.array([1.5, -0.0, np.inf, 6e-8], "f2"),
    "bf16": np.array([0x3F80, 0x7FC1, 0x8000, 0x0001], "u2"),  # 1, a NaN with a payload, -0, the smallest
    "f32": np.arange(6, dtype="f4").reshape(2, 3),
    "f64": np.array([[np.pi, np.nan]], "f8"),
    "i8": np.array([-128, 127], "i1"),
    "i32": np.array([-(2**31)], "i4"),
    "i64": np.array([2**62, -1]),
    "u8": np.array([255], "u1"),
    "bool": np.array([True, False]),
    "scalar": np.array(2.5, "f4"),
    "empty": np.zeros((0, 3), "f4"),
    "turned": np.arange(6, dtype="f4").reshape(2, 3).T,
}


def _convert(*words: object) -> int:
    return main(["convert", *(str(word) for word in words)])


def _bits(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in read_stored(str(path)).arrays.items()}


@pytest.mark.parametrize(("first", "second"), [(".pdparams", ".safetensors"), (".safetensors", ".pdema")])
def test_every_number_keeps_its_bits_both_ways(
    tmp_path: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, back = tmp_path / f"one{first}", tmp_path / f"other{second}", tmp_path / f"back{first}"
    write_weights(one, ARRAYS)
    assert (_convert(one, other), _convert(other, back)) == (0, 0)
    expected = {name: (str(a.dtype), a.shape, np.ascontiguousarray(a).tobytes()) for name, a in ARRAYS.items()}
    assert _bits(one) == _bits(other) == _bits(back) == expected
    size = sum(array.nbytes for array in ARRAYS.values())
    assert capsys.readouterr().out.splitlines()[0] == f"{one} -> {other}: {len(ARRAYS)} tensors, {size:,} bytes"


def test_the_package_of_safetensors_and_paddle_read_what_is_written(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.paddle", reason="the safetensors package is not installed")
    whole = {name: array for name, array in ARRAYS.items() if array.size and name != "turned"}
    write_weights(tmp_path / "a.safetensors", whole)
    assert _convert(tmp_path / "a.safetensors", tmp_path / "b.pdparams") == 0
    theirs = package.load((tmp_path / "a.safetensors").read_bytes())
    for found in (theirs, paddle.load(str(tmp_path / "b.pdparams"))):
        assert found.keys() == whole.keys()
        assert found["bf16"].dtype == paddle.bfloat16
        for name, array in whole.items():
            np.testing.assert_array_equal(found[name].numpy(), array)


def test_parameter_names_of_paddle_stay_where_the_format_has_them(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.pdparams", {"w": ARRAYS["f32"]}, {"w": "linear_0.w_0"})
    _convert(tmp_path / "a.pdparams", tmp_path / "b.pdema")
    assert read_stored(str(tmp_path / "b.pdema")).parameter_names == {"w": "linear_0.w_0"}


def test_a_prefix_is_taken_for_its_file(tmp_path: Path) -> None:
    write_weights(tmp_path / "best_model.pdparams", {"w": ARRAYS["f32"]})
    assert _convert(tmp_path / "best_model", tmp_path / "x.safetensors") == 0


def test_nothing_is_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.pdparams", tmp_path / "b.safetensors"
    write_weights(source, {"w": ARRAYS["f32"]})
    target.write_bytes(b"mine")
    assert _convert(source, target) == 2
    message = f"error[usage]: {target} is there already; choose another name, or add --overwrite\n"
    assert (capsys.readouterr().err, target.read_bytes()) == (message, b"mine")
    assert _convert(source, target, "--overwrite") == 0
    assert list(_bits(target)) == ["w"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdparams", "b.safetensors"]


def test_a_file_of_a_checkpoint_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "latest.pdparams"
    write_weights(target, {"w": ARRAYS["f32"]})
    data = target.read_bytes()
    manifest = Manifest(UnitInfo(step=1, epoch=1), {".pdparams": FileMark.of(data)}, "", ("latest",))
    (tmp_path / "latest.manifest.json").write_bytes(manifest.to_bytes())
    shutil.copy(target, tmp_path / "a.pdparams")
    assert _convert(tmp_path / "a.pdparams", target, "--overwrite") == 2
    assert f"{target} belongs to a checkpoint, which never changes; choose another name" in capsys.readouterr().err
    target.write_bytes(data[:-1])
    assert _convert(target, tmp_path / "b.safetensors") == 4
    assert "its manifest says" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["b.npz", "b"])
def test_another_suffix_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(tmp_path / "a.pdparams", {"w": ARRAYS["f32"]})
    assert _convert(tmp_path / "a.pdparams", tmp_path / name) == 2
    assert "the suffix of OUT says the format; one of .pdparams, .pdema, .safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "data", "target", "reason"),
    [
        ("a.pdparams", pickle.dumps({"w": print}), "b.safetensors", "asks for builtins.print"),
        ("a.pdparams", b"<html>", "b.safetensors", "an HTML page"),
        ("a.safetensors", b"\xff" * 100, "b.pdparams", "its header would have"),
        ("a.safetensors", dump_safetensors({"w": np.zeros(1, "u4")}), "b.pdparams", "Paddle has no tensors of"),
        ("a.pdparams", pickle.dumps({"w": np.zeros(1, "c16")}), "b.safetensors", r".safetensors cannot hold"),
    ],
)
def test_hostile_and_unfit_files_leave_nothing(
    source: str, data: bytes, target: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / source).write_bytes(data)
    assert _convert(tmp_path / source, tmp_path / target) == 4
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [source]


def test_converting_needs_no_paddle(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.pdparams", {"w": ARRAYS["f32"]})
    code = (
        "import sys; from ppcls.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'paddle' in sys.modules)"
    )
    words = ["convert", str(tmp_path / "a.pdparams"), str(tmp_path / "b.safetensors")]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code, *words], cwd=root, check=False).returncode == 0

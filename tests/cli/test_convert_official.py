"""``ppcls convert --arch``: the authors' files, made here byte by byte in the layout of MXNet."""

import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from bad_runs import told

from ppcls.arch.official_files import read_official
from ppcls.cli import main
from ppcls.registry import BACKBONES
from ppcls.utils.errors import WeightsError
from ppcls.utils.mxnet_params import parse_mxnet_params
from ppcls.utils.save_load import read_weights

KINDS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}
ARCH = "OctMobileNetV1"
V0, V1, V2, V3 = None, 0xF993FAC8, 0xF993FAC9, 0xF993FACA


def record(array: np.ndarray, version: int | None = V2, kind: int | None = None) -> bytes:
    """One array as MXNet writes it."""
    sizes = struct.pack(f"<{array.ndim}{'I' if version is V0 else 'q'}", *array.shape)
    head = b"" if version is V0 else struct.pack("<I", version)
    head += struct.pack("<i", 0) if version in (V2, V3) else b""
    head += struct.pack("<I", array.ndim) + sizes + struct.pack("<ii", 1, 0)
    return head + struct.pack("<i", KINDS[str(array.dtype)] if kind is None else kind) + array.tobytes()


def params(records: list[bytes], names: list[str]) -> bytes:
    """A whole file."""
    text = b"".join(struct.pack("<Q", len(name.encode())) + name.encode() for name in names)
    return struct.pack("<QQQ", 0x112, 0, len(records)) + b"".join(records) + struct.pack("<Q", len(names)) + text


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for the network at alpha .5, its numbers by the names of the golden file."""
    golden = json.loads((Path(__file__).parents[1] / "golden/official/mobilenet_v1_100_alpha-0.5.json").read_text())
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(shape, dtype=np.float32) for name, shape in golden["parameters"]}
    path = tmp_path_factory.mktemp("official") / "mobilenet_v1_100_alpha-0.5.params"
    path.write_bytes(params([record(array) for array in arrays.values()], list(arrays)))
    return path


def test_the_example_of_the_format_reads() -> None:
    data = params([record(np.arange(6, dtype=np.float32).reshape(2, 3))], ["a"])
    assert len(data) == 105
    (array,) = parse_mxnet_params(data, "x").values()
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("version", [V0, V1, V2, V3])
@pytest.mark.parametrize("dtype", list(KINDS))
def test_every_generation_and_kind_of_array_reads(version: int | None, dtype: str) -> None:
    array = np.arange(4).reshape(4, 1).astype(dtype)
    found = parse_mxnet_params(params([record(array, version)] * 2, []), "x")
    assert list(found) == ["0", "1"]
    assert all(got.dtype == array.dtype and np.array_equal(got, array) for got in found.values())


def test_scalars_empty_arrays_and_empty_slots_are_told_apart() -> None:
    slots = [struct.pack("<IiI", V2, 0, 0), struct.pack("<Iii", V3, 0, -1)]
    records = [*slots, record(np.float32(3).reshape(()), V3), record(np.zeros([2, 0], np.float32), V3)]
    found = parse_mxnet_params(params(records, ["none", "no", "scalar", "empty"]), "x")
    assert {name: array.shape for name, array in found.items()} == {"scalar": (), "empty": (2, 0)}


def test_an_official_file_becomes_weights_and_a_card(official: Path, tmp_path: Path) -> None:
    target = tmp_path / "oct.pdparams"
    assert main(["convert", "--arch", ARCH, str(official), str(target)]) == 0
    expected = BACKBONES.get(ARCH)(class_num=1000).state_dict()
    arrays = read_weights(str(target)).arrays
    assert {name: list(array.shape) for name, array in arrays.items()} == {k: v.shape for k, v in expected.items()}
    card = json.loads((tmp_path / "oct.card.json").read_text())
    assert (card["arch"], card["arguments"]["alpha"], card["epsilon"]) == (ARCH, 0.5, 1e-5)
    assert card["published"]["top1"] == 72.5
    assert card["source"] == official.name


def test_the_file_inside_an_archive_is_found_without_unpacking(official: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for name, data in (("a/checkpoint-symbol.json", b"{}"), ("a/checkpoint-0-0000.params", official.read_bytes())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    one, other = (read_official(path, ARCH, 0.5).weights for path in (archive, official))
    assert all(np.array_equal(one[name], other[name]) for name in other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


@pytest.mark.parametrize(("stem", "arch"), [("resnet-26_alpha-0.25", "OctResNet26")])
def test_a_symbol_checkpoint_in_an_archive_goes_through_the_command(stem: str, arch: str, tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parents[1] / f"golden/official/{stem}.json").read_text())
    names, shapes = zip(*golden["parameters"], strict=True)
    assert {name[:4] for name in names} == {"arg:", "aux:"}
    rng = np.random.default_rng(0)
    data = params([record(rng.random(shape, dtype=np.float32)) for shape in shapes], list(names))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("a/checkpoint-0000.params")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    words = ["convert", "--arch", arch, "--alpha", "0.25", str(tmp_path / "a.tar"), str(tmp_path / "o.pdparams")]
    assert main(words) == 0
    arrays = read_weights(str(tmp_path / "o.pdparams")).arrays
    assert arrays.keys() == BACKBONES.get(arch)(class_num=1000, alpha=0.25).state_dict().keys()
    assert json.loads((tmp_path / "o.card.json").read_text())["epsilon"] == 1e-4


def test_a_float16_file_gives_the_numbers_of_its_float32_twin(official: Path, tmp_path: Path) -> None:
    arrays = parse_mxnet_params(official.read_bytes(), "x")
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    (tmp_path / "h.params").write_bytes(params([record(half) for half in halves.values()], list(halves)))
    found = read_official(tmp_path / "h.params", ARCH, 0.5).weights
    for name, wide in read_official(official, ARCH, 0.5).weights.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], wide.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("cut", [0, 7, 30, 1000, -1])
def test_a_file_that_is_cut_is_told(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    path = tmp_path / "cut.params"
    path.write_bytes(official.read_bytes()[:cut])
    assert main(["convert", "--arch", ARCH, str(path), str(tmp_path / "x.pdparams")]) == 4
    assert f"{path} is damaged: " in told(capsys.readouterr().err, "damaged", 4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.params"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (params([record(np.zeros(2, np.float32), kind=99)], ["a"]), "unknown type 99"),
        (params([struct.pack("<Ii", V2, 1)], ["a"]), "storage type 1"),
        (params([record(np.zeros(2, np.float32))] * 2, ["a"]), "names 1 of its 2 arrays"),
        (params([record(np.zeros(2, np.float32))] * 2, ["a", "a"]), "'a' stands twice"),
        (params([record(np.zeros(2, np.float32))], ["a"]) + b"x", "1 bytes follow"),
        (struct.pack("<QQQ", 0x112, 0, 1 << 60), "arrays follow"),
        (params([struct.pack("<Iii2q", V2, 0, 2, 1 << 40, 1 << 40)], ["a"]), "damaged: "),
    ],
)
def test_a_file_at_odds_with_itself_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        parse_mxnet_params(data, "x")


def test_a_file_of_another_network_names_what_does_not_fit(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--arch", "OctMobileNetV1_x0_75"], ["--arch", ARCH, "--alpha", "0.25"], ["--arch", "OctResNet26"]):
        assert main(["convert", *words, str(official), str(tmp_path / "x.pdparams")]) == 4
        assert "does not fit the network; " in told(capsys.readouterr().err, "mismatch", 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alpha", "0.5"], "--alpha belongs to --arch"),
        (["--arch", "OctMobilNetV1"], "did you mean 'OctMobileNetV1'"),
        (["--arch", ARCH, "--alpha", "2"], "alpha is the share of low-frequency channels"),
    ],
)
def test_wrong_words_are_refused(
    official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["convert", *words, str(official), str(tmp_path / "x.pdparams")]) == 2
    assert message in capsys.readouterr().err

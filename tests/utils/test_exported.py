"""Exported programs: nothing is loaded that does not match the manifest beside it."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcls.engine.export import ExportPlan, export
from ppcls.utils.errors import WeightsError
from ppcls.utils.exported import verify_export
from ppcls.utils.runners import load_program


def _export(folder: Path, seed: int = 0) -> Path:
    paddle.seed(seed)
    network = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.Flatten(), paddle.nn.Linear(144, 2))
    export(network, ExportPlan(folder, (3, 8, 8), False, False, {"class_names": ["näh", "fern"]}))
    return folder / "inference"


def _refused(prefix: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_program(prefix)
    assert (caught.value.code, caught.value.slug) == (4, "damaged")
    return str(caught.value)


def test_a_whole_export_says_what_it_is_and_runs(tmp_path: Path) -> None:
    prefix = _export(tmp_path / "program")
    exported = verify_export(prefix)
    assert exported.program.suffix in (".json", ".pdmodel")
    assert exported.about["class_names"] == ["näh", "fern"]
    assert exported.about["image_shape"] == [3, 8, 8]
    assert load_program(prefix)(np.zeros((3, 3, 8, 8), "f4")).shape == (3, 2)


def test_one_flipped_bit_is_told_with_both_checksums(tmp_path: Path) -> None:
    prefix = _export(tmp_path)
    marks = json.loads(Path(f"{prefix}.manifest.json").read_text())["files"]
    for path in (verify_export(prefix).program, Path(f"{prefix}.pdiparams")):
        whole = path.read_bytes()
        data = bytearray(whole)
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        text = _refused(prefix)
        assert text.startswith(f"{path} has {len(data)} bytes, sha256 ")
        assert f"its manifest says {len(data)} bytes, sha256 {marks[path.name]['sha256']}; export again" in text
        path.write_bytes(whole)
    load_program(prefix)


def test_missing_parameters_and_those_of_another_model_are_refused(tmp_path: Path) -> None:
    prefix, other = _export(tmp_path / "a"), _export(tmp_path / "b", seed=1)
    parameters = Path(f"{prefix}.pdiparams")
    parameters.write_bytes(Path(f"{other}.pdiparams").read_bytes())
    assert "sha256" in _refused(prefix)
    parameters.unlink()
    assert f"{parameters} is missing: its manifest lists" in _refused(prefix)
    assert "sha256" in _refused(prefix)


def test_a_program_that_the_manifest_does_not_list_is_not_taken(tmp_path: Path) -> None:
    prefix = _export(tmp_path)
    known = verify_export(prefix).program
    Path(f"{prefix}{'.json' if known.suffix == '.pdmodel' else '.pdmodel'}").write_bytes(b"{}")
    assert verify_export(prefix).program == known


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "is missing: nothing says what belongs to the export; export again"),
        ("{", "is damaged: JSONDecodeError"),
        ("[]", "is damaged: "),
        ('{"format": 2, "files": {}}', "written by a newer version; update ppcls"),
        ('{"format": 1, "files": {"inference.json": 3}}', "is damaged: TypeError"),
        ('{"format": 1, "files": {}}', "lists no .pdiparams"),
        ('{"format": 1, "files": {"inference.pdiparams": {"bytes": 1, "sha256": ""}}}', "lists no program"),
    ],
)
def test_a_manifest_that_says_nothing_is_refused(text: str | None, reason: str, tmp_path: Path) -> None:
    prefix = tmp_path / "inference"
    if text is not None:
        Path(f"{prefix}.manifest.json").write_text(text)
    assert reason in _refused(prefix)


def test_an_export_leaves_no_trace_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    for name in ("inference.pdmodel", "inference.json", "inference.onnx", "inference.old"):
        (tmp_path / "program" / name).write_bytes(b"old")
    prefix = _export(tmp_path / "program")
    listed = json.loads(Path(f"{prefix}.manifest.json").read_text())["files"]
    assert {path.name for path in prefix.parent.iterdir()} == {*listed, "inference.manifest.json"}
    assert not {"inference.onnx", "inference.old"} & listed.keys()

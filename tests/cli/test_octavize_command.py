"""``ppcls octavize``: a file in, a file out, or one line that says why not."""

import numpy as np
import paddle
import pytest

from ppcls.cli import main
from ppcls.registry import BACKBONES
from ppcls.utils.save_load import load_into, model_arrays, read_weights, write_weights

NAME = "MobileNetV1_x0_25"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Plain weights for 7 classes."""
    from ppcls.arch import backbone  # noqa: F401  registers the networks

    paddle.seed(0)
    path = tmp_path_factory.mktemp("plain") / "w.pdparams"
    write_weights(path, model_arrays(BACKBONES.get(NAME)(class_num=7)))
    return path


def octavize(source, target, *words, arch=NAME, alpha=0.5):
    given = [] if alpha is None else ["--alpha", str(alpha)]
    return main(["octavize", str(source), str(target), "--arch", arch, *given, *words])


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_the_file_loads_into_the_octave_network_and_holds_the_same_numbers(plain, suffix, tmp_path, capsys):
    target = tmp_path / f"octave{suffix}"
    assert octavize(plain, target) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{plain} -> {target}: 137 tensors of {NAME} became ")
    model = BACKBONES.get(NAME)(class_num=7, alpha=0.5)
    load_into(model, read_weights(str(target)), strict=True, allow_head_mismatch=False)
    before, after = (read_weights(str(path)).arrays for path in (plain, target))
    assert list(after) == list(model.state_dict())
    sums = [sum(array.astype("float64").sum() for array in arrays.values()) for arrays in (before, after)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-12)
    assert f"{sum(array.size for array in before.values()):,} numbers as before" in said


def _changed(plain, path, change):
    arrays = dict(read_weights(str(plain)).arrays)
    change(arrays)
    write_weights(path, arrays)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("fc.bias"), "it lacks fc.bias"),
        (lambda a: a.update(more=np.zeros(1, "f4")), "it also holds more"),
        (lambda a: a.update({"fc.weight": np.zeros((256, 8), "f4")}), "it has another shape of fc.weight"),
        (lambda a: a.update({"fc.bias": np.full(7, np.nan, "f4")}), "fc.bias holds NaN or infinity"),
        (lambda a: a.update({"fc.bias": np.zeros((), "f4")}), "another shape of"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(plain, change, message, tmp_path, capsys):
    source = _changed(plain, tmp_path / "changed.pdparams", change)
    assert octavize(source, tmp_path / "out.pdparams") == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error[")
    assert message in line
    assert not (tmp_path / "out.pdparams").exists()


def test_a_file_that_is_no_weights_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "page.pdparams").write_text("<html></html>")
    assert octavize(tmp_path / "page.pdparams", tmp_path / "out.pdparams") == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "an HTML page" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "--alpha is above 0, where the network is plain, and up to 1; got 0"),
        ({"alpha": 1.5}, "up to 1; got 1.5"),
        ({"alpha": "nan"}, "up to 1; got nan"),
        ({"alpha": None}, "arguments are required: --alpha"),
        ({"arch": "MobileNetV1_x0_26"}, "unknown backbone 'MobileNetV1_x0_26'; did you mean 'MobileNetV1_x0_25'"),
        ({"arch": "OctMobileNetV2_x1_0"}, "is no octave form of a plain network"),
        ({"arch": "ResNeXt50_32x4d", "alpha": 0.125}, "ResNeXt50_32x4d: alpha 0.125 splits 128 channels"),
        ({"alpha": 0.001}, "at alpha 0.001 is no octave form"),
    ],
)
def test_wrong_options_are_refused_in_one_line(plain, arguments, message, tmp_path, capsys):
    assert octavize(plain, tmp_path / "out.pdparams", **arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_nothing_is_replaced_unasked(plain, tmp_path, capsys):
    target = tmp_path / "out.pdparams"
    target.write_bytes(b"precious")
    assert octavize(plain, target) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"
    assert octavize(plain, target, "--overwrite") == 0
    assert read_weights(str(target)).arrays

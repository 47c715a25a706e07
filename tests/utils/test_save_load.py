"""Finding weights, and giving them to a model: all or none, with every misfit named."""

import logging
import pickle
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from ppcls import __version__
from ppcls.utils.checkpoint import CheckpointStore, Payload
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.manifest import Manifest, UnitInfo
from ppcls.utils.save_load import (
    Weights,
    find_prefix,
    load_into,
    model_arrays,
    parameter_names,
    read_weights,
    write_weights,
)


def _net(classes: int = 5) -> nn.Layer:
    return nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.Flatten(), nn.Linear(4, classes))


def _weights(net: nn.Layer, **changes: np.ndarray | None) -> Weights:
    """Random weights that fit ``net``, with arrays replaced, added, or (None) left out; ``_`` stands for a dot."""
    rng = np.random.default_rng(1)
    arrays = {name: rng.standard_normal(array.shape).astype("f4") for name, array in model_arrays(net).items()}
    arrays |= {name.replace("__", "."): array for name, array in changes.items()}
    return Weights({k: v for k, v in arrays.items() if v is not None}, Path("x.pdparams"), None, {})


def _refused(net: nn.Layer, weights: Weights, strict: bool = False, head: bool = True) -> WeightsError:
    before = model_arrays(net)
    with pytest.raises(WeightsError) as caught:
        load_into(net, weights, strict=strict, allow_head_mismatch=head)
    np.testing.assert_equal(model_arrays(net), before)
    return caught.value


def test_weights_that_fit_are_loaded_to_the_last_bit() -> None:
    net = _net()
    weights = _weights(net)
    report = load_into(net, weights, strict=True, allow_head_mismatch=False)
    np.testing.assert_equal(model_arrays(net), weights.arrays)
    assert report.loaded == list(net.state_dict())
    assert not any(report[1:])


def test_float32_weights_go_into_a_float64_model_and_back() -> None:
    wide = _net().astype("float64")
    weights = _weights(_net())
    load_into(wide, weights, strict=True, allow_head_mismatch=False)
    np.testing.assert_equal(model_arrays(wide), {k: v.astype("f8") for k, v in weights.arrays.items()})
    narrow = _net()
    double = weights._replace(arrays=model_arrays(wide))
    load_into(narrow, double, strict=True, allow_head_mismatch=False)
    np.testing.assert_equal(model_arrays(narrow), weights.arrays)


def test_strict_loading_names_every_kind_of_misfit_with_both_shapes() -> None:
    net = _net()
    changes = {"0__bias": None, "4__weight": np.zeros(1, "f4"), "0__weight": np.zeros((4, 1, 3, 3), "f4")}
    error = _refused(net, _weights(net, **changes), strict=True)
    assert error.slug == "mismatch"
    assert str(error).split("\n") == [
        "x.pdparams does not fit the model: 6 of its 8 tensors could be loaded; check Arch.name and its arguments",
        "  missing        1: 0.bias",
        "  unexpected     1: 4.weight",
        "  misshapen      1: 0.weight (float32 [4, 1, 3, 3] in the file, float32 [4, 3, 3, 3] in the model)",
    ]


def test_a_long_list_of_names_is_cut_after_five() -> None:
    net = _net()
    error = _refused(net, _weights(net, **{f"9__{n}": np.zeros(1, "f4") for n in range(8)}), strict=True)
    assert "unexpected     8: 9.0, 9.1, 9.2, 9.3, 9.4 and 3 more" in str(error)


def test_fine_tuning_loads_what_is_there_and_says_what_is_not(caplog: pytest.LogCaptureFixture) -> None:
    net = _net()
    before = model_arrays(net)
    weights = _weights(net, **{"0__bias": None, "4__weight": np.zeros(1, "f4")})
    with caplog.at_level(logging.INFO, "ppcls"):
        report = load_into(net, weights, strict=False, allow_head_mismatch=True)
    assert (report.missing, report.unexpected, len(report.loaded)) == (["0.bias"], ["4.weight"], 7)
    np.testing.assert_equal(net.state_dict()["0.bias"].numpy(), before["0.bias"])
    assert "loaded 7 tensors from x.pdparams" in caplog.text
    assert "x.pdparams lacks 0.bias; these keep their initial values" in caplog.text
    assert "x.pdparams also holds 4.weight, which the model does not have" in caplog.text


def test_a_classifier_of_other_classes_starts_fresh_when_fine_tuning(caplog: pytest.LogCaptureFixture) -> None:
    net = _net(classes=5)
    head = {name: array for name, array in model_arrays(net).items() if name.startswith("3.")}
    weights = _weights(_net(classes=1000))
    report = load_into(net, weights, strict=False, allow_head_mismatch=True)
    assert report.head_skipped == ["3.weight", "3.bias"]
    after = model_arrays(net)
    np.testing.assert_equal({name: after[name] for name in head}, head)
    np.testing.assert_equal(after["0.weight"], weights.arrays["0.weight"])
    assert "another number of classes; 3.weight, 3.bias keep their initial values" in caplog.text


def test_a_convolution_may_be_the_classifier() -> None:
    net = nn.Sequential(nn.Conv2D(3, 4, 3), nn.Conv2D(4, 5, 1))
    other = nn.Sequential(nn.Conv2D(3, 4, 3), nn.Conv2D(4, 9, 1))
    report = load_into(net, _weights(other), strict=False, allow_head_mismatch=True)
    assert report.head_skipped == ["1.weight", "1.bias"]


def test_a_classifier_of_other_classes_is_refused_elsewhere() -> None:
    error = _refused(_net(5), _weights(_net(1000)), strict=True, head=False)
    assert "3.weight (float32 [4, 1000] in the file, float32 [4, 5] in the model)" in str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {"0__weight": np.zeros((4, 1, 3, 3), "f4")},
        {"3__weight": np.zeros((8, 5), "f4")},
        {"3__weight": np.zeros((4, 7), "f4")},
        {"3__weight": np.zeros((8, 7), "f4"), "3__bias": np.zeros(7, "f4")},
        {"3__weight": np.zeros((4, 7), "f4"), "3__bias": np.zeros(6, "f4")},
        {"3__weight": np.zeros((4, 7), "f4"), "3__bias": np.zeros(7, "f4"), "0__bias": np.zeros(7, "f4")},
        {"3__weight": np.zeros((4, 7, 1), "f4"), "3__bias": np.zeros(7, "f4")},
        {"0__bias": np.zeros(4, "i8")},
    ],
)
def test_any_other_wrong_shape_is_refused_also_when_fine_tuning(changes: dict[str, np.ndarray]) -> None:
    net = _net()
    assert "misshapen" in str(_refused(net, _weights(net, **changes)))


def test_weights_of_another_network_are_refused_also_when_fine_tuning() -> None:
    weights = Weights({"a": np.zeros(1, "f4")}, Path("x.pdparams"), None, {})
    assert "0 of its 8 tensors could be loaded" in str(_refused(_net(), weights))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    net = _net()
    error = _refused(net, _weights(net, **{"3__bias": np.full(5, value, "f4")}))
    assert "x.pdparams: 3.bias holds NaN or infinity" in str(error)
    assert error.slug == "non-finite-weights"


@pytest.mark.parametrize("suffix", [".pdparams", ".safetensors"])
def test_weights_are_written_and_read_by_prefix_and_by_name(suffix: str, tmp_path: Path) -> None:
    net = _net()
    write_weights(tmp_path / f"a{suffix}", model_arrays(net), parameter_names(net))
    for source in (tmp_path / "a", tmp_path / f"a{suffix}"):
        weights = read_weights(str(source))
        np.testing.assert_equal(weights.arrays, model_arrays(net))
        assert (weights.path, weights.manifest) == (tmp_path / f"a{suffix}", None)
    assert weights.parameter_names == (parameter_names(net) if suffix == ".pdparams" else {})


def test_weights_are_not_written_under_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"weights are written as \.pdparams, \.pdema, \.safetensors"):
        write_weights(tmp_path / "a.pth", {})


def test_paddle_loads_a_written_model(tmp_path: Path) -> None:
    net, other = _net(), _net()
    write_weights(tmp_path / "a.pdparams", model_arrays(net), parameter_names(net))
    other.set_state_dict(paddle.load(str(tmp_path / "a.pdparams")))
    np.testing.assert_equal(model_arrays(other), model_arrays(net))


def _store(path: Path, weights: str = "raw") -> CheckpointStore:
    one = {"w": np.ones(2, "f4")}
    best = {"value": 0.5, "epoch": 1, "weights": weights}
    payload = Payload(one, {}, {"epoch": 1}, ema={"w": np.full(2, 2, "f4")})
    store = CheckpointStore(path)
    store.save(payload, UnitInfo(step=1, epoch=1, best=best), ("latest", "best_model"))
    return store


@pytest.mark.parametrize("weights", ["raw", "ema"])
def test_the_best_model_is_read_as_the_weights_that_earned_it(weights: str, tmp_path: Path) -> None:
    _store(tmp_path, weights)
    expected = {"raw": 1.0, "ema": 2.0}[weights]
    assert read_weights(str(tmp_path / "best_model")).arrays["w"].tolist() == [expected] * 2
    for name, value in {"latest": 1.0, "best_model.pdparams": 1.0, "best_model.pdema": 2.0}.items():
        assert read_weights(str(tmp_path / name)).arrays["w"].tolist() == [value] * 2


def test_a_unit_is_read_as_weights_and_verified(tmp_path: Path) -> None:
    store = _store(tmp_path)
    weights = read_weights(str(store.units()[0]))
    assert weights.manifest.info.step == 1
    path = weights.path
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    for source in (path, path.with_suffix(""), tmp_path / "latest"):
        with pytest.raises(WeightsError, match="has sha256"):
            read_weights(str(source))


def test_the_folder_best_model_of_paddleclas_is_read(tmp_path: Path) -> None:
    (tmp_path / "best_model").mkdir()
    (tmp_path / "best_model" / "model.pdparams").write_bytes(pickle.dumps({"w": np.ones(2)}, 4))
    assert read_weights(str(tmp_path / "best_model")).arrays["w"].tolist() == [1, 1]
    (tmp_path / "best_model.pdparams").write_bytes(pickle.dumps({"w": np.zeros(2)}, 4))
    assert read_weights(str(tmp_path / "best_model")).arrays["w"].tolist() == [0, 0]


def test_averages_of_paddleclas_are_recognised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for suffix in ("pdparams", "pdema"):
        (tmp_path / f"latest.{suffix}").write_bytes(pickle.dumps({"w": np.ones(2)}, 4))
    with caplog.at_level(logging.INFO, "ppcls"):
        read_weights(str(tmp_path / "latest"))
    assert "PaddleClas 2.6 keeps averaged weights in .pdparams, raw ones in .pdema" in caplog.text


def test_weights_that_are_not_there_are_a_config_error_that_says_what_is(tmp_path: Path) -> None:
    write_weights(tmp_path / "best_model.pdparams", {"w": np.ones(2)})
    with pytest.raises(ConfigError, match=r"best_modle does not exist.*; did you mean '.*best_model'\?"):
        read_weights(str(tmp_path / "best_modle"))
    with pytest.raises(ConfigError, match=r"is a folder without model.pdparams; .*best_model"):
        read_weights(str(tmp_path))


def test_weights_changed_after_loading_do_not_change_the_model(tmp_path: Path) -> None:
    net = _net()
    write_weights(tmp_path / "a.safetensors", model_arrays(net))
    load_into(net, read_weights(str(tmp_path / "a")), strict=True, allow_head_mismatch=False)
    before = model_arrays(net)
    (tmp_path / "a.safetensors").write_bytes(b"")
    np.testing.assert_equal(model_arrays(net), before)


def test_a_prefix_is_found_with_and_without_the_name_of_the_network(tmp_path: Path) -> None:
    home = tmp_path / "output" / "ResNet50" / "latest"
    write_weights(Path(f"{home}.pdparams"), {"w": np.ones(2)})
    for asked in ("output/ResNet50/latest", "output/latest"):
        assert find_prefix(str(tmp_path / asked), "ResNet50") == str(home)
    flat = tmp_path / "flat" / "latest"
    write_weights(Path(f"{flat}.pdparams"), {"w": np.ones(2)})
    assert find_prefix(str(tmp_path / "flat" / "ResNet50" / "latest"), "ResNet50") == str(flat)
    assert find_prefix("https://x/latest.pdparams", "ResNet50") == "https://x/latest.pdparams"
    with pytest.raises(ConfigError, match=r"no weights at .*output/best, nor at .*output/ResNet50/best"):
        find_prefix(str(tmp_path / "output" / "best"), "ResNet50")


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_another_precision_are_converted_and_the_log_says_so(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    net, weights = _net(), _weights(_net())
    other = {name: array.astype(kind) for name, array in weights.arrays.items()}
    with caplog.at_level(logging.INFO, logger="ppcls"):
        load_into(net, weights._replace(arrays=other), strict=True, allow_head_mismatch=False)
    assert f"converted 8 of them from {kind} to float32" in caplog.messages
    np.testing.assert_equal(model_arrays(net), {k: v.astype("f4") for k, v in other.items()})


def test_values_too_large_for_the_precision_of_the_model_are_refused() -> None:
    net = _net()
    error = _refused(net, _weights(net, **{"0__bias": np.array([0, 1e39, 0, 0])}))
    assert str(error) == "x.pdparams: 0.bias holds 1e+39 as float64, too large for float32; use other weights"
    assert error.slug == "non-finite-weights"


def test_a_misfit_of_weights_that_another_version_saved_names_both(tmp_path: Path) -> None:
    net = _net()
    manifest = Manifest(UnitInfo(1, 1, versions={"ppcls": "0.0.1"}), {}, "", ())
    error = _refused(net, _weights(net, **{"0__weight": None})._replace(manifest=manifest), strict=True)
    assert f"; ppcls 0.0.1 saved it, this is {__version__}; check Arch.name" in str(error)

"""Checkpoints: committed whole, verified when read, found again, pointed at, pruned."""

import dataclasses
import json
import logging
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppcls.utils import checkpoint
from ppcls.utils.checkpoint import CheckpointStore, Payload
from ppcls.utils.errors import ConfigError, NonFiniteError, PpclsError, WeightsError
from ppcls.utils.manifest import UnitInfo

ROOT = Path(__file__).parents[2]


def _payload(value: float = 1.0, *, ema: bool = False) -> Payload:
    weight = np.full((2, 3), value, "f4")
    return Payload(
        params={"fc.weight": weight, "fc.bias": np.zeros(3, "f4")},
        opt={"linear_0.w_0_velocity_0": weight * 2, "LR_Scheduler": {"last_epoch": 4, "last_lr": 0.1}},
        states={"epoch": 3, "metric": 0.5, "rng": [[-1, 7, 0, [1, 2, 3]]]},
        ema={"fc.weight": weight * 3, "fc.bias": np.zeros(3, "f4")} if ema else None,
        parameter_names={"fc.weight": "linear_0.w_0", "fc.bias": "linear_0.b_0"},
    )


def _save(store: CheckpointStore, step: int, *names: str, suffix: int = 0) -> Path:
    return store.save(_payload(float(step)), UnitInfo(step=step, epoch=1, suffix=suffix), names or ("latest",))


def _step(store: CheckpointStore) -> float:
    """The step of the newest unit, as its weights tell it."""
    return float(store.newest().payload.params["fc.weight"][0, 0])


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    (tmp_path / "run").mkdir()
    return CheckpointStore(tmp_path / "run")


@pytest.mark.parametrize("ema", [True, False])
def test_what_is_saved_comes_back(store: CheckpointStore, ema: bool) -> None:
    best = {"value": 0.5, "epoch": 2, "weights": "raw"}
    info = UnitInfo(step=12, epoch=3, batch=4, ranks=2, config={"Optimizer": "ab12"}, best=best)
    path = store.save(_payload(ema=ema), info)
    assert path == store.folder / "step-000000012-0"
    for source in (path, store.run_folder / "latest"):
        unit = CheckpointStore.load(source)
        saved = _payload(ema=ema)
        np.testing.assert_equal(unit.payload.params, saved.params)
        np.testing.assert_equal(unit.payload.opt, saved.opt)
        np.testing.assert_equal(unit.payload.ema, saved.ema)
        assert unit.payload.states == saved.states
        assert unit.payload.parameter_names == saved.parameter_names
        assert dataclasses.replace(unit.manifest.info, versions={}) == info


def test_the_manifest_says_where_and_with_what_it_was_taken(store: CheckpointStore) -> None:
    unit = store.save(_payload(), UnitInfo(step=12, epoch=3, device="cpu", versions={"paddle": "3.3.1"}))
    content = json.loads((unit / "model.manifest.json").read_text())
    assert (content["format"], content["step"], content["epoch"], content["ranks"]) == (1, 12, 3, 1)
    assert set(content["versions"]) == {"paddle", "python", "numpy", "ppcls"}
    assert {s: mark["bytes"] for s, mark in content["files"].items()} == {
        s: (unit / f"model{s}").stat().st_size for s in (".pdparams", ".pdopt", ".pdstates")
    }
    assert {path.stat().st_mode & 0o777 for path in unit.iterdir()} == {0o644}


def test_names_are_links_to_the_newest_unit_they_were_saved_for(store: CheckpointStore) -> None:
    first = _save(store, 1, "latest", "best_model")
    second = _save(store, 2, "latest", "epoch_2")
    for name, unit in {"latest": second, "best_model": first, "epoch_2": second}.items():
        for suffix in (".pdparams", ".pdopt", ".pdstates", ".manifest.json"):
            assert (store.run_folder / f"{name}{suffix}").samefile(unit / f"model{suffix}")


def test_averages_of_an_older_unit_do_not_stay_under_its_name(store: CheckpointStore) -> None:
    store.save(_payload(ema=True), UnitInfo(step=1, epoch=1))
    assert (store.run_folder / "latest.pdema").exists()
    _save(store, 2)
    assert not (store.run_folder / "latest.pdema").exists()


def test_steps_are_ordered_as_numbers_and_an_evaluated_one_comes_after(store: CheckpointStore) -> None:
    for step, suffix in ((2_000_000_000, 0), (999_999_999, 0), (5, 1), (5, 0), (1_000_000_000, 0)):
        _save(store, step, suffix=suffix)
    order = [path.name for path in store.units()]
    assert order == [
        *("step-000000005-0", "step-000000005-1", "step-999999999-0", "step-1000000000-0", "step-2000000000-0"),
    ]
    assert _step(store) == 2e9


def test_a_unit_that_stands_is_left_as_it_is_and_its_names_still_move(store: CheckpointStore) -> None:
    unit = _save(store, 1)
    before = (unit / "model.pdparams").stat().st_ino
    assert store.save(_payload(99.0), UnitInfo(step=1, epoch=1), ("best_model",)) == unit
    assert (unit / "model.pdparams").stat().st_ino == before
    assert CheckpointStore.load(store.run_folder / "best_model").payload.params["fc.weight"][0, 0] == 1


def test_a_unit_that_stands_broken_is_set_aside_and_written_again(store: CheckpointStore) -> None:
    unit = _save(store, 1)
    _flip(unit / "model.pdparams")
    _save(store, 1)
    assert _step(store) == 1
    assert (store.folder / "bad-step-000000001-0").is_dir()


def test_no_units_are_a_fresh_start(store: CheckpointStore) -> None:
    assert store.newest() is None
    assert store.units() == []


def _flip(path: Path) -> None:
    """Change one bit, in a file of its own: the names of a unit are links."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1])


def _newer(path: Path) -> None:
    content = json.loads(path.read_bytes())
    path.unlink()
    path.write_text(json.dumps(content | {"format": 2}))


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "bit": ("model.pdparams", _flip, r"has sha256 [0-9a-f]{64}, its manifest says [0-9a-f]{64}"),
    "bit of the optimizer": ("model.pdopt", _flip, "has sha256"),
    "cut": ("model.pdstates", _cut, r"has \d+ bytes, its manifest says \d+"),
    "gone": ("model.pdopt", os.unlink, r"is missing; its manifest lists \d+ bytes"),
    "one too many": ("model.pdema", Path.touch, "holds model.pdema, which its manifest does not list"),
    "no manifest": ("model.manifest.json", os.unlink, "has no model.manifest.json"),
    "broken manifest": ("model.manifest.json", _cut, "is damaged: JSONDecodeError"),
    "newer manifest": ("model.manifest.json", _newer, "format 2, known is 1: written by a newer version"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_bad_newest_unit_is_named_set_aside_and_the_one_before_is_used(
    kind: str, store: CheckpointStore, caplog: pytest.LogCaptureFixture
) -> None:
    name, damage, reason = DAMAGE[kind]
    _save(store, 1)
    unit = _save(store, 2)
    damage(unit / name)
    with pytest.raises(WeightsError, match=reason) as caught:
        CheckpointStore.load(unit)
    assert caught.value.slug == "damaged"
    assert _step(store) == 1
    assert "bad-step-000000002-0" in caplog.text
    assert str(caught.value) in caplog.text
    assert (store.folder / "bad-step-000000002-0").is_dir()
    assert CheckpointStore.load(store.run_folder / "latest").payload.params["fc.weight"][0, 0] == 1


def test_units_of_which_none_is_whole_are_an_error_with_every_reason_and_stay(store: CheckpointStore) -> None:
    _flip(_save(store, 1) / "model.pdparams")
    _cut(_save(store, 2) / "model.pdopt")
    for _ in range(2):  # also when started again
        with pytest.raises(WeightsError, match=r"step-000000002-0: .*bytes.*; step-000000001-0: .*sha256"):
            store.newest()
    assert len(store.units()) == 2


def test_units_set_aside_are_never_a_fresh_start(store: CheckpointStore) -> None:
    _save(store, 1).rename(store.folder / "bad-step-000000001-0")
    with pytest.raises(WeightsError, match="all were set aside before"):
        store.newest()


def test_a_tensor_that_is_not_finite_is_never_saved(store: CheckpointStore) -> None:
    _save(store, 1)
    for part in ("params", "opt", "ema"):
        arrays = {"w": np.array([1.0, np.nan], "f4")}
        with pytest.raises(NonFiniteError, match="w holds NaN or infinity at step 2; nothing is saved"):
            store.save(dataclasses.replace(_payload(), **{part: arrays}), UnitInfo(step=2, epoch=1))
    bits = {"w": np.array([0x7F80], "u2")}  # bfloat16 infinity, as Paddle hands it out
    with pytest.raises(NonFiniteError, match="w holds NaN"):
        store.save(dataclasses.replace(_payload(), params=bits), UnitInfo(step=2, epoch=1))
    assert _step(store) == 1


def test_a_value_that_could_not_be_read_back_is_never_saved(store: CheckpointStore) -> None:
    with pytest.raises(WeightsError, match="pathlib"):
        store.save(dataclasses.replace(_payload(), states={"where": Path("x")}), UnitInfo(step=1, epoch=1))
    assert store.newest() is None
    assert os.listdir(store.folder) == []


def test_pruning_keeps_the_newest_and_what_names_point_at(store: CheckpointStore) -> None:
    _save(store, 1, "latest", "best_model")
    for step in (2, 3, 4):
        _save(store, step)
    store.prune(keep_last=2)
    assert [path.name for path in store.units()] == ["step-000000003-0", "step-000000004-0"]
    assert CheckpointStore.load(store.run_folder / "best_model").payload.params["fc.weight"][0, 0] == 1
    store.prune(keep_last=0)
    assert [path.name for path in store.units()] == ["step-000000004-0"]
    store.clean()
    assert CheckpointStore.load(store.run_folder / "best_model").payload.params["fc.weight"][0, 0] == 1


def test_a_unit_that_cannot_be_pruned_is_a_warning(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(16, "Device or resource busy")

    _save(store, 1)
    _save(store, 2)
    monkeypatch.setattr(checkpoint.shutil, "rmtree", refuse)
    store.prune(keep_last=1)
    assert "step-000000001-0 cannot be deleted (Device or resource busy)" in caplog.text
    assert _step(store) == 2


def test_what_a_killed_process_left_is_removed_and_its_links_are_finished(store: CheckpointStore) -> None:
    _save(store, 1, "latest", "best_model")
    new = _save(store, 2, "other")
    manifest = json.loads((new / "model.manifest.json").read_text())
    (new / "model.manifest.json").unlink()
    (new / "model.manifest.json").write_text(json.dumps(manifest | {"names": ["latest", "best_model"]}))
    (store.folder / ".tmp-step-000000003-0-77").mkdir()
    (store.folder / ".del-step-000000000-0").mkdir()
    (store.run_folder / ".link-latest.pdopt-77").touch()
    shutil.copy(new / "model.pdparams", store.run_folder / "latest.pdparams")  # killed between two links
    store.clean()
    assert sorted(os.listdir(store.folder)) == ["step-000000001-0", "step-000000002-0"]
    assert not [name for name in os.listdir(store.run_folder) if name.startswith(".")]
    for name in ("latest", "best_model"):
        assert CheckpointStore.load(store.run_folder / name).payload.params["fc.weight"][0, 0] == 2


def test_a_second_trainer_in_the_folder_is_refused(store: CheckpointStore) -> None:
    with store.lock(), pytest.raises(ConfigError, match=rf"in use by pid {os.getpid()} on") as caught:
        store.lock()
    assert (caught.value.code, caught.value.slug) == (2, "locked")


@pytest.mark.parametrize("as_list", [True, False])
def test_a_checkpoint_of_paddleclas_loads_with_one_warning(
    as_list: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opt = _payload().opt
    content = {
        "pdparams": _payload().params,
        "pdopt": [opt] if as_list else opt,
        "pdstates": {"epoch": 7, "metric": 0.1},
    }
    for suffix, value in content.items():
        (tmp_path / f"latest.{suffix}").write_bytes(pickle.dumps(value, 2))
    with caplog.at_level(logging.WARNING, "ppcls"):
        unit = CheckpointStore.load(tmp_path / "latest")
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'latest'} has no manifest, so nothing tells whether it is undamaged"
    ]
    assert unit.manifest is None
    assert unit.payload.states["epoch"] == 7
    np.testing.assert_equal(unit.payload.opt, opt)


def test_a_prefix_without_optimizer_state_cannot_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "latest.pdparams").write_bytes(pickle.dumps(_payload().params, 2))
    with pytest.raises(ConfigError, match=r"latest.pdopt does not exist; to resume, .*latest needs .pdparams"):
        CheckpointStore.load(tmp_path / "latest")


def test_hostile_states_are_refused_even_when_the_manifest_fits(store: CheckpointStore, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "trace"),)

    for suffix, value in {"pdparams": _payload().params, "pdopt": {}, "pdstates": {"a": Attack()}}.items():
        (tmp_path / f"x.{suffix}").write_bytes(pickle.dumps(value, 4))
    with pytest.raises(WeightsError, match=r"posix.mkdir") as caught:
        CheckpointStore.load(tmp_path / "x")
    assert caught.value.slug == "unsafe"
    assert not (tmp_path / "trace").exists()


def test_a_disk_known_to_be_too_small_is_not_written_to(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(store, 1)
    usage = shutil.disk_usage(store.folder)._replace(free=50)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(PpclsError, match=r"it needs 72 bytes and 50 are free") as caught:
        _save(store, 2)  # 60 bytes of arrays, and a fifth more
    assert (caught.value.code, caught.value.slug) == (1, "disk-full")
    assert os.listdir(store.folder) == ["step-000000001-0"]


def test_a_disk_that_fills_up_while_writing_leaves_the_units_before(store: CheckpointStore) -> None:
    _save(store, 1)
    large = dataclasses.replace(_payload(), params={"w": np.zeros(2**18, "f4")})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, limits[1]))
    try:
        with pytest.raises(PpclsError, match=r"cannot write .*step-000000002-0: File too large") as caught:
            store.save(large, UnitInfo(step=2, epoch=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (caught.value.code, caught.value.slug) == (1, "disk-full")
    assert os.listdir(store.folder) == ["step-000000001-0"]
    assert _step(store) == 1


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_system_call_before_the_commit_leaves_nothing(
    call: str, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    _save(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(PpclsError, match="Input/output error") as caught:
            _save(store, 2)
    assert (caught.value.code, caught.value.slug) == (1, "io-error")
    assert os.listdir(store.folder) == ["step-000000001-0"]


def test_a_run_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(PpclsError, match="is the folder there and writable"):
        _save(CheckpointStore(tmp_path / "run"), 1)


WRITER = """
import sys, numpy as np
from pathlib import Path
from ppcls.utils.checkpoint import CheckpointStore, Payload
from ppcls.utils.manifest import UnitInfo
assert "paddle" not in sys.modules
store = CheckpointStore(Path(sys.argv[1]))
store.clean()
unit = store.newest()
step = unit.manifest.info.step if unit else 0
while True:
    step += 1
    w = np.full(50_000, step, "f4")
    names = ("latest", "best_model") if step % 2 else ("latest",)
    store.save(Payload({"w": w}, {"w_velocity_0": w}, {"epoch": step}), UnitInfo(step=step, epoch=1), names)
    print(step, flush=True)
    store.prune(3)
"""


def test_ten_kills_at_random_instants_lose_nothing_that_was_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = CheckpointStore(tmp_path)
    reported = 0
    for _ in range(10):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        reported = int(writer.stdout.readline())
        time.sleep(rng.uniform(0, 0.1))
        writer.kill()
        reported = max([reported, *map(int, writer.communicate()[0].split("\n")[:-1])])
        for unit in store.units():
            CheckpointStore.load(unit)
        newest = store.newest()
        assert newest.manifest.info.step >= reported
        assert newest.payload.params["w"][0] == newest.manifest.info.step
    store.clean()
    assert sorted(os.listdir(store.folder)) == [unit.name for unit in store.units()]
    assert CheckpointStore.load(tmp_path / "latest").manifest.info.step == store.newest().manifest.info.step
    best = CheckpointStore.load(tmp_path / "best_model").manifest.info.step
    assert best == store.newest().manifest.info.step - 1 + store.newest().manifest.info.step % 2

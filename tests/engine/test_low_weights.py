"""AMP at level O2: weights of 16 bits in the network, float32 in averages, checkpoints and what follows from them."""

from pathlib import Path

import half_on_cpu
import misdeeds  # noqa: F401  registers SignalAt
import numpy as np
import paddle
import pytest
from tiny_run import NAME, run, same, train, weights, write_config

from ppcls.config.schema import AMPConfig
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.precision import Precision
from ppcls.engine.state import StepOutput, TrainState
from ppcls.registry import HOOKS
from ppcls.utils.checkpoint import CheckpointStore, Payload

O2 = ("AMP={level: O2, dtype: bfloat16}", "EMA={decay: 0.75}")
FIRST = ("Global.on_nan=rollback",)  # which saves what a run starts from


@HOOKS.register
class KeepLow(Hook):
    """Keeps the types of the network's tensors, and the float32 weights after every update."""

    types: dict[str, str]
    wide: list[dict[str, np.ndarray]]

    def train_begin(self, state: TrainState) -> None:
        type(self).types = {name: str(tensor.dtype)[7:] for name, tensor in state.network.state_dict().items()}
        type(self).wide = []

    def step_end(self, state: TrainState, output: StepOutput) -> None:
        self.wide.append({name: value.numpy() for name, value in state.precision.weights(state.network).items()})


@pytest.fixture(scope="module", autouse=True)
def _low() -> object:
    with pytest.MonkeyPatch.context() as patched:
        half_on_cpu.pretend_low_weights(patched)
        yield


@pytest.fixture(scope="module")
def lowered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("lowered"), *O2, *FIRST, "Hooks=[KeepLow: {}]")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("plain"), *FIRST, "EMA={decay: 0.75}", "Global.epochs=1")


def unit(folder: Path, step: int, suffix: int) -> Payload:
    return CheckpointStore.load(folder / "checkpoints" / f"step-{step:09d}-{suffix}").payload


def test_norms_alone_keep_float32_in_the_network(lowered: Path) -> None:
    vectors = {name for name, value in weights(lowered / "latest").items() if value.ndim == 1}
    kinds = {name: "float32" if name in vectors - {"head.5.bias"} else "bfloat16" for name in KeepLow.types}
    assert kinds == KeepLow.types


def test_a_training_judges_its_low_weights_and_their_average_under_autocast(tmp_path: Path) -> None:
    before = half_on_cpu.Cast.entered
    train(tmp_path, *O2, "Global.epochs=1")
    assert half_on_cpu.Cast.entered - before == 3 + 2 * 2  # updates; batches of both evaluations


def test_a_run_starts_from_the_float32_weights_and_not_from_what_16_bits_keep_of_them(
    lowered: Path, plain: Path
) -> None:
    found, expected = unit(lowered, 0, 0).params, unit(plain, 0, 0).params
    assert same(found, expected)


def test_saved_weights_are_the_float32_ones_that_the_optimizer_moved(lowered: Path) -> None:
    saved = weights(lowered / "latest")
    assert same(saved, KeepLow.wide[-1])
    assert {str(value.dtype) for value in saved.values()} == {"float32"}
    digits = {name for name, value in saved.items() if (value.view(np.uint32) & 0xFFFF).any()}
    low = {name for name, kind in KeepLow.types.items() if kind == "bfloat16"}
    assert low <= digits  # more than bfloat16 has
    assert paddle.load(str(lowered / "latest.pdparams"))["conv1.0.weight"].dtype == paddle.float32


def test_the_average_follows_the_float32_weights(lowered: Path) -> None:
    expected = unit(lowered, 0, 0).params
    for after in KeepLow.wide:
        expected = {name: 0.75 * expected[name] + 0.25 * after[name] for name in expected}
    found = unit(lowered, 6, 1).ema
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_optimizer_state_has_the_names_and_shapes_of_a_plain_run(lowered: Path, plain: Path) -> None:
    found, expected = (paddle.load(str(folder / "latest.pdopt")) for folder in (lowered, plain))
    assert set(found) == set(expected)
    for name in set(expected) - {"LR_Scheduler"}:
        assert (found[name].shape, found[name].dtype) == (expected[name].shape, paddle.float32)


def test_an_interrupted_run_ends_as_an_unbroken_one(lowered: Path, tmp_path: Path) -> None:
    train(tmp_path, *O2, *FIRST, "Hooks=[SignalAt: {step: 4}]", code=143)
    assert run("train", write_config(tmp_path), *O2, *FIRST, flags=("--resume",)) == 0
    folder = tmp_path / "out" / NAME
    assert same(weights(folder / "latest"), weights(lowered / "latest"))
    for name in ("ema", "opt"):
        one, other = (getattr(unit(place, 6, 1), name) for place in (folder, lowered))
        assert same(*({k: v for k, v in part.items() if isinstance(v, np.ndarray)} for part in (one, other)))


def test_a_checkpoint_goes_on_without_mixed_precision(tmp_path: Path) -> None:
    short = "Global.epochs=1"
    train(tmp_path, *O2, short, "Hooks=[SignalAt: {step: 2}]", code=143)
    words = ("AMP.use_amp=False", "EMA={decay: 0.75}", short)
    assert run("train", write_config(tmp_path), *words, flags=("--resume", "--allow-config-change")) == 0


def test_eval_and_export_read_the_weights_as_any_others(lowered: Path, tmp_path: Path) -> None:
    source = f"Global.pretrained_model={lowered / 'latest'}"
    assert run("eval", write_config(tmp_path), source) == 0
    assert run("export", write_config(tmp_path), source) == 0


def test_without_master_weights_what_is_kept_is_float32_all_the_same() -> None:
    layer = paddle.nn.Linear(3, 2)
    start = {name: value.numpy() for name, value in layer.state_dict().items()}
    rule = paddle.optimizer.Momentum(0.1, parameters=layer.parameters())
    precision = Precision(AMPConfig(level="O2", dtype="bfloat16"), keeps_masters=False)
    precision.lower(layer, rule)
    for name, tensor in precision.weights(layer).items():
        assert tensor.dtype == paddle.float32
        np.testing.assert_allclose(tensor.numpy(), start[name], rtol=2**-7)
    assert "master_weights" not in rule.state_dict()

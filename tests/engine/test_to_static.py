"""``Global.to_static``: the compiled step computes what the plain one does, and nothing else notices."""

import re
from pathlib import Path

import misdeeds  # noqa: F401  registers SignalAt
import numpy as np
import paddle
import pytest
from tiny_run import NAME, TIPC, run, same, train, weights, write_config

from ppcls.arch.layers.depthwise import DepthwiseConv2D
from ppcls.config import load_run
from ppcls.engine import training as module
from ppcls.engine.train import train_step
from ppcls.engine.training import Training
from ppcls.utils.errors import ConfigError

ON = "Global.to_static=True"
pytestmark = pytest.mark.filterwarnings(  # Paddle of its own code
    "ignore:Tensor do not have 'place' interface", "ignore:(?s).*The behavior of expression"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DepthwiseConv2D, "forward", _watched(DepthwiseConv2D.forward))
        return train(tmp_path_factory.mktemp("compiled"), ON, "EMA={decay: 0.5}")


_EAGER: list[bool] = []  # whether the layer trains, at every call that was no tracing


def _watched(forward: object) -> object:
    def call(self: DepthwiseConv2D, x: paddle.Tensor) -> paddle.Tensor:
        if paddle.in_dynamic_mode():
            _EAGER.append(self.training)
        return forward(self, x)

    return call


def losses(folder: Path, *words: str) -> list[float]:
    """Of six updates or three, and the names in the state dict."""
    state, loader, freq = _training(folder, *words)
    values = []
    for epoch in range(2):
        batches = list(loader.batches(epoch))
        for start in range(0, len(batches), freq):
            values.append(float(train_step(state, batches[start : start + freq]).losses["loss"]))
    return values


def _training(folder: Path, *words: str) -> tuple[object, object, int]:
    folder.mkdir(exist_ok=True)
    training = Training(load_run(write_config(folder), words, "train").stages[0])
    training.start_from(None)
    training.state.model.train()
    return training.state, training.loader, training.plan.update_freq


@pytest.mark.parametrize("freq", [1, 2])
def test_every_loss_is_that_of_the_plain_step(tmp_path: Path, freq: int) -> None:
    words = (f"Global.update_freq={freq}",)
    expected = losses(tmp_path / "plain", *words)
    found = losses(tmp_path / "compiled", *words, ON)
    assert len(found) == (6 if freq == 1 else 4)
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert np.ptp(expected) > 1e-3


def test_the_step_runs_the_program_and_the_evaluation_the_network(compiled: Path) -> None:
    assert _EAGER
    assert not any(_EAGER)


def test_a_checkpoint_has_the_names_and_the_optimizer_state_of_a_plain_run(compiled: Path, tmp_path: Path) -> None:
    plain = train(tmp_path, "EMA={decay: 0.5}")
    found, expected = weights(compiled / "latest"), weights(plain / "latest")
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    states = [paddle.load(str(folder / "latest.pdopt")) for folder in (compiled, plain)]
    assert set(states[0]) == set(states[1])


def test_an_interrupted_compiled_run_ends_as_an_unbroken_one(compiled: Path, tmp_path: Path) -> None:
    words = (ON, "EMA={decay: 0.5}")
    train(tmp_path, *words, "Hooks=[SignalAt: {step: 4}]", code=143)
    assert run("train", write_config(tmp_path), *words, flags=("--resume",)) == 0
    assert same(weights(tmp_path / "out" / NAME / "latest"), weights(compiled / "latest"))


def test_the_line_of_the_tipc_chain_trains_and_prints_its_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, *TIPC, "Global.log_ranks=0,1,2,3,4,5,6,7", ON)
    assert len(re.findall(r"Iter: .* loss: \d+\.\d+,", capsys.readouterr().out)) == 4


def test_a_compiled_program_and_statistics_over_ranks_refuse_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_run(write_config(tmp_path), [ON, "Arch.use_sync_bn=True"], "train").stages[0].config
    module._require_compilable(config)
    monkeypatch.setattr(module.dist, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"Global\.to_static does not go with Arch\.use_sync_bn on several ranks"):
        module._require_compilable(config)

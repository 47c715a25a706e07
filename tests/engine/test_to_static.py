"""``Global.to_static``: the compiled step computes what the plain one does, and nothing else notices."""

import re
from pathlib import Path

import misdeeds  # noqa: F401  registers SignalAt
import numpy as np
import paddle
import pytest
from rank_training import Case, stage_of
from tiny_run import TIPC, run, same, train, weights, write_config

from ppcls.arch.layers.depthwise import DepthwiseConv2D
from ppcls.config import load_run
from ppcls.engine import training as module
from ppcls.engine.train import train_step
from ppcls.engine.training import Training
from ppcls.utils.errors import ConfigError

ON = "Global.to_static=True"
SMALL = ("Arch={name: WithNorm, class_num: 4}", "EMA={decay: 0.5}")  # octave blocks in float64
pytestmark = pytest.mark.filterwarnings(  # Paddle of its own code
    "ignore:Tensor do not have 'place' interface", "ignore:(?s).*The behavior of expression"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("compiled"), *SMALL, ON).with_name("WithNorm")


def losses(folder: Path, freq: int, *settings: str) -> list[float]:
    """Of the updates of two epochs; the last batch of an epoch is smaller."""
    folder.mkdir()
    training = Training(stage_of(folder, Case({"name": "WithNorm"}, freq, settings=settings)))
    training.start_from(None)
    training.state.model.train()
    values = []
    for epoch in range(2):
        batches = list(training.loader.batches(epoch))
        for start in range(0, len(batches), freq):
            output = train_step(training.state, batches[start : start + freq])
            values.append(float(output.losses["loss"]))
    return values


@pytest.mark.parametrize("freq", [1, 2])
def test_every_loss_is_that_of_the_plain_step(tmp_path: Path, freq: int) -> None:
    expected, found = losses(tmp_path / "plain", freq), losses(tmp_path / "compiled", freq, ON)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert np.ptp(expected) > 1e-3


def test_the_step_runs_the_program_and_an_evaluation_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[bool] = []
    forward = DepthwiseConv2D.forward

    def watched(self: DepthwiseConv2D, x: paddle.Tensor) -> paddle.Tensor:
        if paddle.in_dynamic_mode():
            trained.append(self.training)
        return forward(self, x)

    monkeypatch.setattr(DepthwiseConv2D, "forward", watched)
    train(tmp_path, SMALL[0], ON)
    assert trained
    assert not any(trained)


def test_a_checkpoint_has_the_names_and_numbers_of_a_plain_run(compiled: Path, tmp_path: Path) -> None:
    plain = train(tmp_path, *SMALL).with_name("WithNorm")
    for suffix in (".pdparams", ".pdema", ".pdopt"):
        found, expected = (paddle.load(f"{folder / 'latest'}{suffix}") for folder in (compiled, plain))
        assert list(found) == list(expected)
        for name in set(expected) - {"LR_Scheduler", "StructuredToParameterName@@"}:
            np.testing.assert_allclose(found[name].numpy(), expected[name].numpy(), atol=1e-9, err_msg=name)


def test_an_interrupted_compiled_run_ends_as_an_unbroken_one(compiled: Path, tmp_path: Path) -> None:
    folder = train(tmp_path, *SMALL, ON, "Hooks=[SignalAt: {step: 4}]", code=143).with_name("WithNorm")
    assert run("train", write_config(tmp_path), *SMALL, ON, flags=("--resume",)) == 0
    assert same(weights(folder / "latest"), weights(compiled / "latest"))


def test_the_line_of_the_tipc_chain_trains_and_prints_its_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_size = "DataLoader.Train.dataset.samples=16"
    train(tmp_path, *TIPC, one_size, "Global.log_ranks=0,1,2,3,4,5,6,7", ON)
    assert len(re.findall(r"Iter: .* loss: \d+\.\d+,", capsys.readouterr().out)) == 2


def test_a_compiled_program_and_statistics_over_ranks_refuse_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = load_run(write_config(tmp_path), [ON, "Arch.use_sync_bn=True"], "train").stages[0]
    Training(stage)
    monkeypatch.setattr(module.dist, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"Global\.to_static does not go with Arch\.use_sync_bn on several ranks"):
        Training(stage)

"""Mixed precision: on a CPU it gives way with one warning; what a loss scale does, by Paddle's scaler forced on."""

import re
from pathlib import Path

import half_on_cpu
import misdeeds  # noqa: F401  registers SignalAt
import numpy as np
import paddle
import pytest
from bad_runs import ends
from tiny_run import NAME, ROOT, TIPC, events, run, same, train, weights, write_config

from ppcls.config.schema import AMPConfig
from ppcls.engine.evaluate import Judge
from ppcls.engine.precision import Overflow, Precision
from ppcls.utils.checkpoint import CheckpointStore, Payload

AMP = ("AMP.use_amp=True", "AMP.scale_loss=128", "AMP.use_dynamic_loss_scaling=True", "AMP.level=O1")
FIXED = "AMP={scale_loss: 1024}"
DYNAMIC = "AMP={scale_loss: 128, use_dynamic_loss_scaling: True}"
EMA = "EMA={decay: 0.5}"
SHORT = ("Global.epochs=1", "Global.eval_during_train=False")  # three updates
OVERFLOW = "Hooks=[OverflowFrom: {update: 1}]"
SAID = "AMP: off, although AMP.use_amp asks for level {}: paddle has no mixed precision on cpu; this run computes in"


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    half_on_cpu.pretend(monkeypatch)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("plain"))


def unit(folder: Path, step: int, suffix: int = 0) -> Payload:
    return CheckpointStore.load(folder / "checkpoints" / f"step-{step:09d}-{suffix}").payload


def moments(payload: Payload) -> dict[str, np.ndarray]:
    return {name: value for name, value in payload.opt.items() if isinstance(value, np.ndarray)}


def test_the_mixed_precision_line_of_the_tipc_chain_trains_on_a_cpu_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, *TIPC, *AMP)
    printed = capsys.readouterr().out
    assert printed.count(SAID.format("O1")) == printed.count("AMP: ") == 1
    without = tmp_path / "without"
    without.mkdir()
    expected = train(without, *TIPC, "AMP.use_amp=False")
    assert "AMP: off\n" in capsys.readouterr().out
    assert same(weights(folder / "latest"), weights(expected / "latest"))


def test_every_command_follows_a_recipe_with_the_whole_of_amp_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "AMP: {level: O2, dtype: bfloat16, use_fp16_test: True, use_promote: True}\n"
    folder = train(tmp_path, EMA, "Global.epochs=1", more=more)
    assert capsys.readouterr().out.count(SAID.format("O2")) == 1
    config, source = write_config(tmp_path, more), f"Global.pretrained_model={folder / 'latest'}"
    assert run("eval", config, source) == 0
    assert capsys.readouterr().out.count(SAID.format("O2")) == 1
    assert run("export", config, source) == 0
    assert run("infer", config, source, f"Infer.infer_imgs={ROOT / 'demo' / 'cat.jpg'}") == 0
    assert "'class_ids'" in capsys.readouterr().out


def test_scaling_by_a_power_of_two_gives_the_weights_of_a_run_without(
    half: None, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, FIXED)
    assert "AMP: on, level O1, float16, loss scale 1024, fixed" in capsys.readouterr().out
    assert same(weights(folder / "latest"), weights(plain / "latest"))
    assert same(moments(unit(folder, 6, 1)), moments(unit(plain, 6, 1)))


def test_gradients_are_unscaled_before_they_are_clipped(half: None, tmp_path: Path) -> None:
    runs = []
    for number, amp in enumerate(("AMP=null", FIXED)):
        (tmp_path / str(number)).mkdir()
        runs.append(train(tmp_path / str(number), amp, "Optimizer.clip_norm=0.01", *SHORT))
    assert same(*(weights(folder / "latest") for folder in runs))


def test_accumulated_batches_share_one_scale_and_one_step(
    half: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = paddle.optimizer.Momentum.step
    monkeypatch.setattr(paddle.optimizer.Momentum, "step", lambda self: (steps.append(1), step(self))[1])
    runs = []
    for number, amp in enumerate(("AMP=null", DYNAMIC)):
        (tmp_path / str(number)).mkdir()
        runs.append(train(tmp_path / str(number), amp, "Global.update_freq=2", *SHORT))
        assert len(steps) == 2 * (number + 1)  # of three batches
    assert same(*(weights(folder / "latest") for folder in runs))


def test_an_overflow_leaves_the_update_out_and_halves_the_scale(
    half: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(tmp_path, DYNAMIC, EMA, OVERFLOW, *SHORT, "Global.save_every_steps=1")
    printed = capsys.readouterr().out
    assert "WARNING: update 2 is left out: gradients overflow at loss scale 128, now 64" in printed
    before, after, later = (unit(folder, step) for step in (1, 2, 3))
    assert same(*({k: v for k, v in u.params.items() if "._" not in k} for u in (before, after)))
    assert same(before.ema, after.ema)
    assert same(moments(before), moments(after))
    assert [u.states["scaler"]["scale"] for u in (before, after, later)] == [128.0, 64.0, 64.0]
    assert not same(moments(after), moments(later))
    assert after.states["skips"] == [0, 0]


def test_an_overflow_that_a_lower_scale_cures_is_none_of_on_nan_skip(half: None, tmp_path: Path) -> None:
    states = unit(train(tmp_path, DYNAMIC, OVERFLOW, *SHORT, "Global.on_nan=skip"), 3).states
    assert (states["skips"], states["scaler"]["scale"]) == ([0, 0], 64.0)


def test_a_scale_that_has_fallen_to_one_makes_an_overflow_a_failure(
    half: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("AMP={scale_loss: 4, use_dynamic_loss_scaling: True}", "Hooks=[OverflowFrom: {update: 0, count: 9}]")
    text = ends(capsys, 5, "non-finite", "train", write_config(tmp_path), *words)
    assert re.search(r"gradients are not finite: .*; step 3, epoch 1, .*; head.5.bias first, at loss scale 1; ", text)


def test_a_fixed_scale_does_not_fall_so_an_overflow_stops_the_run(
    half: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ends(capsys, 5, "non-finite", "train", write_config(tmp_path), FIXED, OVERFLOW)
    assert re.search(r"step 2, epoch 1, .*; head.5.bias first, at loss scale 1024; set AMP.use_dynamic", text)


def test_skip_and_rollback_leave_out_an_overflow_that_no_scale_cures(
    half: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = []
    for how in ("skip", "rollback"):
        (tmp_path / how).mkdir()
        runs.append(train(tmp_path / how, FIXED, OVERFLOW, f"Global.on_nan={how}", EMA, *SHORT))
    assert same(*(weights(folder / "latest") for folder in runs))
    assert events(runs[0]) == events(runs[1])
    assert unit(runs[0], 3).states["skips"] == [0, 1]
    assert "left out by on_nan: skip, 1 in all" in capsys.readouterr().out


def test_a_resumed_run_goes_on_with_its_scale(half: None, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = train(whole, DYNAMIC, OVERFLOW, *SHORT)
    train(broken, DYNAMIC, "Hooks=[OverflowFrom: {update: 1}, SignalAt: {step: 2}]", *SHORT, code=143)
    assert run("train", write_config(broken), DYNAMIC, *SHORT, flags=("--resume",)) == 0
    folder = broken / "out" / NAME
    assert same(weights(folder / "latest"), weights(expected / "latest"))
    assert same(moments(unit(folder, 3)), moments(unit(expected, 3)))
    found = [unit(place, 3).states["scaler"] for place in (folder, expected)]
    assert found == [{"scale": 64.0, "good": 1}] * 2


def test_a_loss_that_is_not_finite_is_no_matter_of_the_scale(
    half: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poison = "DataLoader.Train.dataset.batch_transform_ops=[PoisonBelow: {share: 2}]"
    text = ends(capsys, 5, "non-finite", "train", write_config(tmp_path), DYNAMIC, poison)
    assert "the loss is not finite: CELoss nan, loss nan; step 1, epoch 1" in text


@pytest.mark.parametrize(
    ("scale", "after", "is_cured"), [(128.0, 64.0, True), (2.0, 1.0, True), (1.0, 0.5, False), (128.0, 128.0, False)]
)
def test_a_fall_of_the_scale_cures_as_long_as_it_ends_at_one_or_more(
    scale: float, after: float, is_cured: bool
) -> None:
    assert Overflow(scale, after).is_cured is is_cured


@pytest.mark.parametrize(("amp", "judged"), [("AMP={}", 0), ("AMP={use_fp16_test: True, use_promote: True}", 2)])
def test_an_evaluation_casts_where_use_fp16_test_says_so(
    half: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amp: str, judged: int
) -> None:
    casts: list[dict[str, object]] = []
    cast = paddle.amp.auto_cast
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda **how: (casts.append(how), cast(**how))[1])
    folder = train(tmp_path, amp, "Global.epochs=1")
    how = {"level": "O1", "dtype": "float16", "use_promote": judged > 0}
    assert [given for given in casts if "level" in given] == [how] * (3 + judged)
    casts.clear()
    assert run("eval", write_config(tmp_path), amp, f"Global.pretrained_model={folder / 'latest'}") == 0
    assert [given for given in casts if "level" in given] == [how] * judged


@pytest.mark.parametrize(
    ("computed", "wanted"), [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32"), ("float64",) * 2]
)
def test_loss_and_metrics_take_logits_of_at_least_float32(computed: str, wanted: str) -> None:
    judge = Judge(None, None, None, 0)
    assert str(judge.answers(lambda images: images, paddle.ones([1, 2], computed)).dtype) == f"paddle.{wanted}"


def test_bfloat16_has_no_loss_scale(half: None, caplog: pytest.LogCaptureFixture) -> None:
    precision = Precision(AMPConfig(dtype="bfloat16", scale_loss=128.0, use_dynamic_loss_scaling=True))
    with caplog.at_level("INFO", "ppcls"):
        precision.announce()
    assert caplog.messages == ["AMP: on, level O1, bfloat16, no loss scale"]
    assert precision.state() == {}

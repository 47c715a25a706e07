"""``ppcls train -p``: what it measures, prints and writes, and how a run that it ends is reported."""

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import misdeeds  # noqa: F401  registers SignalAt
import pytest
from tiny_run import STAGES, run, same, train, weights

from ppcls.utils.status import StatusFolder

EPOCH = ("Global.epochs=1", "Optimizer.lr.warmup_epoch=0")  # 3 batches: of 8, 8 and 6 pictures
STOPPED = "error[profiled]: stopped after 2 batches, as exit_on_finished of -p says: training is not complete"


def profile(text: str) -> tuple[str, str]:
    return "-p", text


def log(folder: Path) -> str:
    return (folder / "train.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def unprofiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("unprofiled"), *EPOCH)


def test_a_timed_range_ends_the_run_without_a_checkpoint_and_without_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "deep" / "times.json"
    folder = train(tmp_path, flags=profile(f"batch_range=[1,2]; profile_path={trace}"), code=1)
    assert capsys.readouterr().err.splitlines()[-1].startswith(STOPPED)
    assert "[Profile]batches 1 to 1: batch_cost: " in log(folder)
    assert f"the profile is in {trace}; " in log(folder)
    names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
    assert names == ["batch 1", "wait for the reader"]
    record = json.loads(StatusFolder(folder / "status").path(0).read_text())
    assert (record["state"], record["code"], record["slug"]) == ("failed", 1, "profiled")
    assert not list(folder.glob("*.pdparams"))
    assert train(tmp_path, *EPOCH) == folder  # nothing stands in the way of the run itself


def test_times_are_those_of_the_range(tmp_path: Path, unprofiled: Path) -> None:
    trace = tmp_path / "times.json"
    flags = profile(f"batch_range=[0,3]; profile_path={trace}; exit_on_finished=False")
    folder = train(tmp_path, *EPOCH, flags=flags)
    spans = [event for event in json.loads(trace.read_text())["traceEvents"] if "args" in event]
    assert [span["args"]["images"] for span in spans] == [8, 8, 6]
    total_s = sum(span["dur"] for span in spans) / 1e6
    (said,) = re.findall(r"\[Profile\]batches 0 to 2: batch_cost: (\S+)s .*, ips: (\S+) images", log(folder))
    assert [float(number) for number in said] == pytest.approx([total_s / 3, 22 / total_s], rel=1e-3)
    assert spans[1]["ts"] >= spans[0]["ts"] + spans[0]["dur"]
    assert same(weights(folder / "latest"), weights(unprofiled / "latest"))


def test_paddle_s_profile_holds_operators_and_changes_no_weight(tmp_path: Path, unprofiled: Path) -> None:
    trace = tmp_path / "operators.json"
    text = "batch_range=[1,3]; timer_only=False; exit_on_finished=False; sorted_key=max; state=CPU"
    folder = train(tmp_path, *EPOCH, flags=profile(f"{text}; profile_path={trace}"))
    assert "Operator Summary" in log(folder)
    assert "conv2d" in log(folder)
    names = [event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"]]
    assert sum("ProfileStep" in name for name in names) == 2
    assert any("conv2d" in name for name in names)
    assert not (Path.cwd() / "profiler_log").exists()
    assert same(weights(folder / "latest"), weights(unprofiled / "latest"))


def test_accumulated_batches_are_counted_whole(tmp_path: Path) -> None:
    flags = profile("batch_range=[1,3]; exit_on_finished=False")
    folder = train(tmp_path, "Global.update_freq=2", flags=flags)
    assert "[Profile]batches 2 to 2: " in log(folder)


@pytest.mark.parametrize(
    ("batch_range", "said"),
    [
        ("[3, 9]", "-p: training ended after 3 batches, before batch_range [3, 9]: no profile"),
        ("[2, 9]", "-p: training ended after 3 batches, within batch_range [2, 9]"),
    ],
)
def test_a_run_that_ends_before_the_range_does_says_so(tmp_path: Path, batch_range: str, said: str) -> None:
    folder = train(tmp_path, *EPOCH, flags=profile(f"batch_range={batch_range}"))
    assert said in log(folder)
    assert ("[Profile]batches 2 to 2: " in log(folder)) == ("within" in said)


def test_a_setting_that_a_timer_does_not_look_at_is_warned_of(tmp_path: Path) -> None:
    folder = train(tmp_path, *EPOCH, flags=profile("batch_range=[0,1]; sorted_key=max"), code=1)
    assert "-p: sorted_key without effect: times alone are taken; add timer_only=False" in log(folder)


def test_a_signal_within_the_same_batch_is_what_the_run_ends_by(tmp_path: Path) -> None:
    more = "Hooks: [SignalAt: {step: 2}]\n"
    folder = train(tmp_path, *EPOCH, flags=profile("batch_range=[1,2]"), more=more, code=143)
    assert "[Profile]batches 1 to 1: " in log(folder)
    assert (folder / "latest.pdparams").exists()


def test_each_stage_writes_a_file_of_its_own(tmp_path: Path) -> None:
    text = f"batch_range=[0,1]; exit_on_finished=False; profile_path={tmp_path / 'times.json'}"
    train(tmp_path, "Global.epochs=1", flags=profile(text), more=STAGES)
    assert sorted(path.name for path in tmp_path.glob("times*")) == ["times.first.json", "times.second.json"]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_trace_that_cannot_be_written_is_a_warning_and_leaves_no_part(tmp_path: Path) -> None:
    text = f"batch_range=[0,1]; timer_only=False; profile_path={tmp_path / 'trace.json'}"
    with files_end_at(60_000):
        folder = train(tmp_path, *EPOCH, flags=profile(text), code=1)
    assert f"-p profile_path: cannot write {tmp_path / 'trace.json'}: " in log(folder)
    assert not list(tmp_path.glob("*trace*"))


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, flags=profile("state=GPU; timer_only=False"), code=2)
    assert "error[config]: -p: state: GPU asked for, but this paddle (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_eval_says_that_it_has_no_effect(unprofiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = unprofiled.parents[1] / "tiny.yaml"
    best = f"Global.pretrained_model={unprofiled / 'best_model'}"
    assert run("eval", config, best, flags=profile("batch_range=[0,1]")) == 0
    assert "-p without effect: it profiles ppcls train alone" in capsys.readouterr().out

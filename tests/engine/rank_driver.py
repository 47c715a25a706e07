"""What test_ranks runs on every rank: ``python rank_driver.py FOLDER``; rank 0 leaves its findings in ``FOLDER``."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import conftest  # noqa: F401  the environment of all tests, before paddle
import half_on_cpu
import numpy as np
import paddle
import pytest
from misdeeds import SignalAt
from paddle import nn
from rank_training import (
    CASES,
    COMPILED,
    Case,
    bytes_sent_by_an_update,
    normalise_unevenly,
    of_all_ranks,
    stage_of,
    train_exactly,
)
from tiny_run import NAME, run, write_config

from ppcls.engine.evaluate import Watch, judge_model
from ppcls.engine.hooks.nan_guard import NanGuard
from ppcls.engine.state import StepOutput
from ppcls.engine.train import train_step
from ppcls.engine.training import Training
from ppcls.registry import HOOKS
from ppcls.utils import dist, launcher
from ppcls.utils.errors import NonFiniteError

SIZES = (10, 13, 1)
INTERRUPTED = "Hooks: [SignalRank: {step: 1, rank: 1}]\n"


@HOOKS.register
class SignalRank(SignalAt):
    """As ``SignalAt``, on one rank: the others have to be told."""

    def __init__(self, step: int, rank: int) -> None:
        super().__init__(step if dist.rank() == rank else -1)


def evaluate_sizes(folder: Path) -> dict[str, dict[str, float]]:
    """What an evaluation of 10, 13 and 1 samples gives with weights that the seed alone decides."""
    results = {}
    for size in SIZES:
        network = {"name": NAME, "scale": 0.125, "alpha": 0.5}
        training = Training(stage_of(folder, Case(network), f"DataLoader.Eval.dataset.samples={size}"))
        for tensor in training.state.network.parameters():
            tensor.set_value(tensor * 3.0 if tensor.ndim == 4 else tensor)  # logits that tell the samples apart
        results[str(size)] = judge_model(training.state.network, training.judge, 1, Watch(training.state.pulse))
    return results


def share_what_differs() -> list[list[float]]:
    """Running means of a batch norm on every rank, after rank 0's went to all."""
    norm = nn.BatchNorm2D(2)
    norm._mean.set_value(paddle.full([2], float(dist.rank() + 1)))
    dist.share_statistics(nn.Sequential(norm))
    return of_all_ranks(norm._mean.numpy())


def stop_for_the_last_rank(folder: Path) -> list[str]:
    """What rank 0 says when the last rank alone has a bad loss, and then bad logits."""
    bad = dist.rank() == dist.world_size() - 1
    training = Training(stage_of(folder, CASES["plain"]))
    guard = NanGuard(training.plan, str)
    training.state.batch = training.state.epoch_batches
    losses = {"loss": paddle.to_tensor(float("nan") if bad else 1.0)}
    messages = []
    with pytest.raises(NonFiniteError) as caught:
        guard.step_end(training.state, StepOutput(losses, [], 0.1, []))
    messages.append(str(caught.value))
    if bad:
        training.state.network.fc.bias.set_value(np.full([4], np.inf))
    with pytest.raises(NonFiniteError) as caught:
        judge_model(training.state.network, training.judge, 1, Watch(training.state.pulse))
    return [*messages, str(caught.value)]


def interrupt_and_go_on(folder: Path) -> dict[str, object]:
    """A run that never was interrupted, and one that a signal to rank 1 stopped; exit codes of both ranks."""
    whole, broken = folder / "whole", folder / "broken"
    calm = ("DataLoader.Train.dataset.samples=32", "Global.print_batch_step=1")  # 2 updates an epoch
    codes = []
    for home, more in ((whole, ""), (broken, INTERRUPTED), (broken, "")):
        if dist.is_main():
            home.mkdir(exist_ok=True)
            write_config(home, more)
        dist.all_sum([0])  # wait for the file
        resume = ("Global.checkpoints=auto",) if home is broken else ()
        codes.append(run("train", home / "tiny.yaml", *calm, *resume))
    codes.append(run("train", whole / "tiny.yaml", *calm))  # refused: the folder holds a run
    return {"codes": of_all_ranks(np.array(codes))}


def overflow_on_the_last_rank(folder: Path, overlaps: bool) -> list[list[float]]:
    """Of every rank: which of three updates it left out, its loss scale, its bias; gradients overflow on the last."""
    with pytest.MonkeyPatch.context() as patched:
        half_on_cpu.pretend(patched)
        case = Case({"name": NAME, "scale": 0.125, "alpha": 0.5})
        training = Training(stage_of(folder, case, "AMP={scale_loss: 128, use_dynamic_loss_scaling: True}"))
        training.start_from(None)
        state = training.state
        half_on_cpu.OverflowFrom(1, rank=dist.world_size() - 1).train_begin(state)
        if overlaps and dist.world_size() > 1:
            state.model = paddle.DataParallel(state.model)
        state.model.train()
        left_out = [float(train_step(state, [batch]).left_out) for batch in training.loader.batches(0)]
        scale = state.precision.state()["scale"]
    return of_all_ranks(np.array([*left_out, scale, *state.network.parameters()[-1].numpy()]))


def profile(folder: Path) -> dict[str, object]:
    """Exit codes of a run that its profile ends, and the files, with the spans in them, when rank 0 left it."""
    home = folder / "profiled"
    if dist.is_main():
        home.mkdir()
        write_config(home)
    dist.all_sum([0])  # wait for the file
    options = f"batch_range=[0,1];timer_only=False;profile_path={home / 'trace.json'}"
    code = run("train", home / "tiny.yaml", "DataLoader.Train.dataset.samples=32", flags=("-p", options))
    files = {path.name: len(json.loads(path.read_text())["traceEvents"]) for path in home.glob("*trace*")}
    return {"codes": of_all_ranks(np.array([code])), "files": files}


def findings(folder: Path) -> dict[str, object]:
    """Everything that one rank and many can be compared by."""
    return {
        "evaluation": evaluate_sizes(folder),
        **{name: train_exactly(folder, case) for name, case in CASES.items()},
        "uneven": normalise_unevenly("NCHW"),
        "uneven in NHWC": normalise_unevenly("NHWC"),
        "statistics": share_what_differs(),
    }


def main(folder: Path) -> None:
    """Collect, and write from rank 0."""
    launcher.leave_with_launcher()
    dist.start()
    found = findings(folder)
    if dist.world_size() == 2:
        found |= interrupt_and_go_on(folder) | {"messages": stop_for_the_last_rank(folder)}
        found |= {name: train_exactly(folder, case) for name, case in COMPILED.items()}
        found["overflow"] = [overflow_on_the_last_rank(folder, overlaps) for overlaps in (False, True)]
        found["profile"] = profile(folder)
        found["sent"] = [bytes_sent_by_an_update(folder, update_freq) for update_freq in (1, 3)]
    if dist.is_main():
        (folder / f"ranks{dist.world_size()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

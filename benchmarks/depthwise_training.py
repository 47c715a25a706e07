"""A training step with the small-map depthwise product, and without: python benchmarks/depthwise_training.py [--json].

Both run in one process on one network, a step of one after a step of the other, so that what else the machine does
falls on both alike. A step is forward, loss, backward and update, on made-up pictures that are in memory already.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

from common import machine, show

from ppcls.config import Component
from ppcls.utils import runtime

CASES = {
    "OctMobileNetV2 0.25, 48 px, batch 32": ({"scale": 0.25}, 48, 32, 10),
    "OctMobileNetV2 1.125, 96 px, batch 8": ({"scale": 1.125}, 96, 8, 1000),
}


@dataclass(frozen=True)
class Row:
    """Medians of one case; ``ratio`` is without over with.

    ``cpu`` is processor time of all threads: on a machine that others use too, it says more than the clock.
    """

    case: str
    steps: int
    with_s: float
    without_s: float
    ratio: float
    with_cpu_s: float
    without_cpu_s: float
    cpu_ratio: float


def build_step(arguments: dict[str, Any], side: int, batch: int, classes: int) -> Callable[[], float]:
    """A function that does one training step and returns its loss, which makes it wait for all of it."""
    import paddle

    from ppcls.arch import build_model
    from ppcls.engine.state import TrainState
    from ppcls.engine.train import train_step
    from ppcls.loss import build_loss

    paddle.seed(0)
    arch = SimpleNamespace(
        class_num=classes,
        input_image_channel=3,
        data_format="NCHW",
        component=Component("OctMobileNetV2", arguments, "Arch"),
    )
    network = build_model(arch)
    network.train()
    momentum = paddle.optimizer.Momentum(0.01, 0.9, network.parameters(), weight_decay=3e-5)
    state = TrainState(
        network=network,
        model=network,
        loss=build_loss([Component("CELoss", {"epsilon": 0.1}, "Loss.Train.0.CELoss")]),
        optimizer=momentum,
        schedule=lambda step: 0.01,
        seed=0,
        epochs=1,
        epoch_batches=1,
        epoch_updates=1,
    )
    pictures = paddle.randn([batch, 3, side, side])
    labels = paddle.arange(batch, dtype="int64") % classes
    data = SimpleNamespace(images=pictures, labels=labels, id=None)
    return lambda: float(train_step(state, [data]).losses["loss"])


def timed(step: Callable[[], float], setting: AbstractContextManager[Any]) -> tuple[float, float]:
    """Seconds of one step under a setting: by the clock, and of the processor."""
    with setting:
        start, cpu = time.perf_counter(), time.process_time()
        step()
        return time.perf_counter() - start, time.process_time() - cpu


def measure(case: str, steps: int) -> Row:
    """The medians of ``steps`` steps each way, after two each that are not counted."""
    from ppcls.arch.layers import depthwise

    step = build_step(*CASES[case])
    with_product, without = [], []
    for _ in range(steps + 2):
        with_product.append(timed(step, nullcontext()))
        without.append(timed(step, mock.patch.object(depthwise, "_pays", return_value=False)))
    numbers: list[float] = []
    for one, other in zip(zip(*with_product[2:], strict=True), zip(*without[2:], strict=True), strict=True):
        medians = statistics.median(one), statistics.median(other)
        numbers += [round(medians[0], 4), round(medians[1], 4), round(medians[1] / medians[0], 2)]
    return Row(case, steps, *numbers)


def main() -> None:
    """Print a line a case, or all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=15, help="counted steps of each kind (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.parse_args()
    runtime.prepare()
    rows = [measure(case, args.steps) for case in CASES]
    if args.json:
        print(json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=1))
        return
    print(show(machine()))
    for row in rows:
        print(
            f"{row.case}: {row.with_s * 1000:.0f} ms with, {row.without_s * 1000:.0f} without, ratio {row.ratio:.2f}; "
            f"processor {row.with_cpu_s * 1000:.0f} and {row.without_cpu_s * 1000:.0f}, ratio {row.cpu_ratio:.2f} "
            f"(medians of {row.steps})"
        )


if __name__ == "__main__":
    main()

"""Seconds of a training step on a CPU against the usual one:

    python benchmarks/training_step.py [--rounds 7] [--json FILE]

A step is forward, loss with label smoothing, backward and update with Momentum, on a batch in memory, of
OctMobileNetV2_x1_125 on 192 px. *usual* runs without the environment variables that ppcls sets (Paddle then takes one
thread, and MKL its path for foreign processors), upsamples by ``interpolate``, and has Paddle's pooling and depthwise
convolution; *usual, tuned* is the same with those variables. Each has a process of its own and they take turns.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common import machine, show, write_json
from turns import Turn, default_environment, serve, take_turns
from usual import usual_layers

from ppcls.utils import runtime

WAYS = ("usual", "usual, tuned", "ppcls")
SIDE, BATCH, CLASSES, EPSILON, RATE = 192, 16, 1000, 0.1, 0.01


def usual_step(network: Any, images: Any, labels: Any) -> Callable[[], float]:
    """The step as training scripts write it."""
    import paddle
    import paddle.nn.functional as F

    targets = F.label_smooth(F.one_hot(labels, CLASSES), epsilon=EPSILON)
    momentum = paddle.optimizer.Momentum(RATE, 0.9, network.parameters(), weight_decay=3e-5)

    def step() -> float:
        loss = F.cross_entropy(network(images), targets, soft_label=True)
        loss.backward()
        momentum.step()
        momentum.clear_grad()
        return float(loss)  # waits for all of it

    return step


def ppcls_step(network: Any, images: Any, labels: Any) -> Callable[[], float]:
    """The step of ``ppcls train``."""
    from ppcls.config import Component
    from ppcls.config.schema import OptimizerConfig, RegularizerConfig
    from ppcls.engine.state import TrainState
    from ppcls.engine.train import train_step
    from ppcls.loss import build_loss
    from ppcls.optimizer import build_optimizer

    settings = OptimizerConfig(
        component=Component("Momentum", {"momentum": 0.9}, "Optimizer"),
        lr=Component("ConstLR", {"learning_rate": RATE}, "Optimizer.lr"),
        regularizer=RegularizerConfig(name="L2", coeff=3e-5),
    )
    optimizer, schedule = build_optimizer(settings, network, epochs=1, step_each_epoch=1)
    state = TrainState(
        network=network,
        model=network,
        loss=build_loss([Component("CELoss", {"epsilon": EPSILON}, "Loss.Train.0.CELoss")]),
        optimizer=optimizer,
        schedule=schedule,
        seed=0,
        epochs=1,
        epoch_batches=1,
        epoch_updates=1,
    )
    batch = SimpleNamespace(images=images, labels=labels, id=None)
    return lambda: float(train_step(state, [batch]).losses["loss"])


def serve_way(way: str) -> None:
    """Run one way in this process."""
    if way != "usual":
        runtime.prepare()
    import paddle

    from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import OctMobileNetV2_x1_125

    paddle.set_device("cpu")
    paddle.seed(0)
    network = OctMobileNetV2_x1_125()
    network.train()
    images = paddle.randn([BATCH, 3, SIDE, SIDE])
    labels = paddle.arange(BATCH, dtype="int64")
    if way == "ppcls":
        serve(ppcls_step(network, images, labels))
        return
    with usual_layers():
        serve(usual_step(network, images, labels))


def main() -> None:
    """Measure all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve_way(args.serve)
        return
    command = [sys.executable, __file__, "--serve"]
    turns = {way: Turn([*command, way], default_environment()) for way in WAYS}
    found = {way: statistics.median(times) for way, times in take_turns(turns, args.rounds, calls=1).items()}
    for turn in turns.values():
        turn.close()
    runtime.prepare()
    about = machine()
    print(show(about))
    print(f"{'a step':<16} {'median, ms':>10} {'usual to it':>12}")
    for way, seconds in found.items():
        print(f"{way:<16} {seconds * 1000:>10.0f} {found['usual'] / seconds:>12.2f}")
    if args.json:
        write_json(args.json, {"machine": about, "seconds": found})


if __name__ == "__main__":
    main()

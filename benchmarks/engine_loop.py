"""Images/s of ``ppcls train`` against a bare loop: python benchmarks/engine_loop.py [--rounds 25] [--json FILE].

Both train the same network with the same loss and optimizer on the same pictures, in one process; after each epoch of
the command a hook runs the bare loop for as many updates, so that what else the machine does falls on both alike. The
first round does not count.

The command is the whole of it: loader with two threads, normalisation, mixup, log lines every ten batches, tables, the
look at every loss, signals. Its pictures lie in memory as bitmaps, which cost next to nothing to decode. The clock runs
from the beginning of an epoch to its end, before the checkpoint; ``reader`` is the share of it in which the training
waited for a batch, or normalised and mixed it. The bare loop does forward, loss, backward and update,
on batches that are decoded, normalised and mixed beforehand.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any

import cv2
from common import machine, show, write_json

from ppcls.cli import main as ppcls
from ppcls.config import load_run
from ppcls.data.dataloader.bad_samples import ReadRule
from ppcls.data.dataloader.synthetic_dataset import SyntheticDataset
from ppcls.data.dataloader.values import Item
from ppcls.registry import DATASETS, HOOKS
from ppcls.utils import runtime

CASES = {  # the network, side, batch, updates a round
    "OctMobileNetV2 0.35, 48 px, batch 32": ("{name: OctMobileNetV2, scale: 0.35, class_num: 10}", 48, 32, 20),
    "OctMobileNetV2_x1_125, 96 px, batch 16": ("{name: OctMobileNetV2_x1_125, class_num: 1000}", 96, 16, 8),
}
YAML = """
Global: {{output_dir: {out}, device: cpu, epochs: {epochs}, seed: 1, eval_during_train: False, save_interval: 0}}
Arch: {arch}
Loss: {{Train: [CELoss: {{weight: 1.0, epsilon: 0.1}}]}}
Optimizer:
  name: Momentum
  momentum: 0.9
  lr: {{name: Cosine, learning_rate: 0.01, warmup_epoch: 1}}
  regularizer: {{name: L2, coeff: 3e-5}}
DataLoader:
  Train:
    dataset:
      name: Bitmaps
      samples: {samples}
      side: {side}
      transform_ops: [DecodeImage: {{}}, RandFlipImage: {{flip_code: 1}}, NormalizeImage: {{order: ''}}]
      batch_transform_ops: [MixupOperator: {{alpha: 0.2}}]
    sampler: {{name: DistributedBatchSampler, batch_size: {batch}, shuffle: True}}
    loader: {{num_workers: 2}}
Hooks: [Turns: {{config: {config}, out: {rows}}}]
"""


@DATASETS.register(accepts=ReadRule)
class Bitmaps(SyntheticDataset):
    """Its pictures, as bitmaps in memory."""

    def __init__(self, class_num: int, samples: int, side: int, **reading: Any) -> None:
        super().__init__(class_num, samples, side, **reading)
        self._files = [cv2.imencode(".bmp", self.pixels(index))[1].tobytes() for index in range(samples)]

    def __getitem__(self, index: int) -> Item:
        """The bitmap and its label."""
        return Item(self._files[index], index % self.class_num, self.where(index))


def define_turns() -> None:
    """Register the hook; a hook is paddle's, which comes after ``runtime.prepare``."""
    from ppcls.engine.hooks.hook import Hook
    from ppcls.engine.state import TrainState

    @HOOKS.register
    class Turns(Hook):
        """Times an epoch, then the bare loop.

        Args:
            config: of the run, for a network, a loss and an optimizer of the bare loop's own.
            out: a JSON file for seconds, a row a round: ``[engine, of which waiting for batches, engine's processor,
                bare, bare's processor]``.
        """

        def __init__(self, config: str, out: str) -> None:
            self._bare = bare_loop(Path(config))
            self._out = Path(out)
            self._rows: list[list[float]] = []
            self._since = (0.0, 0.0)

        def epoch_begin(self, state: TrainState) -> None:
            self._since = (time.perf_counter(), time.process_time())

        def epoch_end(self, state: TrainState) -> None:
            wall_s, cpu_s = time.perf_counter() - self._since[0], time.process_time() - self._since[1]
            engine = [wall_s, state.clock.waited_s, cpu_s]
            start = time.perf_counter(), time.process_time()
            self._bare()
            bare = [time.perf_counter() - start[0], time.process_time() - start[1]]
            self._rows.append([*engine, *bare])

        def train_end(self, state: TrainState) -> None:
            self._out.write_text(json.dumps(self._rows), encoding="utf-8")


def bare_loop(config_file: Path) -> Callable[[], None]:
    """An epoch of nothing but updates."""
    from ppcls.arch import build_model
    from ppcls.data import build_loader
    from ppcls.loss import build_loss
    from ppcls.optimizer import build_optimizer

    config = load_run(str(config_file), [], "train").stages[0].config
    network = build_model(config.Arch)
    network.train()
    criterion = build_loss(config.Loss.Train)
    loader = build_loader(config.DataLoader.Train, split="Train", class_num=config.Arch.class_num, seed=1)
    batches = [(batch.images, batch.labels) for batch in loader.batches(0)]
    optimizer, _ = build_optimizer(
        config.Optimizer, network, epochs=config.Global.epochs, step_each_epoch=len(batches), scale=1.0
    )
    optimizer.set_lr(0.01)

    def run() -> None:
        for images, labels in batches:
            loss = criterion(network(images), labels)["loss"]
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
        float(loss)

    return run


def measure(name: str, rounds: int, updates: int | None, folder: Path) -> dict[str, Any]:
    """Medians of a case over ``rounds``: images/s of both ways, the ratio within a round by clock and processor, and
    the reader's share of the engine's time."""
    arch, side, batch, usual = CASES[name]
    updates = updates or usual
    config, rows = folder / "config.yaml", folder / "rows.json"
    places = {"out": folder / "out", "config": config, "rows": rows}
    sizes = {"samples": batch * updates, "side": side, "batch": batch, "epochs": rounds + 1}
    config.write_text(YAML.format(arch=arch, **places, **sizes), encoding="utf-8")
    with (folder / "log.txt").open("w", encoding="utf-8") as log, redirect_stdout(log):
        code = ppcls(["train", "-c", str(config)])
    if code:
        raise RuntimeError(f"the training ended with {code}")
    counted = json.loads(rows.read_text(encoding="utf-8"))[1:]
    engine_s, bare_s = (median(row[column] for row in counted) for column in (0, 3))
    return {
        "rounds": rounds,
        "updates": updates,
        "engine": batch * updates / engine_s,
        "bare": batch * updates / bare_s,
        "ratio": median(row[3] / row[0] for row in counted),
        "cpu_ratio": median(row[4] / row[2] for row in counted),
        "reader": median(row[1] / row[0] for row in counted),
        "seconds": counted,
    }


def main() -> None:
    """Measure every case, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="rounds that count (%(default)s)")
    parser.add_argument("--updates", type=int, help="updates a round, in place of each case's own number")
    parser.add_argument("--json", type=Path, help="also write the numbers")
    args = parser.parse_args()
    runtime.prepare()
    report: dict[str, Any] = {"machine": machine()}
    print(show(report["machine"]))
    define_turns()
    columns = f"{'engine':>8} {'bare':>8} {'ratio':>7} {'processor':>10} {'reader':>7}"
    print(f"{'images/s, medians of ' + str(args.rounds):<40} {columns}")
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = report[name] = measure(name, args.rounds, args.updates, Path(folder))
        numbers = f"{found['engine']:>8.1f} {found['bare']:>8.1f} {found['ratio']:>7.3f} {found['cpu_ratio']:>10.3f}"
        numbers += f" {found['reader']:>7.1%}"
        print(f"{name:<40} {numbers}")
    if args.json:
        write_json(args.json, report)


if __name__ == "__main__":
    main()

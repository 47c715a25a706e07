"""Trainings in float64 that come out the same on one rank and on many, or that differ by what local batch norm does."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
import yaml
from paddle import Tensor, nn
from tiny_run import write_config

from ppcls.arch import synchronise
from ppcls.arch.backbone.model_zoo.oct_mobilenet_v2 import OctInvertedResidual
from ppcls.arch.layers.conv_bn import batch_norm, conv2d
from ppcls.arch.layers.layout import DataFormat, Picture, compute_in
from ppcls.arch.layers.octave import OctaveChannels
from ppcls.config import Stage, load_run
from ppcls.engine.train import train_step
from ppcls.engine.training import Training
from ppcls.registry import BACKBONES
from ppcls.utils import dist

GLOBAL_BATCH = 12


class Case(NamedTuple):
    """What is trained: the ``Arch`` section, and in how many micro-batches an update is taken.

    ``overlaps``: gradients are exchanged while the backward pass computes, as GPUs do it. ``settings`` are overrides.
    """

    arch: dict[str, object]
    update_freq: int = 1
    sampler: str = "DistributedBatchSampler"
    overlaps: bool = False
    settings: tuple[str, ...] = ()


CASES = {
    "plain": Case({"name": "NormFree"}),
    "accumulated": Case({"name": "NormFree"}, 2),
    "overlapping": Case({"name": "NormFree"}, overlaps=True),
    "overlapping accumulated": Case({"name": "NormFree"}, 2, overlaps=True),
    "synchronised": Case({"name": "WithNorm", "use_sync_bn": True}),
    "synchronised accumulated": Case({"name": "WithNorm", "use_sync_bn": True}, 2),
    "frozen": Case({"name": "WithNorm", "use_sync_bn": True, "frozen": True}),
    "local": Case({"name": "WithNorm"}),
    # Every rank sees the same pictures, so that statistics of its own are those of all.
    "local on equal data": Case({"name": "WithNorm"}, sampler="BatchSampler"),
}
COMPILED = {
    f"compiled {name}": CASES[name]._replace(settings=("Global.to_static=True",))
    for name in ("accumulated", "overlapping accumulated", "local on equal data")
}


@BACKBONES.register
class NormFree(nn.Layer):
    """In float64; its gradient is a mean over samples, since nothing in it looks at the batch."""

    def __init__(self, class_num: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 8, 3, stride=4)
        self.fc = nn.Linear(8, class_num)
        self.to(dtype="float64")

    def forward(self, images: Tensor) -> Tensor:
        """``[N, 3, H, W]`` -> ``[N, class_num]``."""
        x = F.sigmoid(self.conv(images.astype("float64")))  # [N, 8, h, w]
        return self.fc(x.mean([2, 3]))


@BACKBONES.register
class WithNorm(nn.Layer):
    """Blocks of Oct-MobileNetV2 in float64, as few as it takes for rounding errors not to grow.

    Args:
        frozen: batch norm uses its running statistics in training too.
    """

    def __init__(self, class_num: int, frozen: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv2d(3, 8, 3, stride=2), batch_norm(8), nn.ReLU6())
        self.first = OctInvertedResidual(8, OctaveChannels.split(24, 0.5), 8, stride=1)
        self.second = OctInvertedResidual(8, OctaveChannels.split(24, 0.5), 16, stride=2)
        self.fc = nn.Linear(16, class_num)
        self.to(dtype="float64")
        for layer in self.sublayers():
            if isinstance(layer, nn.BatchNorm2D):
                layer._use_global_stats = frozen or None

    def forward(self, images: Tensor) -> Tensor:
        """``[N, 3, H, W]`` -> ``[N, class_num]``."""
        x = self.second(self.first(self.stem(images.astype("float64"))))  # [N, 16, h, w]
        return self.fc(x.mean([2, 3]))


def stage_of(folder: Path, case: Case, *overrides: str) -> Stage:
    """The tiny run without mixing, each rank's batch its share of the global one."""
    home = folder / f"rank{dist.rank()}of{dist.world_size()}"
    home.mkdir(exist_ok=True)
    path = write_config(home)
    config = yaml.safe_load(path.read_text())
    config["Arch"] = {**case.arch, "class_num": 4}
    config["Global"]["update_freq"] = case.update_freq
    train = config["DataLoader"]["Train"]
    train["dataset"] |= {"samples": 30, "batch_transform_ops": []}
    sharing = dist.world_size() if case.sampler == "DistributedBatchSampler" else 1
    train["sampler"] |= {"name": case.sampler, "batch_size": GLOBAL_BATCH // sharing // case.update_freq}
    path.write_text(yaml.safe_dump(config))
    return load_run(path, [*case.settings, *overrides], "train").stages[0]


def train_exactly(folder: Path, case: Case) -> dict[str, object]:
    """The weights after two epochs, six updates or more; what the ranks disagreed on on the way.

    ``early`` holds the gradients of each rank before its first update's last batch, ``spread`` the largest difference
    between ranks of trained weights and of running statistics.
    """
    training = Training(stage_of(folder, case))
    training.start_from(None)
    state = training.state
    if case.overlaps and dist.world_size() > 1:
        state.model = paddle.DataParallel(state.model)
    state.model.train()
    early: list[np.ndarray] = []
    score = state.loss

    def watched(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        gradient = list(state.network.parameters())[-1].grad
        if gradient is not None and not early:
            early.append(gradient.numpy().copy())
        return score(logits, labels)

    state.loss = watched
    while state.epoch < 2:
        batches = list(training.loader.batches(state.epoch))
        for start in range(0, len(batches), case.update_freq):
            train_step(state, batches[start : start + case.update_freq])
        state.epoch += 1
    tensors = state.network.state_dict()
    return {
        "weights": {name: value.numpy().tolist() for name, value in tensors.items()},
        "updates": state.step,
        "early": of_all_ranks(early[0]) if early else None,
        "spread": [_spread([t for t in tensors.values() if t.stop_gradient is kind]) for kind in (False, True)],
    }


def of_all_ranks(values: np.ndarray) -> list[list[float]]:
    """A row of numbers from every rank."""
    rows = np.zeros([dist.world_size(), values.size])
    rows[dist.rank()] = values.ravel()
    return np.reshape(dist.all_sum(rows.ravel()), rows.shape).tolist()


def _spread(tensors: list[Tensor]) -> float:
    rows = [np.array(of_all_ranks(tensor.numpy())) for tensor in tensors]
    return max((float(np.ptp(row, axis=0).max()) for row in rows), default=0.0)


def bytes_sent_by_an_update(folder: Path, update_freq: int) -> int:
    """What this process writes while it makes the second update; nothing but gradients, for the network is frozen."""
    case = Case({"name": "WithNorm", "frozen": True}, update_freq)
    training = Training(stage_of(folder, case))
    training.state.model.train()
    batches = list(training.loader.batches(0))
    train_step(training.state, batches[:update_freq])
    before = _written()
    train_step(training.state, batches[update_freq : 2 * update_freq])
    return _written() - before


def _written() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["wchar"])


def normalise_unevenly(data_format: DataFormat) -> dict[str, float]:
    """Largest differences between batch norm of 7 samples and of as many on ranks that hold 4, 2, 1 or 5, 2 of them.

    Args:
        data_format: what the ranks compute in; the plain norm does so in NCHW.
    """
    edges = {1: [0, 7], 2: [0, 5, 7], 3: [0, 4, 6, 7]}[dist.world_size()]
    own = slice(*edges[dist.rank() : dist.rank() + 2])
    rng = np.random.default_rng(3)
    images, wanted = (rng.standard_normal([7, 3, 5, 4]) * 3 + 5 for _ in range(2))
    alone = nn.Sequential(nn.BatchNorm2D(3)).to(dtype="float64")
    shared = nn.Sequential(Picture(), nn.BatchNorm2D(3)).to(dtype="float64")
    shared = synchronise(compute_in(shared, data_format))
    back = [0, 1, 2, 3] if data_format == "NCHW" else [0, 3, 1, 2]
    results = []
    for network, part, order in ((alone, slice(None), [0, 1, 2, 3]), (shared, own, back)):
        for name, values in zip(("weight", "bias"), ([0.5, -1.0, 2.0], [0.1, 0.2, 0.3]), strict=True):
            getattr(network[-1], name).set_value(np.array(values))
        x = paddle.to_tensor(images[part], stop_gradient=False)
        y = network(x).transpose(order)
        (y * paddle.to_tensor(wanted[part])).sum().backward()
        results.append((y, x.grad, network[-1]))
    (y, dx, norm), (own_y, own_dx, own_norm) = results
    pairs = {
        "y": (y[own], own_y),
        "dx": (dx[own], own_dx),
        "mean": (norm._mean, own_norm._mean),
        "variance": (norm._variance, own_norm._variance),
    }
    found = {name: np.abs(one.numpy() - other.numpy()).max() for name, (one, other) in pairs.items()}
    for name in ("weight", "bias"):
        total = dist.all_sum(getattr(own_norm, name).grad.numpy())
        found[name] = np.abs(total - getattr(norm, name).grad.numpy()).max()
    return {name: dist.all_max([value])[0] for name, value in found.items()}

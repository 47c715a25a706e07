"""All that a training run owns and must restore."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from paddle import Tensor, nn, optimizer

from ppcls.utils.meter import Stopwatch


class Best(NamedTuple):
    """The best evaluation so far: its value, its epoch (from 1), and whose weights earned it (``raw`` or ``ema``)."""

    value: float
    epoch: int
    weights: str


class Scored(NamedTuple):
    """One micro-batch after its forward pass; ``logits [N, class_num]`` are detached."""

    logits: Tensor
    labels: Tensor


class StepOutput(NamedTuple):
    """What one update leaves behind, all on the device.

    ``losses`` are 0-d means over the update's micro-batches, ``lr`` the rate it used, ``ids`` the batches it saw.
    """

    losses: dict[str, Tensor]
    scored: list[Scored]
    lr: float
    ids: list[NamedTuple]


@dataclass
class TrainState:
    """Everything between two updates. ``step`` counts updates, ``epoch`` finished epochs, ``batch`` micro-batches of
    the epoch that is running."""

    network: nn.Layer
    model: nn.Layer  # the network, or what averages its gradients over ranks
    loss: nn.Layer
    optimizer: optimizer.Optimizer
    schedule: Callable[[int], float]
    seed: int
    epochs: int
    epoch_batches: int  # micro-batches of one epoch on this rank
    epoch_updates: int
    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: Best | None = None
    stop_signal: int | None = None  # its number
    average: nn.Layer | None = None  # of the network's weights, where EMA is on
    eval_models: dict[str, nn.Layer] = field(default_factory=dict)  # prefix of the metric's name -> model to judge
    clock: Stopwatch = field(default_factory=Stopwatch)

    @property
    def is_complete(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.epochs

    @property
    def ends_epoch(self) -> bool:
        """Whether the last update was the last of its epoch."""
        return self.batch >= self.epoch_batches

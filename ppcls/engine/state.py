"""All that a training run owns and must restore."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from paddle import Tensor, nn, optimizer

from ppcls.engine.precision import Overflow, Precision
from ppcls.metric import Metrics
from ppcls.utils.meter import Means, Stopwatch
from ppcls.utils.watchdog import Pulse


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
    ``left_out``: the update's place passed, and weights, moments and statistics are as before it; after an
    ``overflow`` that a lower loss scale cures the statistics have moved.
    """

    losses: dict[str, Tensor]
    scored: list[Scored]
    lr: float
    ids: list[NamedTuple]
    left_out: bool = False
    overflow: Overflow | None = None


class Skips(NamedTuple):
    """Updates that were left out because they were not finite (``on_nan: skip``)."""

    in_a_row: int = 0
    total: int = 0


@dataclass
class TrainState:
    """Everything between two updates. ``step`` counts updates, ``epoch`` finished epochs, ``batch`` micro-batches of
    the epoch that is running."""

    network: nn.Layer
    model: nn.Layer  # the network, or what compiles it or averages its gradients over ranks
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
    step_shift: int = 0  # of the steps that checkpoints are ordered by: they count on where ``step`` was set back
    best: Best | None = None
    precision: Precision = field(default_factory=Precision)
    on_nan: str = "stop"
    skips: Skips = field(default_factory=Skips)
    left_out: frozenset[int] = frozenset()  # ``on_nan: rollback``: the updates, from 0, that are not made again
    means: Means = field(default_factory=Means)  # of the losses since the epoch began, on this rank
    metrics: Metrics | None = None  # of the training batches since the epoch began, where labels are not mixed
    stop_signal: int | None = None  # its number
    average: nn.Layer | None = None  # of the network's weights, where EMA is on
    eval_models: dict[str, nn.Layer] = field(default_factory=dict)  # prefix of the metric's name -> model to judge
    clock: Stopwatch = field(default_factory=Stopwatch)
    pulse: Pulse = field(default_factory=Pulse)

    @property
    def is_complete(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.epochs

    @property
    def ends_epoch(self) -> bool:
        """Whether the last update was the last of its epoch."""
        return self.batch >= self.epoch_batches

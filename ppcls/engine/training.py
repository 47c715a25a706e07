"""Train one stage: its state, its folder, its checkpoints, its hooks."""

import copy
import logging
from collections.abc import Mapping
from functools import partial
from itertools import islice

from ppcls.arch import build_model
from ppcls.arch.summary import build_lazily
from ppcls.config import Config, Stage, describe, resolved_yaml
from ppcls.config.profiler_options import ProfilerOptions
from ppcls.data import Loader, build_loader
from ppcls.engine.changes import fingerprint, require_unchanged
from ppcls.engine.compiled import compiled
from ppcls.engine.engine import Engine
from ppcls.engine.evaluate import EvaluationStopped, Judge, Watch, judge_all
from ppcls.engine.hooks import Outputs, default_hooks
from ppcls.engine.hooks.bad_pictures import BadPictures
from ppcls.engine.hooks.nan_guard import NanGuard
from ppcls.engine.hooks.preemption import Preemption, Rounds
from ppcls.engine.hooks.profiler import Profiler
from ppcls.engine.plan import Plan
from ppcls.engine.precision import Precision
from ppcls.engine.presence import Presence
from ppcls.engine.records import Records
from ppcls.engine.saving import Keeper, restore
from ppcls.engine.state import TrainState
from ppcls.engine.train import fit, train_step
from ppcls.loss import build_loss
from ppcls.metric import Metrics, build_metrics
from ppcls.optimizer import build_optimizer
from ppcls.utils import dist, logger
from ppcls.utils.checkpoint import CheckpointStore, Unit
from ppcls.utils.errors import ConfigError
from ppcls.utils.files import output_errors, write_whole
from ppcls.utils.watchdog import Pulse

_LOG = logging.getLogger("ppcls")


class Training:
    """Everything of one stage that is needed to run its epochs; building it writes nothing.

    Args:
        pulse: is told what the run does.
    """

    def __init__(self, stage: Stage, pulse: Pulse | None = None) -> None:
        _require_compilable(stage.config)
        self._pulse = pulse or Pulse()
        self.engine = Engine(stage, "train")
        if stage.config.Global.use_dali:
            _LOG.warning("Global.use_dali: the project's own reader serves instead")
        self.stage = self.engine.stage
        self.config: Config = self.engine.config
        self.loader: Loader = self.engine.loader("Train")
        self.plan = _plan(self.config)
        self.judge: Judge | None = self.engine.judge() if self.plan.eval_interval > 0 else None
        dist.require_equal(len(self.loader), "the number of batches in an epoch")
        self.state = self._build_state()

    def start_from(self, source: str | None) -> None:
        """Begin with these weights, or with ``Arch.pretrained``; the optimizer begins afresh."""
        source = source or self.config.Arch.pretrained
        if source:
            dist.from_main(lambda: self.engine.load_weights(source, strict=False))
            dist.share(self.engine.network.state_dict().values())
        if self.state.average is not None:
            self.state.average.set_state_dict(self.engine.network.state_dict())
        self.state.precision.lower(self.state.network, self.state.optimizer)
        self._wrap()

    def continue_from(self, unit: Unit, *, allow_change: bool) -> None:
        """Take over weights, optimizer, counters and sums of a checkpoint.

        Raises:
            WeightsError: it does not fit; or (``config-changed``) settings that decide the numbers are others now.
        """
        restore(self.state, unit)
        self._wrap()
        dist.from_main(lambda: require_unchanged(unit, self.config, allow=allow_change))
        _LOG.info("Finish load checkpoints from %s: epoch %d", unit.prefix, self.state.epoch)

    def run(
        self,
        store: CheckpointStore,
        records_lengths: Mapping[str, int],
        presence: Presence,
        profile: ProfilerOptions | None = None,
    ) -> TrainState:
        """Train the epochs that are left, writing into the stage's folder.

        Args:
            records_lengths: of the tables, in bytes, at the moment from which this run goes on.
            profile: what to profile of it.
        """
        folder = self.stage.folder
        records = Records(folder)
        if dist.is_main():
            write_whole(folder / "config.yaml", resolved_yaml(self.stage).encode())
            with output_errors(folder):
                records.cut_back(records_lengths)
        bad = BadPictures(self.loader.bad, records)
        config = fingerprint(self.config) if dist.is_main() else {}
        keeper = Keeper(store, records, self.config.Global.keep_last, config, bad.exchange, presence.saved)
        if self.state.on_nan == "rollback" and self.state.step == 0:
            keeper.save(self.state, ["latest"], False)
        preemption = Preemption(keeper.save, presence.requests)
        outputs = Outputs(folder, records, bad, keeper, preemption)
        hooks = default_hooks(self.config, self.plan, outputs, self._eval_names(), self.loader)
        if profile is not None:
            hooks.append(Profiler(profile, self.stage.name))  # last: all that was due is done before it ends the run
        fit(self.state, self.loader, hooks, self.plan, partial(self._evaluate, preemption))
        return self.state

    def rehearse(self) -> None:
        """Two updates and one evaluation batch; writes nothing."""
        self.state.model.train()
        guard = NanGuard(self.plan, self.loader.where)
        batches = self.loader.batches(0)
        for _ in range(min(2, self.state.epoch_updates)):
            output = train_step(self.state, list(islice(batches, self.plan.update_freq)))
            parts = ", ".join(f"{name}: {float(value):.5f}" for name, value in output.losses.items())
            _LOG.info("[dry run] update %d: lr: %.5f, %s", self.state.step, output.lr, parts)
            guard.step_end(self.state, output)
            guard.check()
        batches.close()
        if self.judge is not None:
            self.engine.network.eval()
            for batch in islice(self.judge.loader.batches(0), 1):  # none on a rank that has no sample
                self.judge.metrics.update(self.judge.answers(self.engine.network, batch.images), batch.labels)
                numbers = (len(batch.labels), self.judge.metrics.local())
                _LOG.info("[dry run] one evaluation batch of %d pictures: %s", *numbers)

    def _wrap(self) -> None:
        """Let the step run the network compiled, and gradients meet; last, since both take its weights as they are."""
        network = self.engine.network
        self.state.model = dist.wrap(compiled(network) if self.config.Global.to_static else network)

    def _build_state(self) -> TrainState:
        network = self.engine.network
        batches = len(self.loader)
        updates = -(-batches // self.plan.update_freq)
        batch_size = self.config.DataLoader.Train.sampler.batch_size
        global_batch = batch_size * dist.world_size() * self.plan.update_freq
        _LOG.info("%d batches and %d updates an epoch, global batch %d", batches, updates, global_batch)
        if batch_size > len(self.loader.dataset):
            few = (batch_size, len(self.loader.dataset))
            _LOG.warning("DataLoader.Train.sampler.batch_size %d is more than the %d pictures there are", *few)
        scale = self.config.Optimizer.rate_scale(global_batch)
        if scale != 1.0:
            _LOG.info("Optimizer.lr.base_batch_size: every rate is multiplied by %g", scale)
        optimizer, schedule = build_optimizer(
            self.config.Optimizer,
            network,
            epochs=self.plan.epochs,
            step_each_epoch=updates,
            scale=scale,
            lowered=self.engine.precision.lowered,
        )
        average = copy.deepcopy(network) if self.config.EMA is not None else None
        return TrainState(
            network=network,
            model=network,
            loss=build_loss(self.config.Loss.Train),
            optimizer=optimizer,
            schedule=schedule,
            seed=self.engine.seed,
            epochs=self.plan.epochs,
            epoch_batches=batches,
            epoch_updates=updates,
            average=average,
            precision=self.engine.precision,
            on_nan=self.config.Global.on_nan,
            metrics=_train_metrics(self.config),
            eval_models={"": network} | ({"ema_": average} if average is not None else {}),
            pulse=self._pulse,
        )

    def _evaluate(self, preemption: Preemption, state: TrainState) -> dict[str, float]:
        for model in state.eval_models.values():
            dist.share_statistics(model)
        rounds = Rounds(dist.meet)  # pictures may be slow on one rank, and nothing else holds them together here
        watch = Watch(state.pulse, state.step, lambda: rounds.is_due() and preemption.agreed() > 0)
        try:
            return judge_all(state.eval_models, self.judge, state.epoch + 1, watch)
        except EvaluationStopped:
            preemption.stop(state)
            return {}

    def _eval_names(self) -> list[str]:
        names = self.judge.metrics.names() if self.judge is not None else []
        return [f"{prefix}{name}" for prefix in self.state.eval_models for name in names]


def _train_metrics(config: Config) -> Metrics | None:
    entries = config.Metric.Train
    if entries and config.DataLoader.Train.dataset.batch_transform_ops:
        _LOG.warning("Metric.Train is left out: batch_transform_ops mix the labels it would judge by")
        return None
    return build_metrics(entries, config.Arch.class_num) if entries else None


def _require_compilable(config: Config) -> None:
    if config.Global.to_static and config.Arch.use_sync_bn and dist.world_size() > 1:
        raise ConfigError(
            "Global.to_static does not go with Arch.use_sync_bn on several ranks: an exchange between ranks is not "
            "part of a compiled program; leave one of the two at False"
        )


def look_ahead(stage: Stage) -> None:
    """Find what is wrong with a later stage before an earlier one has trained for days.

    All that its config names is built, but for its hooks, which may open files.
    """
    config = stage.config
    classes = config.Arch.class_num
    where = {"class_num": classes, "seed": 0, "rank": dist.rank(), "world": dist.world_size()}
    _require_compilable(config)
    with logger.quietly():
        batches = len(build_loader(config.DataLoader.Train, split="Train", **where))
        build_loss(config.Loss.Train)
        _train_metrics(config)
        plan = _plan(config)
        if plan.eval_interval > 0:
            build_loader(config.DataLoader.Eval, split="Eval", **where)
            if config.Loss.Eval:
                build_loss(config.Loss.Eval)
            build_metrics(config.Metric.Eval, classes)
        build_optimizer(
            config.Optimizer,
            build_lazily(lambda: build_model(config.Arch)),
            epochs=plan.epochs,
            step_each_epoch=-(-batches // plan.update_freq),
            lowered=Precision(config.AMP).lowered,
        )


def prepare_folder(stage: Stage) -> None:
    """Make the run's folder, and let the log go there too; for rank 0."""
    with output_errors(stage.folder):
        stage.folder.mkdir(parents=True, exist_ok=True)
    with output_errors(stage.folder / "train.log"):
        logger.add_file(stage.folder / "train.log")


def announce(stage: Stage) -> None:
    """Print the configuration: ``key : value``, 4 spaces a level."""
    for line in describe(stage):
        _LOG.info(line)


def _plan(config: Config) -> Plan:
    settings = config.Global
    evaluates = settings.eval_during_train and config.DataLoader.Eval is not None
    return Plan(
        epochs=settings.epochs,
        update_freq=settings.update_freq,
        eval_interval=settings.eval_interval if evaluates else 0,
        start_eval_epoch=settings.start_eval_epoch,
        save_interval=settings.save_interval,
        save_every_steps=settings.save_every_steps,
        print_batch_step=settings.print_batch_step,
    )

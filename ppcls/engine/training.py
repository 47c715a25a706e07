"""Train one stage: its state, its folder, its checkpoints, its hooks."""

import copy
import hashlib
import json
import logging
from itertools import islice
from typing import Any

from ppcls.config import Config, Stage, describe, resolved_yaml
from ppcls.config.dump import plain
from ppcls.data import Loader
from ppcls.engine.engine import Engine
from ppcls.engine.evaluate import Judge, judge_all
from ppcls.engine.hooks import Outputs, default_hooks
from ppcls.engine.hooks.nan_guard import NanGuard
from ppcls.engine.plan import Plan
from ppcls.engine.records import Records
from ppcls.engine.saving import Keeper, restore
from ppcls.engine.state import TrainState
from ppcls.engine.train import fit, train_step
from ppcls.loss import build_loss
from ppcls.metric import Metrics, build_metrics
from ppcls.optimizer import build_optimizer
from ppcls.utils import dist, logger
from ppcls.utils.checkpoint import CheckpointStore, Unit
from ppcls.utils.files import output_errors, write_whole

_LOG = logging.getLogger("ppcls")
_FREE_KEYS = {"output_dir", "device", "print_batch_step", "save_interval", "save_every_steps", "keep_last", "log_ranks"}
_FREE_KEYS |= {"checkpoints", "pretrained_model", "use_visualdl", "print_mem_info", "save_inference_dir", "watchdog_s"}


class Training:
    """Everything of one stage that is needed to run its epochs; building it writes nothing."""

    def __init__(self, stage: Stage) -> None:
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

    def run(self, store: CheckpointStore, unit: Unit | None) -> TrainState:
        """Train the epochs that are left, writing into the stage's folder.

        Args:
            unit: where to continue; None for a fresh start.
        """
        folder = self.stage.folder
        records = Records(folder)
        if unit is not None:
            self._tell_changes(unit)
            restore(self.state, unit, records if dist.is_main() else None)
            _LOG.info("Finish load checkpoints from %s: epoch %d", unit.prefix, self.state.epoch)
        if dist.is_main():
            write_whole(folder / "config.yaml", resolved_yaml(self.stage).encode())
        keeper = Keeper(store, records, self.config.Global.keep_last, _fingerprint(self.config))
        metrics = (self._train_metrics(), self._eval_names())
        hooks = default_hooks(self.config, self.plan, Outputs(folder, records, keeper), metrics, self.loader)
        fit(self.state, self.loader, hooks, self.plan, self._evaluate)
        return self.state

    def _tell_changes(self, unit: Unit) -> None:
        """Warn where a setting that changes numbers differs from what the checkpoint was trained with."""
        before = unit.manifest.info.config if unit.manifest is not None else {}
        now = _fingerprint(self.config)
        changed = sorted(name for name in before | now if before and before.get(name) != now.get(name))
        if changed:
            _LOG.warning("%s changed since the checkpoint: this is no longer the run that began", ", ".join(changed))

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
                self.judge.metrics.update(self.engine.network(batch.images), batch.labels)
                numbers = (len(batch.labels), self.judge.metrics.local())
                _LOG.info("[dry run] one evaluation batch of %d pictures: %s", *numbers)

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
            self.config.Optimizer, network, epochs=self.plan.epochs, step_each_epoch=updates, scale=scale
        )
        average = copy.deepcopy(network) if self.config.EMA is not None else None
        return TrainState(
            network=network,
            model=dist.wrap(network),
            loss=build_loss(self.config.Loss.Train),
            optimizer=optimizer,
            schedule=schedule,
            seed=self.engine.seed,
            epochs=self.plan.epochs,
            epoch_batches=batches,
            epoch_updates=updates,
            average=average,
            eval_models={"": network} | ({"ema_": average} if average is not None else {}),
        )

    def _evaluate(self, state: TrainState) -> dict[str, float]:
        for model in state.eval_models.values():
            dist.share_statistics(model)
        return judge_all(state.eval_models, self.judge, state.epoch)

    def _train_metrics(self) -> Metrics | None:
        entries = self.config.Metric.Train
        if entries and self.config.DataLoader.Train.dataset.batch_transform_ops:
            _LOG.warning("Metric.Train is left out: batch_transform_ops mix the labels it would judge by")
            return None
        return build_metrics(entries, self.config.Arch.class_num) if entries else None

    def _eval_names(self) -> list[str]:
        names = self.judge.metrics.names() if self.judge is not None else []
        return [f"{prefix}{name}" for prefix in self.state.eval_models for name in names]


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


def _fingerprint(config: Config) -> dict[str, str]:
    """A hash of every section that changes numbers, for the manifest."""
    values: dict[str, Any] = plain(config)
    values["Global"] = {key: value for key, value in values["Global"].items() if key not in _FREE_KEYS}
    wanted = ("Global", "Arch", "Loss", "Optimizer", "DataLoader", "EMA")
    texts = {name: json.dumps(values[name], sort_keys=True, default=str) for name in wanted if name in values}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}

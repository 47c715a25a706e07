"""The hooks of a run, in the order in which they act, with the reason for that order."""

from dataclasses import dataclass
from pathlib import Path

from ppcls.config import Config
from ppcls.data import Loader
from ppcls.engine.hooks.bad_pictures import BadPictures
from ppcls.engine.hooks.checkpoint import Checkpoint
from ppcls.engine.hooks.curves import Curves
from ppcls.engine.hooks.ema import Ema
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.hooks.log import Log
from ppcls.engine.hooks.nan_guard import NanGuard
from ppcls.engine.hooks.preemption import Preemption
from ppcls.engine.hooks.progress import Progress
from ppcls.engine.hooks.visualdl import VisualDL
from ppcls.engine.plan import Plan
from ppcls.engine.records import Records
from ppcls.engine.saving import Keeper
from ppcls.metric import Metrics
from ppcls.registry import HOOKS
from ppcls.utils import dist


@dataclass(frozen=True)
class Outputs:
    """Where a run writes: its folder, its tables and its checkpoints."""

    folder: Path
    records: Records
    keeper: Keeper


def default_hooks(
    config: Config, plan: Plan, outputs: Outputs, metrics: tuple[Metrics | None, list[str]], loader: Loader
) -> list[Hook]:
    """What every run has, then what ``Hooks:`` adds.

    Args:
        metrics: judge of the training batches, or None; and the names of the numbers an evaluation gives.
        loader: of the training batches, for the names of bad pictures.
    """
    train_metrics, eval_names = metrics
    main = dist.is_main()
    hooks: list[Hook] = [
        NanGuard(plan, loader.where),  # first: nothing after a bad step may be printed as if it were good, or saved
        Log(plan, train_metrics, outputs.records if main else None, eval_names, config.Global.print_mem_info),
    ]
    if config.EMA is not None:
        hooks.append(Ema(config.EMA.decay))
    if dist.rank() in config.Global.log_ranks:
        hooks.append(Progress())
    if config.Global.use_visualdl and main:
        hooks.append(VisualDL(plan, outputs.folder / "vdl"))
    hooks += [HOOKS.build(component) for component in config.Hooks]
    hooks.append(Checkpoint(plan, outputs.keeper.save))  # after what writes rows: a unit knows their lengths
    hooks.append(Preemption(outputs.keeper.save))  # after the save: what it stops is complete
    if main:
        hooks += [BadPictures(loader.bad, outputs.folder), Curves(outputs.folder)]
    return hooks

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
from ppcls.registry import HOOKS
from ppcls.utils import dist


@dataclass(frozen=True)
class Outputs:
    """Where a run writes: its folder, its tables, its account of bad pictures, its checkpoints; and who ends it."""

    folder: Path
    records: Records
    bad: BadPictures
    keeper: Keeper
    preemption: Preemption


def default_hooks(config: Config, plan: Plan, outputs: Outputs, eval_names: list[str], loader: Loader) -> list[Hook]:
    """What every run has, then what ``Hooks:`` adds.

    Args:
        eval_names: of the numbers an evaluation gives.
        loader: of the training batches, for the names of bad pictures.
    """
    main = dist.is_main()
    hooks: list[Hook] = [
        NanGuard(plan, loader.where),  # first: nothing after a bad step may be printed as if it were good, or saved
        Log(plan, outputs.records if main else None, eval_names, config.Global.print_mem_info),
    ]
    if config.EMA is not None:
        hooks.append(Ema(config.EMA.decay))
    if dist.rank() in config.Global.log_ranks:
        hooks.append(Progress())
    if config.Global.use_visualdl and main:
        hooks.append(VisualDL(outputs.records, outputs.folder / "vdl"))
    hooks += [HOOKS.build(component) for component in config.Hooks]
    hooks.append(Checkpoint(plan, outputs.keeper.save))  # after what writes rows: a unit knows their lengths
    hooks.append(outputs.preemption)  # after the save: what it stops is complete
    hooks.append(outputs.bad)
    if main:
        hooks.append(Curves(outputs.folder))
    return hooks

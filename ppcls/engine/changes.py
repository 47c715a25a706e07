"""What may not change between a checkpoint and its continuation, and what is said when it did."""

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paddle

from ppcls.config import Config, Stage
from ppcls.config.dump import plain
from ppcls.utils import compat, dist
from ppcls.utils.checkpoint import Unit
from ppcls.utils.errors import WeightsError

_LOG = logging.getLogger("ppcls")
_SECTIONS = ("Global", "Arch", "Loss", "Optimizer", "DataLoader", "AMP", "EMA")
_SHOWN = 5
# Where things are, what is printed and kept, and who decodes: the weights are the same.
_FREE = {
    *("output_dir", "device", "checkpoints", "pretrained_model", "save_inference_dir", "image_shape"),
    *("print_batch_step", "log_ranks", "use_visualdl", "print_mem_info", "watchdog_s", "on_nan"),
    *("save_interval", "save_every_steps", "keep_last", "eval_during_train", "eval_interval", "start_eval_epoch"),
}
_LIST = "list of DataLoader.{}"
_FREE_ELSEWHERE = {"pretrained", "loader", "image_root", "cls_label_path", "infer_add_softmax"}


def fingerprint(config: Config) -> dict[str, str]:
    """Dotted key -> value for all that decides the numbers of a run, data lists by their content if it reads them."""
    document = plain(config)
    values = {key: json.dumps(value, default=str) for key, value in _flat(document, "") if _counts(key)}
    for split, loader in document.get("DataLoader", {}).items():
        path = loader["dataset"].get("cls_label_path")
        if path is not None and (split == "Train" or config.Global.eval_during_train):
            values[_LIST.format(split)] = f"sha256 {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    return values | {"ranks": str(dist.world_size())}


def require_unchanged(unit: Unit, config: Config, *, allow: bool) -> None:
    """Compare with what the checkpoint was trained with; a checkpoint without a manifest cannot be compared.

    Raises:
        WeightsError: ``config-changed``: names keys and both values, unless ``allow``, which makes it a warning.
    """
    if unit.manifest is None:
        return
    before, now = unit.manifest.info.config, fingerprint(config)
    unread = {_LIST.format("Eval")} - (before.keys() & now.keys())  # one of the two did not evaluate
    changed = [key for key in before | now if before.get(key) != now.get(key) and key not in unread]
    if changed:
        shown = [f"{key} was {before.get(key, 'absent')}, is {now.get(key, 'absent')}" for key in changed[:_SHOWN]]
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        text = f"changed since the checkpoint: {'; '.join(shown)}{more}"
        if not allow:
            raise WeightsError(f"{text}; set it back, or go on with --allow-config-change", "config-changed")
        _LOG.warning("%s: this is no longer the run that began", text)
    _tell_machine(unit)


def with_seed_of(stage: Stage, unit: Unit) -> Stage:
    """The stage with the seed that the run drew when it began, where the config leaves it open."""
    drawn = unit.manifest.info.config.get("Global.seed") if unit.manifest is not None else None
    if stage.config.Global.seed is not None or drawn is None:
        return stage
    settings = dataclasses.replace(stage.config.Global, seed=json.loads(drawn))
    return dataclasses.replace(stage, config=dataclasses.replace(stage.config, Global=settings))


def compute_threads() -> int:
    """Threads that Paddle computes with on a CPU; 0 when nobody said."""
    return int(os.environ.get("OMP_NUM_THREADS", "0") or 0)


def _tell_machine(unit: Unit) -> None:
    info = unit.manifest.info
    pairs = {
        "device": (info.device, paddle.get_device()),
        "compute threads": (info.compute_threads, compute_threads()),
        "paddle": (info.versions.get("paddle"), compat.paddle_version()),
    }
    texts = [f"{what} {before}, now {now}" for what, (before, now) in pairs.items() if before != now]
    if texts:
        _LOG.warning("the checkpoint was taken with %s: what follows is not bit-equal", "; ".join(texts))


def _counts(key: str) -> bool:
    section, *parts = key.split(".")
    if section == "Global":
        return parts[0] not in _FREE
    return section in _SECTIONS and not _FREE_ELSEWHERE & set(parts)


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{key}.{number}")
    else:
        yield key, value

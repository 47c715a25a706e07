"""Checkpoints: units that appear whole by one rename, and the names that point at them.

<run folder>/checkpoints/step-000001234-0/model.{pdparams,pdema,pdopt,pdstates,manifest.json}
<run folder>/latest.*  best_model.*  epoch_12.*       hard links to a unit's files
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppcls.utils.errors import ConfigError, NonFiniteError, PpclsError, WeightsError
from ppcls.utils.files import Lock, link_over, output_errors, sync_folder, write_synced
from ppcls.utils.manifest import SUFFIX, FileMark, Manifest, UnitInfo, read_manifest, read_verified, tensor_table
from ppcls.utils.unpickle import dumps, loads
from ppcls.utils.weights import NAMES_KEY, dump_pdparams, first_non_finite, parse_weights

_LOG = logging.getLogger("ppcls")
_UNIT = re.compile(r"step-(\d{9,})-(\d+)")
_SUFFIXES = (".pdparams", ".pdema", ".pdopt", ".pdstates", SUFFIX)  # the manifest last: it vouches for the others
_LEFTOVERS = (".tmp-*", ".del-*", ".link-*")


@dataclass(frozen=True)
class Payload:
    """What a checkpoint holds, on the host.

    ``params`` and ``ema`` map names in the model to arrays; ``opt`` accumulator names to arrays, and ``LR_Scheduler``
    to a dict; ``states`` are plain values, among them ``epoch`` and ``metric`` for PaddleClas; ``parameter_names`` map
    names in the model to Paddle's own.
    """

    params: dict[str, np.ndarray]
    opt: dict[str, Any]
    states: dict[str, Any]
    ema: dict[str, np.ndarray] | None = None
    parameter_names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A checkpoint that was read and, if it has a manifest, verified."""

    prefix: Path
    payload: Payload
    manifest: Manifest | None


class CheckpointStore:
    """The checkpoints of one run folder. Rank 0 alone writes; any rank may ``load``."""

    def __init__(self, run_folder: Path) -> None:
        self.run_folder = run_folder
        self.folder = run_folder / "checkpoints"

    def lock(self) -> Lock:
        """The right to train in this folder; ConfigError (``locked``) names who has it."""
        return Lock(self.run_folder / "run.lock")

    def units(self) -> list[Path]:
        """The folders of all units, oldest first, by step and suffix as numbers."""
        found = [path for path in self.folder.glob("step-*") if _UNIT.fullmatch(path.name) and path.is_dir()]
        return sorted(found, key=_order)

    def save(
        self,
        payload: Payload,
        info: UnitInfo,
        names: Sequence[str] = ("latest",),
        written: Callable[[], None] = lambda: None,
    ) -> Path:
        """Commit a unit, let ``names`` point at it, and return its folder; the disk has it then.

        The run's folder must be there. A unit of that step and suffix that stands and verifies is left as it is.

        Args:
            written: called after every file.
        Raises:
            NonFiniteError: a tensor holds NaN or infinity; nothing is written.
            PpclsError: the system refused (disk-full, output, io-error); older units are as they were.
        """
        _require_finite(payload, info.step)
        unit = self.folder / f"step-{info.step:09d}-{info.suffix}"
        with output_errors(unit):
            if not self._stands(unit):
                self._commit(unit, payload, info, tuple(names), written)
            for name in names:
                self._link(unit, name)
            sync_folder(self.run_folder)
        return unit

    def newest(self) -> Unit | None:
        """The unit with the highest step and suffix that verifies; None when there are no units.

        Bad ones above it are named in a warning, set aside as ``bad-step-...``, and the names point past them.

        Raises:
            WeightsError: there are units, but none is whole; gives each one's reason, and moves none.
        """
        bad: list[tuple[Path, PpclsError]] = []
        for path in reversed(self.units()):
            try:
                unit = self.load(path)
            except PpclsError as error:
                bad.append((path, error))
                continue
            for worse, reason in bad:
                _LOG.warning("%s is set aside as %s: %s", worse, _set_aside(worse).name, reason)
            if bad:
                self._repair_links()
            return unit
        if bad or any(self.folder.glob("bad-step-*")):
            reasons = "; ".join(f"{path.name}: {error}" for path, error in bad) or "all were set aside before"
            raise WeightsError(f"no checkpoint in {self.folder} is whole: {reasons}", "damaged")
        return None

    @staticmethod
    def load(source: Path) -> Unit:
        """Read a unit's folder or a prefix such as ``output/latest``.

        Without a manifest, as PaddleClas leaves it, it loads with a warning; a unit's folder must have one.

        Raises:
            ConfigError: there is no such checkpoint, or one of its files is missing.
            WeightsError: it is damaged, or asks for more than values.
        """
        prefix = source
        if source.is_dir() and not Path(f"{source}.pdparams").exists():
            prefix = source / "model"
            if _UNIT.fullmatch(source.name):
                _require_complete(source)
        manifest = read_manifest(prefix)
        parts = {suffix: _read_part(prefix, suffix, manifest) for suffix in (".pdparams", ".pdopt", ".pdstates")}
        if manifest is None:
            _LOG.warning("%s has no manifest, so nothing tells whether it is undamaged", prefix)
        has_ema = ".pdema" in manifest.files if manifest else Path(f"{prefix}.pdema").exists()
        weights = parse_weights(parts[".pdparams"], f"{prefix}.pdparams")
        ema = _read_part(prefix, ".pdema", manifest) if has_ema else None
        payload = Payload(
            params=weights.arrays,
            opt=_parse_mapping(parts[".pdopt"], f"{prefix}.pdopt"),
            states=_parse_mapping(parts[".pdstates"], f"{prefix}.pdstates"),
            ema=parse_weights(ema, f"{prefix}.pdema").arrays if ema is not None else None,
            parameter_names=weights.parameter_names,
        )
        return Unit(prefix, payload, manifest)

    def prune(self, keep_last: int) -> None:
        """Delete all but the newest ``keep_last`` units, at least 1. What a name points at lives on under that name."""
        for path in self.units()[: -max(keep_last, 1)]:
            doomed = path.with_name(f".del-{path.name}")
            try:
                path.rename(doomed)
                shutil.rmtree(doomed)
            except OSError as error:
                _LOG.warning("%s cannot be deleted (%s); it stays and takes its room", path, error.strerror or error)

    def clean(self) -> None:
        """At the start of a run, under the lock: remove what a killed process left, and finish moving its links."""
        for folder in (self.folder, self.run_folder):
            for leftover in [path for pattern in _LEFTOVERS for path in folder.glob(pattern)]:
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    with suppress(OSError):
                        leftover.unlink()
        self._repair_links()

    def _commit(
        self, unit: Path, payload: Payload, info: UnitInfo, names: tuple[str, ...], written: Callable[[], None]
    ) -> None:
        aside = self.folder / f".tmp-{unit.name}-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)  # not its parents: a run whose folder was removed ends
        aside.mkdir()
        try:
            _require_space(aside, payload)
            files = {}
            for suffix, data in _encode(payload):
                write_synced(aside / f"model{suffix}", data)
                files[suffix] = FileMark.of(data)
                written()
            manifest = Manifest(info, files, tensor_table(payload.params), names)
            write_synced(aside / f"model{SUFFIX}", manifest.to_bytes())
            sync_folder(aside)
            aside.rename(unit)
            sync_folder(self.folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _stands(self, unit: Path) -> bool:
        """Whether the unit is there and whole; a broken one is set aside."""
        if not unit.exists():
            return False
        try:
            self.load(unit)
        except PpclsError as error:
            _LOG.warning("%s is set aside as %s: %s", unit, _set_aside(unit).name, error)
            return False
        return True

    def _link(self, unit: Path, name: str) -> None:
        for suffix in _SUFFIXES:
            source, target = unit / f"model{suffix}", self.run_folder / f"{name}{suffix}"
            if source.exists():
                link_over(source, target)
            else:
                target.unlink(missing_ok=True)

    def _repair_links(self) -> None:
        """Let every name point at the newest unit that was saved for it."""
        wanted: dict[str, tuple[Path, Manifest]] = {}
        for unit in self.units():
            with suppress(PpclsError):  # a broken manifest is told by ``newest``
                manifest = read_manifest(unit / "model")
                if manifest:
                    wanted |= dict.fromkeys(manifest.names, (unit, manifest))
        for name, (unit, manifest) in wanted.items():
            if not self._points_at(name, unit, manifest):
                with output_errors(self.run_folder / name):
                    self._link(unit, name)

    def _points_at(self, name: str, unit: Path, manifest: Manifest) -> bool:
        link, original = self.run_folder / f"{name}{SUFFIX}", unit / f"model{SUFFIX}"
        if not link.is_file() or link.read_bytes() != original.read_bytes():
            return False
        files = {suffix: self.run_folder / f"{name}{suffix}" for suffix in manifest.files}
        return all(path.is_file() and path.stat().st_size == manifest.files[s].bytes for s, path in files.items())


def unit_step(unit: Path) -> int:
    """The updates done when the unit in this folder was taken."""
    return _order(unit)[0]


def _order(unit: Path) -> tuple[int, int]:
    step, suffix = _UNIT.fullmatch(unit.name).groups()
    return int(step), int(suffix)


def _set_aside(unit: Path) -> Path:
    """Rename a bad unit to ``bad-step-...``, under a free name, and return that."""
    target = unit.with_name(f"bad-{unit.name}")
    number = 1
    while target.exists():
        number += 1
        target = unit.with_name(f"bad-{unit.name}.{number}")
    with output_errors(target):
        unit.rename(target)
    return target


def _require_complete(unit: Path) -> None:
    """A unit holds its manifest and exactly the files that lists."""
    manifest = read_manifest(unit / "model")
    if manifest is None:
        raise WeightsError(f"{unit} has no model{SUFFIX}", "damaged")
    unknown = {path.name for path in unit.iterdir()} - {f"model{s}" for s in (*manifest.files, SUFFIX)}
    if unknown:
        raise WeightsError(f"{unit} holds {sorted(unknown)[0]}, which its manifest does not list", "damaged")


def _read_part(prefix: Path, suffix: str, manifest: Manifest | None) -> bytes:
    try:
        return read_verified(prefix, suffix, manifest)
    except ConfigError as error:
        raise ConfigError(f"{error}; to resume, {prefix} needs .pdparams, .pdopt and .pdstates") from error


def _parse_mapping(data: bytes, where: str) -> dict[str, Any]:
    """A mapping, or the list of mappings that PaddleClas 2.6 writes, as one."""
    value = loads(data, where)
    merged: dict[str, Any] = {}
    for part in value if isinstance(value, list) else [value]:
        if not isinstance(part, dict):
            raise WeightsError(f"{where} is damaged: it holds a {type(part).__name__}; expected a mapping", "damaged")
        merged |= part
    merged.pop(NAMES_KEY, None)
    return merged


def _encode(payload: Payload) -> Iterator[tuple[str, bytes]]:
    """The files of a unit, one at a time, so that only one is in memory twice."""
    yield ".pdparams", dump_pdparams(payload.params, payload.parameter_names)
    if payload.ema is not None:
        yield ".pdema", dump_pdparams(payload.ema, payload.parameter_names)
    yield ".pdopt", dumps(payload.opt)
    states = dumps(payload.states)
    loads(states, "states")  # a value that could not be read back would be noticed only on resume
    yield ".pdstates", states


def _arrays(payload: Payload) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from (("weights", payload.params), ("averaged weights", payload.ema or {}), ("optimizer state", payload.opt))


def _require_finite(payload: Payload, step: int) -> None:
    for part, arrays in _arrays(payload):
        name = first_non_finite(arrays)
        if name is not None:
            raise NonFiniteError(
                f"{part}: {name} holds NaN or infinity at step {step}; nothing is saved, the units before are kept"
            )


def _require_space(folder: Path, payload: Payload) -> None:
    arrays = [array for _, part in _arrays(payload) for array in part.values() if isinstance(array, np.ndarray)]
    needed = int(1.2 * sum(array.nbytes for array in arrays))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PpclsError(
            f"cannot write {folder.parent}: it needs {needed} bytes and {free} are free; free some space, or lower "
            "Global.keep_last or save_interval",
            "disk-full",
        )

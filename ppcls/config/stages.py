"""A file and its ``Stages:`` -> one configuration and one folder a stage."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppcls.config.catalogue import Catalogue, build_catalogue
from ppcls.config.check import Problem
from ppcls.config.load import copy, load_document, merge
from ppcls.config.override import Override, apply_override, parse_override
from ppcls.config.parse import parse_config
from ppcls.config.schema import Config
from ppcls.utils.errors import ConfigError
from ppcls.utils.text import printable


@dataclass(frozen=True)
class Stage:
    """One training, or the one thing that eval, infer and export look at."""

    name: str  # "" where the file has no Stages
    config: Config
    folder: Path  # <output_dir>/<Arch.name>/[<name>/]
    overrides: frozenset[str] = frozenset()  # the dotted keys that -o has set


@dataclass(frozen=True)
class Run:
    """What one YAML asks for, stage after stage."""

    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class _Draft:
    """A stage before its values are checked."""

    name: str
    document: dict[str, Any]
    overrides: frozenset[str]


def load_run(path: str | Path, overrides: Sequence[str] = (), mode: str = "train") -> Run:
    """The stages of a YAML, every name and value checked; nothing of paddle is imported.

    Args:
        path: tried as it is, then under the ``configs`` folder next to the package.
        overrides: ``key=value`` each, in order; the last one wins.
        mode: train, eval, infer or export; sections it does not use may be absent.
    Raises:
        ConfigError: all problems of the file together, a line each.
    """
    file = find_config(path)
    problems: list[Problem] = []
    drafts = _drafts(load_document(file), [parse_override(text) for text in overrides], problems)
    catalogue = build_catalogue()
    stages = [_stage(draft, mode, catalogue, problems) for draft in drafts]
    if problems:
        raise ConfigError(report(str(path), _unique(problems, [draft.name for draft in drafts])))
    return Run(tuple(stage for stage in stages if stage))


def find_config(path: str | Path) -> Path:
    """The file behind ``-c``: the path as it is, or under the ``configs`` folder next to the package."""
    candidates = (Path(path), Path(__file__).resolve().parents[2] / "configs" / path)
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    if os.path.isdir(candidates[0]):
        raise ConfigError(f"{path} is a folder; expected a YAML file")
    if candidates[0] == candidates[1]:
        raise ConfigError(f"no such config: {path}")
    raise ConfigError(f"no such config: {candidates[0]}; nor {candidates[1]}")


def report(path: str, problems: Sequence[Problem]) -> str:
    """All problems as one block of text: a heading, then aligned lines."""
    problems = [Problem(printable(problem.key), printable(problem.text)) for problem in problems]
    width = max(len(problem.key) for problem in problems)
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return "\n".join([f"{path}: {count}", *(f"  {problem.key:<{width}}  {problem.text}" for problem in problems)])


def _drafts(document: dict[str, Any], overrides: Sequence[Override], problems: list[Problem]) -> list[_Draft]:
    """One document a stage: the file, its entry over it, then ``-o`` over both."""
    entries = document.pop("Stages", None)
    common = [override for override in overrides if override.path[0] != "Stages"]
    special = [override for override in overrides if override.path[0] == "Stages"]
    if entries is None:
        problems += [Problem(override.key, "this file has no Stages") for override in special]
        return [_draft("", document, common, problems)]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        problems.append(Problem("Stages", "expected a list of mappings, each with a name"))
        return []
    chosen = [_choose(override, len(entries), problems) for override in special]
    drafts = []
    for index, entry in enumerate(entries):
        own = [override for number, override in chosen if number == index]
        for rename in (override for override in own if override.path == ("name",)):
            entry["name"] = rename.value
        name = _name(entry.pop("name", None), index, [draft.name for draft in drafts], problems)
        own = [*common, *(override for override in own if override.path != ("name",))]
        drafts.append(_draft(name, merge(document, entry), own, problems))
    return drafts


def _draft(name: str, document: dict[str, Any], overrides: Sequence[Override], problems: list[Problem]) -> _Draft:
    document = copy(document)
    keys = set()
    for override in overrides:
        try:
            keys.add(apply_override(document, override))
        except ValueError as error:
            problems.append(Problem(_under(name, override.key), str(error)))
    return _Draft(name, document, frozenset(keys))


def _choose(override: Override, count: int, problems: list[Problem]) -> tuple[int, Override]:
    """The stage that ``Stages.1.Global.epochs`` means, and what is left of the path; -1 for none."""
    _, *rest = override.path
    if len(rest) < 2 or not re.fullmatch(r"-?\d+", rest[0]) or not -count <= int(rest[0]) < count:
        last = f"0 to {count - 1}" if count > 1 else "0"
        problems.append(Problem(override.key, f"expected Stages.<index>.<key>, index {last}"))
        return -1, override
    return int(rest[0]) % count, Override(tuple(rest[1:]), override.value)


def _name(name: Any, index: int, taken: Sequence[str], problems: list[Problem]) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        problems.append(Problem(f"Stages.{index}.name", f"expected a word that can name a folder; got {name!r}"))
        return f"Stages.{index}"
    if name.lower() in [other.lower() for other in taken]:
        problems.append(Problem(f"Stages.{index}.name", f"{name!r} is taken; two stages need two folders"))
    return name


def _stage(draft: _Draft, mode: str, catalogue: Catalogue, problems: list[Problem]) -> Stage | None:
    config, found = parse_config(draft.document, mode, catalogue)
    problems += [Problem(_under(draft.name, problem.key), problem.text) for problem in found]
    if config is None:
        return None
    folder = Path(config.Global.output_dir) / config.Arch.name / draft.name
    return Stage(draft.name, config, folder, draft.overrides)


def _under(stage: str, key: str) -> str:
    return f"{stage}: {key}" if stage else key


def _unique(problems: Sequence[Problem], stages: Sequence[str]) -> list[Problem]:
    """Each problem once: what is wrong in every stage is wrong in the file, and loses the stage's name."""
    unique: dict[Problem, None] = {}
    for problem in problems:
        stage, colon, key = problem.key.partition(": ")
        everywhere = bool(colon) and all(Problem(_under(name, key), problem.text) in problems for name in stages)
        unique[Problem(key, problem.text) if everywhere and stage in stages else problem] = None
    return list(unique)

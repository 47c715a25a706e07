"""``ppcls train -p 'batch_range=[10, 20]; timer_only=False'``: text -> what to profile."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppcls.config.load import load_text, scalar
from ppcls.config.values import Mismatch, convert, show
from ppcls.utils.errors import ConfigError
from ppcls.utils.suggest import did_you_mean


@dataclass(frozen=True)
class ProfilerOptions:
    """What to profile, and how to show it; names and defaults are PaddleClas's.

    ``batch_range`` are the first batch and the one behind the last, of a stage in this process, from 0.
    """

    batch_range: tuple[int, int] = (10, 20)
    state: Literal["All", "CPU", "GPU"] = "All"
    sorted_key: Literal["default", "total", "max", "min", "ave"] = "total"
    tracer_option: Literal["Default", "OpDetail", "AllOpDetail"] = "Default"
    profile_path: str | None = None
    exit_on_finished: bool = True
    timer_only: bool = True

    @property
    def without_effect(self) -> list[str]:
        """The keys that were set and that a mere timer does not look at."""
        keys = ("state", "sorted_key", "tracer_option") if self.timer_only else ()
        return [key for key in keys if getattr(self, key) != getattr(ProfilerOptions, key)]


def parse_profiler_options(text: str) -> ProfilerOptions:
    """``key=value; key=value``, blanks around each allowed.

    Raises:
        ConfigError: (``usage``) an unknown key, a value that does not fit, a key twice, or none at all.
    """
    kinds = {field.name: str(field.type) for field in dataclasses.fields(ProfilerOptions)}
    values: dict[str, Any] = {}
    for pair in [pair.strip() for pair in text.split(";") if pair.strip()]:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise _wrong(f"{show(pair)}: expected key=value; separate several by ;")
        if key not in kinds:
            raise _wrong(f"unknown key {show(key)}{did_you_mean(key, kinds) or f'; there are {_listed(kinds)}'}")
        if key in values:
            raise _wrong(f"{key} is given twice")
        values[key] = _value(key, value, kinds[key])
    if not values:
        raise _wrong(f"expected key=value with keys of {_listed(kinds)}; got {show(text)}")
    return _checked(ProfilerOptions(**values))


def _value(key: str, text: str, kind: str) -> Any:
    try:
        if text[:1] == "[":
            return convert(load_text(text, "its value"), kind)
        value = scalar(text)
        return convert(text if value is not None and kind.startswith("str") else value, kind)
    except Mismatch as mismatch:
        nearest = did_you_mean(text, _choices(kind))
        raise _wrong(f"{key}: {mismatch}{nearest}") from None
    except ValueError as error:
        raise _wrong(f"{key}: {error}") from error


def _choices(kind: str) -> list[str]:
    """``All``, ``CPU``, ``GPU`` of ``Literal['All', 'CPU', 'GPU']``."""
    return re.findall(r"'(\w+)'", kind)


def _checked(options: ProfilerOptions) -> ProfilerOptions:
    first, last = options.batch_range
    if not 0 <= first < last:
        raise _wrong(f"batch_range: expected [first, last] with 0 <= first < last; got [{first}, {last}]")
    path = options.profile_path
    try:
        is_folder = path is not None and Path(path).is_dir()
    except OSError as error:
        raise _wrong(f"profile_path: {error.strerror}: {show(path)}") from error
    if is_folder:
        raise _wrong(f"profile_path: expected the name of a file to write; got {show(path)}")
    return options


def _listed(keys: dict[str, str]) -> str:
    return ", ".join(keys)


def _wrong(problem: str) -> ConfigError:
    return ConfigError(problem, "usage")

"""A resolved stage as YAML that loads to the same, and as the lines that a run prints first."""

import dataclasses
from typing import Any

import yaml

from ppcls.config import schema
from ppcls.config.load import is_plain_text
from ppcls.config.schema import Component, Config
from ppcls.config.stages import Stage


def resolved_yaml(stage: Stage) -> str:
    """The stage with every default written out; running that text repeats the stage, in the same folder."""
    document = plain(stage.config)
    if stage.name:
        document["Stages"] = [{"name": stage.name}]
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)


def describe(stage: Stage) -> list[str]:
    """``key : value`` lines, 4 spaces a level; what ``-o`` has set says so."""
    return _lines(plain(stage.config), "", 0, stage.overrides)


def plain(config: Config) -> dict[str, Any]:
    """The configuration as YAML would hold it, without the sections that are not there."""
    return {name: value for name, value in _plain(config).items() if value is not None and value != {} and value != []}


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return {"name": value.name, **_plain(value.kwargs)}
    if dataclasses.is_dataclass(value):
        return _plain_section(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [{item.name: _plain(item.kwargs)} if isinstance(item, Component) else _plain(item) for item in value]
    return value


def _plain_section(section: Any) -> dict[str, Any]:
    values = {field.name: _plain(getattr(section, field.name)) for field in dataclasses.fields(section)}
    if isinstance(section, schema.OptimizerConfig):
        values["lr"]["base_batch_size"] = values.pop("base_batch_size")
    if isinstance(section, schema.DataLoaderConfig | schema.PerSplit):
        values = {split: value for split, value in values.items() if value}
    component = values.pop("component", {})
    return {**component, **values}


class _Dumper(yaml.SafeDumper):
    """YAML as a person would write it: no aliases, and floats that YAML 1.2 readers take for floats."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out, however often it occurs."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text in quotes where our loader would read something else: ``'None'``, ``'1e-3'``."""
    style = None if is_plain_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _lines(value: dict[str, Any], key: str, level: int, overrides: frozenset[str]) -> list[str]:
    lines = []
    for name, item in value.items():
        path = f"{key}.{name}" if key else name
        mark = "    (-o)" if path in overrides else ""
        head = f"{'    ' * level}{name} : "
        if isinstance(item, dict):
            lines += [(head + mark).rstrip(), *_lines(item, path, level + 1, overrides)]
        elif isinstance(item, list) and any(isinstance(entry, dict) for entry in item):
            lines.append((head + mark).rstrip())
            for index, entry in enumerate(item):
                lines += _lines(entry, f"{path}.{index}", level + 1, overrides)
        else:
            lines.append(f"{head}{item}{mark}")
    return lines

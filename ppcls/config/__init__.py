"""YAML -> frozen dataclasses. ``load_run`` is the way in; nothing here imports paddle."""

from ppcls.config.dump import describe, resolved_yaml
from ppcls.config.schema import Component, Config
from ppcls.config.stages import Run, Stage, find_config, load_run
from ppcls.utils.errors import ConfigError

__all__ = [
    "Component",
    "Config",
    "ConfigError",
    "Run",
    "Stage",
    "describe",
    "find_config",
    "load_run",
    "resolved_yaml",
]

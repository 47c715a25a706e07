"""Reads one mapping of a YAML into one dataclass, and says what does not fit."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ppcls.config import schema
from ppcls.config.catalogue import Catalogue
from ppcls.config.check import Problem, UnknownArgument, check_component
from ppcls.config.refused import OFF, REFUSED
from ppcls.config.schema import Component
from ppcls.config.values import Mismatch, convert, show
from ppcls.utils.suggest import did_you_mean

T = TypeVar("T")


class Reader:
    """Problems found so far, and the rules to find more.

    Args:
        in_use: False for a section that the mode does not use: what is missing there, or not offered, does no harm.
    """

    def __init__(self, mode: str, catalogue: Catalogue, in_use: bool = True) -> None:
        self.mode = mode
        self.catalogue = catalogue
        self.in_use = in_use
        self.problems: list[Problem] = []

    def when(self, in_use: bool) -> "Reader":
        """A reader of a section that is used or not; its problems join this one's."""
        other = Reader(self.mode, self.catalogue, in_use)
        other.problems = self.problems
        return other

    def add(self, key: str, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(key, text))

    def demand(self, key: str, text: str) -> None:
        """Note a problem that counts only where the section is used."""
        if self.in_use:
            self.add(key, text)

    def mapping(self, value: Any, key: str) -> dict[str, Any]:
        """A copy of the mapping; ``null`` is an empty one."""
        if value is not None and not isinstance(value, dict):
            self.add(key, f"expected a mapping; got {show(value)}")
        return dict(value) if isinstance(value, dict) else {}

    def own(
        self, cls: type, values: Mapping[str, Any], key: str, section: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What belongs to the fields of ``cls``, and the rest, less what is known to be off or refused."""
        names = [field.name for field in dataclasses.fields(cls) if not field.metadata.get("at")]
        own = {name: values[name] for name in names if name in values}
        rest = {name: value for name, value in values.items() if name not in own}
        return own, self.drop_known(rest, key, section)

    def drop_known(self, rest: dict[str, Any], key: str, section: str) -> dict[str, Any]:
        """Without the keys that PaddleClas knows and we do not offer; those that ask for something are noted."""
        off, refused = OFF.get(section, {}), REFUSED.get(section, {})
        for name, value in rest.items():
            if name in refused:
                self.demand(join(key, name), f"is not offered: {refused[name]}")
            elif name in off and not off[name].accepts(value):
                self.demand(join(key, name), f"{show(value)} is not offered: {off[name].reason}")
        return {name: value for name, value in rest.items() if name not in off and name not in refused}

    def unknown(self, rest: Iterable[str], allowed: Iterable[str], key: str) -> None:
        """Note the keys that nothing knows, each with the nearest of ``allowed`` or the place where it belongs."""
        for name in rest:
            hint = did_you_mean(name, allowed) or _elsewhere(name)
            self.add(join(key, name), f"unknown key{hint}")

    def section(self, cls: type[T], value: Any, key: str, section: str = "") -> T | None:
        """``cls`` from a mapping that may hold its fields and nothing else."""
        own, rest = self.own(cls, self.mapping(value, key), key, section or key)
        self.unknown(rest, [field.name for field in dataclasses.fields(cls)], key)
        return self.fields(cls, own, key)

    def fields(self, cls: type[T], own: Mapping[str, Any], key: str, **built: Any) -> T | None:
        """``cls`` from converted values and those ``built`` already; None when one of them is wrong."""
        before = len(self.problems)
        is_whole = True
        values = {}
        for field in dataclasses.fields(cls):
            if field.name in built:
                continue
            place = join(key, field.metadata.get("at") or field.name)
            if field.name in own:
                values[field.name] = self._value(field, own[field.name], place)
                continue
            if self.mode in field.metadata.get("needed", ()):
                self.demand(place, "missing")
                is_whole &= field.default is not dataclasses.MISSING
        if len(self.problems) > before or not is_whole or _is_missing(built, cls):
            return None
        made = cls(**values, **built)
        for name, text in made.problems() if hasattr(made, "problems") else ():
            self.add(join(key, name), text)
        return made

    def _value(self, field: "dataclasses.Field[Any]", value: Any, key: str) -> Any:
        read, low = field.metadata.get("read"), field.metadata.get("low")
        try:
            value = convert(read(value) if read else value, str(field.type))
        except Mismatch as mismatch:
            self.add(key, str(mismatch))
            return None
        numbers = value if isinstance(value, tuple) else [value]
        if low is not None and any(number is not None and number < low for number in numbers):
            self.add(key, f"expected at least {low}; got {show(list(value) if isinstance(value, tuple) else value)}")
        return value

    def component(self, component: Component, table: str, known: Iterable[str] = (), flat: bool = False) -> Component:
        """The component with converted arguments.

        Args:
            flat: its arguments stand beside its name, not below it.
        """
        name_key = join(component.key, "name") if flat else None
        checked, problems = check_component(component, table, self.catalogue, known, name_key)
        for problem in problems:
            note = self.add if isinstance(problem, UnknownArgument) else self.demand
            note(*problem)
        return checked

    def named(self, rest: dict[str, Any], key: str, default: str | None = None) -> Component | None:
        """The component of a section that holds ``name`` and arguments side by side."""
        name = rest.pop("name", default)
        if isinstance(name, str):
            return Component(name, rest, key)
        self.demand(join(key, "name"), "missing" if name is None else f"expected text; got {show(name)}")
        return None

    def components(self, value: Any, key: str, table: str) -> tuple[Component, ...]:
        """A list of ``{Name: {arguments}}``; ``null`` is an empty one."""
        if value is not None and not isinstance(value, list):
            self.add(key, f"expected a list of {{Name: {{arguments}}}}; got {show(value)}")
        items = value if isinstance(value, list) else []
        made = [self._item(item, f"{key}.{index}", table) for index, item in enumerate(items)]
        return tuple(component for component in made if component)

    def _item(self, item: Any, key: str, table: str) -> Component | None:
        if not isinstance(item, dict) or len(item) != 1:
            hint = f"; write {{{item}: }}" if isinstance(item, str) else ""
            self.add(key, f"expected one {{Name: {{arguments}}}}; got {show(item)}{hint}")
            return None
        name, arguments = next(iter(item.items()))
        inner = join(key, name)
        component = Component(name, self.mapping(arguments, inner), inner)
        return self.component(component, table)


def join(key: str, name: str) -> str:
    """``Global.epochs`` of ``Global`` and ``epochs``; the top level has no name."""
    return f"{key}.{name}" if key else name


def _is_missing(built: Mapping[str, Any], cls: type) -> bool:
    """Whether a value that the class needs could not be built."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    return any(value is None and "None" not in kinds[name] for name, value in built.items())


def _elsewhere(name: str) -> str:
    paths = [path for path in _paths(schema.Config, "") if path.rpartition(".")[2] == name]
    return f"; did you mean {paths[0]!r}?" if paths else ""


def _paths(cls: type, key: str) -> list[str]:
    """Every dotted key of the schema."""
    paths = []
    for field in dataclasses.fields(cls):
        path = join(key, field.name)
        inner = re.match(r"PerSplit|\w+Config", str(field.type))
        paths += _paths(getattr(schema, inner[0]), path) if inner else [path]
    return paths

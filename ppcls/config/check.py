"""A component against what its table offers: its name, its arguments, their types."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ppcls.config.catalogue import Catalogue, Entry, Table
from ppcls.config.refused import foreign
from ppcls.config.schema import Component
from ppcls.config.values import Mismatch, convert, is_plain
from ppcls.utils.suggest import did_you_mean

# What the engine passes to signatures that ask: no YAML needs to give it.
KNOWN = frozenset({"class_num", "epochs", "step_each_epoch", "seed", "rank", "world_size", "batch_size", "split"})
# What a builder takes out before the rest reaches the constructor: of an entry of a table, of an op inside another.
TAKEN = {"LOSSES": {"weight": "float"}}
TAKEN_INSIDE = {"prob": "float"}


class Problem(NamedTuple):
    """One thing wrong with a configuration."""

    key: str  # dotted, as -o would take it
    text: str


class UnknownArgument(Problem):
    """An argument that nothing knows: wrong even where it would have no effect."""


def check_component(
    component: Component,
    table: str,
    catalogue: Catalogue,
    known: Iterable[str] = (),
    name_key: str | None = None,
    taken: Mapping[str, str] | None = None,
) -> tuple[Component, list[Problem]]:
    """The component with its arguments in the types their annotations ask for, and what is wrong with it.

    Args:
        known: arguments that YAML gives elsewhere, such as the keys of the section around the component.
        name_key: the key of the name itself, where it is not the component's.
        taken: arguments that the builder takes out, with their annotations; None: those of the table.
    """
    if unknown := unknown_name(component.name, table, catalogue):
        return component, [Problem(name_key or component.key, unknown)]
    offered = catalogue[table]
    entry = offered.entries[component.name]
    taken = TAKEN.get(table, {}) if taken is None else taken
    annotations = {name: parameter.annotation for name, parameter in entry.parameters.items()} | dict(taken)
    kwargs, problems = {}, []
    for name, value in component.kwargs.items():
        key = f"{component.key}.{name}"
        kwargs[name] = value
        if name not in annotations:
            hint = did_you_mean(name, [*annotations, *known]) or _offer(annotations)
            problems.append(UnknownArgument(key, f"{component.name} has no such argument{hint}"))
        elif name in offered.entries and isinstance(value, dict):
            inner, found = check_component(Component(name, value, key), table, catalogue, taken=TAKEN_INSIDE)
            kwargs[name] = inner.kwargs
            problems += found
        else:
            try:
                kwargs[name] = convert(value, annotations[name])
            except Mismatch as mismatch:
                problems.append(Problem(key, str(mismatch)))
    problems += [Problem(f"{component.key}.{name}", "missing") for name in missing(entry, {*kwargs, *known})]
    return Component(component.name, kwargs, component.key), problems


def unknown_name(name: str, table: str, catalogue: Catalogue) -> str | None:
    """What is wrong with a name that its table does not hold; None for one it holds."""
    offered = catalogue.get(table, Table(table))
    if name in offered.entries:
        return None
    if reason := foreign(table, name, sorted(offered.entries)):
        return reason
    hint = did_you_mean(name, offered.entries)
    return f"unknown {offered.kind} {name!r}{hint or _offer(offered.entries)}"


def _offer(names: Iterable[str]) -> str:
    names = sorted(names)
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= 12 else ""


def missing(entry: Entry, given: Iterable[str]) -> list[str]:
    """Required arguments that only YAML can give: the engine gives those of ``KNOWN`` and what no YAML can write."""
    return [
        name
        for name, parameter in entry.parameters.items()
        if parameter.default is None and name not in given and name not in KNOWN and is_plain(parameter.annotation)
    ]

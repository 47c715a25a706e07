"""What YAML may name, read from the sources instead of by importing them: a typo must not cost the seconds of paddle.

A file that holds ``@OPS.register`` is parsed, never run. What is registered already in this process counts too.
"""

import ast
import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ppcls import registry
from ppcls.registry import Registry

Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Parameter:
    """One argument that YAML may pass."""

    annotation: str  # as written; "" when there is none
    default: str | None  # as written; None: required


@dataclass(frozen=True)
class Entry:
    """One registered name."""

    parameters: Mapping[str, Parameter]
    summary: str = ""  # the first line of its docstring


@dataclass(frozen=True)
class Table:
    """One registry: what messages call its members, and the members."""

    kind: str
    entries: Mapping[str, Entry] = field(default_factory=dict)


Catalogue = Mapping[str, Table]


def build_catalogue(tables: Mapping[str, Registry] | None = None, package: Path | None = None) -> Catalogue:
    """Table name (``OPS``) -> table, from the sources of ``package`` (ppcls) and what ``tables`` hold already."""
    tables = live_tables() if tables is None else tables
    scanned = _scan(package or Path(registry.__file__).parent)
    catalogue = {}
    for name, table in tables.items():
        live = {component: _live_entry(table, component) for component in table.names()}
        catalogue[name] = Table(table.kind, {**live, **scanned.get(name, {})})
    return catalogue


def live_tables() -> dict[str, Registry]:
    """The tables of ``ppcls.registry`` by their names there."""
    return {name: value for name, value in vars(registry).items() if isinstance(value, Registry)}


def _live_entry(table: Registry, name: str) -> Entry:
    parameters = {
        key: Parameter(_annotation_text(value.annotation), _default_text(value.default))
        for key, value in table.parameters(name).items()
    }
    return Entry(parameters, _first_line(inspect.getdoc(table.get(name))))


def _annotation_text(annotation: object) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if type(annotation) is type else str(annotation).replace("NoneType", "None")


def _default_text(default: object) -> str | None:
    return None if default is inspect.Parameter.empty else repr(default)


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


# Sources do not change during a process: a stage and its neighbour need not parse them twice.
@functools.cache
def _scan(package: Path) -> dict[str, dict[str, Entry]]:
    tables: dict[str, dict[str, Entry]] = {}
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if ".register" not in source:
            continue
        module = _Module(package.parent, ast.parse(source))
        for table, name, entry in module.registered():
            tables.setdefault(table, {})[name] = entry
    return tables


class _Module:
    """The top-level definitions of one file."""

    def __init__(self, root: Path, tree: ast.Module) -> None:
        self._root = root
        self._definitions = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        self._imports = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def registered(self) -> Iterator[tuple[str, str, Entry]]:
        """(table, name, entry) of every ``@TABLE.register``."""
        for name, node in self._definitions.items():
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                target = call.func if call else decorator
                if (
                    isinstance(target, ast.Attribute)
                    and target.attr == "register"
                    and isinstance(target.value, ast.Name)
                ):
                    yield target.value.id, name, self._entry(node, call)

    def _entry(self, node: Definition, call: ast.Call | None) -> Entry:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords} if call else {}
        parameters = self._parameters(node)
        if "accepts" in keywords and (found := self._find(ast.unparse(keywords["accepts"]))):
            parameters = found[0]._parameters(found[1]) | parameters
        sets = ast.literal_eval(keywords["sets"]) if "sets" in keywords else ()
        kept = {key: value for key, value in parameters.items() if key not in sets}
        return Entry(kept, _first_line(ast.get_docstring(node)))

    def _find(self, name: str) -> "tuple[_Module, Definition] | None":
        """The definition behind a name of this file, and the file it stands in."""
        if name in self._definitions:
            return self, self._definitions[name]
        module, original = self._imports.get(name, ("", name))
        path = self._root.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if module and file.is_file():
                return _Module(self._root, ast.parse(file.read_text(encoding="utf-8")))._find(original)
        return None

    def _parameters(self, node: Definition) -> dict[str, Parameter]:
        """What the definition may be given by name."""
        if isinstance(node, ast.FunctionDef):
            return _signature(node.args)
        methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        if "__init__" in methods:
            parameters = _signature(methods["__init__"].args)
            return {key: value for key, value in parameters.items() if key != "self"}
        inherited: dict[str, Parameter] = {}
        for base in node.bases:
            if found := self._find(ast.unparse(base)):
                inherited |= found[0]._parameters(found[1])
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            return inherited | _fields(node)
        return inherited


def _signature(arguments: ast.arguments) -> dict[str, Parameter]:
    named = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(named) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = [*zip(named, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return {argument.arg: Parameter(_text(argument.annotation) or "", _text(default)) for argument, default in pairs}


def _fields(node: ast.ClassDef) -> dict[str, Parameter]:
    return {
        item.target.id: Parameter(ast.unparse(item.annotation), _text(item.value))
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and "ClassVar" not in ast.unparse(item)
    }


def _text(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)

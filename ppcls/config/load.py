"""YAML text -> plain data: strict numbers, no duplicate keys, no tags that run code, ``_base_``."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yaml import MarkedYAMLError, YAMLError
from yaml.composer import Composer
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner
from yaml.tokens import Token

from ppcls.config.values import show
from ppcls.utils.errors import ConfigError
from ppcls.utils.text import printable

MAX_BYTES = 1_000_000
MAX_ALIASES = 100
MAX_DEPTH = 64
MAX_DIGITS = 1000  # of a whole number
MAX_VALUES = 100_000  # with every alias written out: what a bomb of few bytes would become

_PLAIN = "plain"  # our tag for a scalar without quotes and tag
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL", "None"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def load_document(path: Path) -> dict[str, Any]:
    """The mapping a file holds, over that of its ``_base_``; nothing in it is shared.

    Raises:
        ConfigError: unreadable, too large, not YAML, no mapping; with file, line and column.
    """
    return _with_base(path, ())


def load_text(text: str, where: str) -> Any:
    """The one value that a YAML text holds.

    Raises:
        ConfigError: not YAML, or more than the limits of this module allow; ``where:line:column`` first.
    """
    try:
        node = _compose(_Loader(text))
        if node is None:
            return None
        _check_size(node)
        return _build(node)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{where}:{line}: not text: character {error.character:#x}") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise ConfigError(f"{place}: {printable(_told(error))}") from error
    except YAMLError as error:
        raise ConfigError(f"{where}: {error}") from error


def scalar(text: str) -> Any:
    """The value of a word without quotes: YAML 1.2 numbers, true, false and null, and Python's True, False and None.

    Raises:
        ValueError: a whole number of so many digits that Python would not print it.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        # `010` is ten in YAML 1.2; int() alone would refuse it with base 0.
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=[in])", "", text.lower()))
    return text


def is_plain_text(text: str) -> bool:
    """Whether a word without quotes is this text, and not a number, a truth value or null."""
    try:
        return scalar(text) == text
    except ValueError:
        return False


def unfit(text: str) -> str | None:
    """Why a text cannot be a name, a path or a line of a log; None if it can."""
    if "\0" in text:
        return "a text with a zero byte"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "a text that is not Unicode: half of a pair of surrogates"
    return None


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``: mappings key by key, everything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def copy(value: Any) -> Any:
    """The same mappings and lists, none shared: what is set in one must not show in the other."""
    if isinstance(value, dict):
        return {key: copy(item) for key, item in value.items()}
    return [copy(item) for item in value] if isinstance(value, list) else value


def _with_base(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ConfigError(f"{path}: _base_ leads back to this file")
    document = load_text(_read(path), str(path))
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of sections; got {show(document)}")
    base = document.pop("_base_", None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise ConfigError(f"{path}: _base_: expected the path of one YAML file; got {show(base)}")
    file = path.parent / base
    if not os.path.isfile(file):  # is_file() raises for a name that is too long
        raise ConfigError(f"{path}: _base_: no such file: {printable(str(file))}")
    return merge(_with_base(file, (*above, path.resolve())), document)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; no configuration is")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from error


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Text to a graph of nodes, and no further: nothing here can call anything."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._aliases = 0
        self._open: list[str | None] = []  # anchors of the nodes being composed

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        """The tag of a node without one; for words without quotes one of our own."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _TAG + "str"
        return _TAG + ("seq" if kind is SequenceNode else "map")

    def fetch_flow_collection_start(self, token: type[Token]) -> None:
        """Scanner's, within limits: it reads ahead, in a time that grows with the square of the depth."""
        if self.flow_level >= MAX_DEPTH:
            raise MarkedYAMLError(None, None, f"nested deeper than {MAX_DEPTH} levels", self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Node | None, index: Any) -> Node:
        """Composer's, within limits."""
        event = self.peek_event()
        if isinstance(event, AliasEvent):
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise MarkedYAMLError(None, None, f"more than {MAX_ALIASES} aliases", event.start_mark)
            if event.anchor in self._open:
                raise MarkedYAMLError(None, None, f"alias *{event.anchor} contains itself", event.start_mark)
            return super().compose_node(parent, index)
        if len(self._open) >= MAX_DEPTH:
            raise MarkedYAMLError(None, None, f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        self._open.append(event.anchor)
        node = super().compose_node(parent, index)
        self._open.pop()
        return node


def _compose(loader: _Loader) -> Node | None:
    try:
        return loader.get_single_node()
    except (ValueError, OverflowError) as error:  # of chr and int, for "\\UFFFFFFFF" and a %YAML of 5,000 digits
        message = "an escape or a version number that is too large"
        raise MarkedYAMLError(None, None, message, loader.get_mark()) from error


def _told(error: MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.problem, error.context) if part) or "not YAML"


def _check_size(root: Node) -> None:
    sizes: dict[int, int] = {}

    def size(node: Node) -> int:
        if id(node) not in sizes:
            children = [child for pair in node.value for child in pair] if isinstance(node, MappingNode) else node.value
            sizes[id(node)] = 1 + sum(size(child) for child in children) if isinstance(children, list) else 1
        return sizes[id(node)]

    if size(root) > MAX_VALUES:
        raise MarkedYAMLError(None, None, f"more than {MAX_VALUES:,} values once aliases are followed", root.start_mark)


def _build(node: Node) -> Any:
    if node.tag not in (_PLAIN, *(_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map"))):
        shown = node.tag.replace(_TAG, "!!")
        raise MarkedYAMLError(None, None, f"tag {shown} is not allowed: a YAML holds values, not code", node.start_mark)
    if isinstance(node, SequenceNode):
        return [_build(item) for item in node.value]
    if isinstance(node, MappingNode):
        return _build_mapping(node)
    if reason := unfit(node.value):
        raise MarkedYAMLError(None, None, reason, node.start_mark)
    if node.tag == _TAG + "str":
        return node.value
    try:
        return scalar(node.value)
    except ValueError as error:
        raise MarkedYAMLError(None, None, f"a number of {len(node.value)} digits", node.start_mark) from error


def _build_mapping(node: MappingNode) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else None
        if key == "<<" and key_node.tag == _PLAIN:
            merged = _merged(value_node)
            continue
        if not isinstance(key, str) or not key:
            raise MarkedYAMLError(None, None, "a key is a word", key_node.start_mark)
        if reason := unfit(key):
            raise MarkedYAMLError(None, None, reason, key_node.start_mark)
        if key in own:
            raise MarkedYAMLError(None, None, f"duplicate key {key!r}", key_node.start_mark)
        own[key] = _build(value_node)
    return {**{key: value for key, value in merged.items() if key not in own}, **own}


def _merged(node: Node) -> dict[str, Any]:
    """What ``<<`` brings in: a mapping, or several of which the first wins."""
    values = [_build(item) for item in (node.value if isinstance(node, SequenceNode) else [node])]
    if not all(isinstance(value, dict) for value in values):
        raise MarkedYAMLError(None, None, "<< takes a mapping or a list of mappings", node.start_mark)
    return {key: value for mapping in reversed(values) for key, value in mapping.items()}

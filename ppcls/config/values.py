"""What a YAML value becomes under an annotation: ``convert("1.0/255.0", "float")`` is 0.0039..."""

import ast
import math
import re
from typing import Any

_WORDS = {"int": "an integer", "float": "a number", "bool": "True or False", "str": "text", "None": "null"}
_LISTS = ("list", "List", "Sequence", "tuple", "Tuple", "Iterable", "Collection")
_DICTS = ("dict", "Dict", "Mapping")
_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
_FRACTION = re.compile(r"([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)\s*/\s*(\d+\.?\d*(?:[eE][-+]?\d+)?)")


class Mismatch(ValueError):
    """The value does not fit; the text says what was expected and what came."""


def convert(value: Any, annotation: str) -> Any:
    """``value`` in the type that ``annotation`` asks for.

    Integers become floats, ``yes/no/on/off`` switches, fractions such as ``1.0/255.0`` numbers, lists tuples.
    A type that YAML cannot write (a class, ``Any``, no annotation) takes every value as it is.

    Raises:
        Mismatch: the value does not fit.
    """
    options = _options(annotation)
    for option in options:
        if _is_exact(value, option):
            return _finite(value)
    for option in options:
        try:
            return _coerce(value, option)
        except Mismatch as mismatch:
            # A list of the right kind with a wrong element: that element is worth more than "expected a list".
            if isinstance(value, list) and _head(option) in _LISTS:
                raise mismatch
    raise Mismatch(f"expected {_expected(options)}; got {show(value)}{_hint(value, options)}")


def is_plain(annotation: str) -> bool:
    """Whether every alternative of the annotation is something YAML can write."""
    known = {*_WORDS, *_LISTS, *_DICTS, "Literal"}
    return all(_head(option) in known for option in _options(annotation))


def show(value: Any) -> str:
    """A value for a message: one line, at most 60 characters, ``null`` for None."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _options(annotation: str) -> list[ast.expr]:
    """The alternatives of a union; one unknown name for what is no type expression."""
    try:
        return _flatten(ast.parse(annotation or "Any", mode="eval").body)
    except SyntaxError:
        return [ast.Name("Any")]


def _flatten(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _flatten(node.left) + _flatten(node.right)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _options(node.value)
    if isinstance(node, ast.Subscript) and _head(node) == "Optional":
        return [*_flatten(node.slice), ast.Constant(None)]
    if isinstance(node, ast.Subscript) and _head(node) == "Union":
        return [option for element in _elements(node) for option in _flatten(element)]
    return [node]


def _head(node: ast.expr) -> str:
    """``Sequence`` of ``collections.abc.Sequence[float]``."""
    if isinstance(node, ast.Subscript):
        return _head(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else str(getattr(node, "value", ""))


def _elements(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _is_exact(value: Any, option: ast.expr) -> bool:
    """Whether the value already has the type; bool is not int, and containers are left to ``_coerce``."""
    head = _head(option)
    if head == "None":
        return value is None
    return head in ("int", "float", "bool", "str") and type(value).__name__ == head


def _coerce(value: Any, option: ast.expr) -> Any:
    head = _head(option)
    if head == "Literal":
        for element in _elements(option):
            if isinstance(element, ast.Constant) and (element.value, type(element.value)) == (value, type(value)):
                return value
    elif head == "float" and type(value) is int:
        return _number(value)
    elif head == "float" and isinstance(value, str) and (match := _FRACTION.fullmatch(value.strip())):
        if float(match[2]) != 0:
            return _finite(_number(match[1]) / _number(match[2]))
    elif head == "bool" and isinstance(value, str) and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    elif head in _LISTS and isinstance(value, list | tuple):
        return _coerce_list(list(value), option)
    elif head in _DICTS and isinstance(value, dict):
        return value
    elif head not in (*_WORDS, *_LISTS, *_DICTS):
        return value  # a class of somebody else: only its constructor can tell
    raise Mismatch(f"expected {_expected([option])}; got {show(value)}")


def _coerce_list(value: list[Any], option: ast.expr) -> list[Any] | tuple[Any, ...]:
    elements = _elements(option)
    is_tuple = _head(option) in ("tuple", "Tuple")
    many = not is_tuple or _is_ellipsis(elements)
    if elements and not many and len(elements) != len(value):
        raise Mismatch(f"expected a list of {len(elements)}; got {show(value)}")
    kinds = [elements[0]] * len(value) if elements and many else elements or [ast.Name("Any")] * len(value)
    try:
        converted = [convert(item, ast.unparse(kind)) for item, kind in zip(value, kinds, strict=True)]
    except Mismatch as mismatch:
        raise Mismatch(f"{mismatch}, in {show(value)}") from None
    return tuple(converted) if is_tuple else converted


def _is_ellipsis(elements: list[ast.expr]) -> bool:
    return len(elements) == 2 and isinstance(elements[1], ast.Constant) and elements[1].value is Ellipsis


def _number(value: int | str) -> float:
    try:
        return _finite(float(value))
    except OverflowError:
        raise Mismatch(f"expected a finite number; got {show(value)}") from None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise Mismatch(f"expected a finite number; got {value}")
    return value


def _hint(value: Any, options: list[ast.expr]) -> str:
    is_text = any(_head(option) == "str" for option in options)
    return "; put it in quotes" if is_text and isinstance(value, int | float) else ""


def _expected(options: list[ast.expr]) -> str:
    return " or ".join(dict.fromkeys(_word(option) for option in options))


def _word(option: ast.expr) -> str:
    head, elements = _head(option), _elements(option)
    if head == "Literal":
        return "one of " + ", ".join(ast.unparse(element) for element in elements)
    if head in _DICTS:
        return "a mapping"
    if head in _LISTS:
        inner = elements[0] if elements else None
        plural = {"int": "integers", "float": "numbers", "str": "texts"}.get(_head(inner), "") if inner else ""
        count = f"{len(elements)} " if head in ("tuple", "Tuple") and elements and not _is_ellipsis(elements) else ""
        return f"a list of {count}{plural}" if plural else "a list"
    return _WORDS.get(head, head)

"""``-o Global.epochs=2``: one value, put where its dotted key points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ppcls.config.load import copy, load_text, scalar, unfit
from ppcls.config.values import show
from ppcls.utils.errors import ConfigError
from ppcls.utils.suggest import did_you_mean
from ppcls.utils.text import printable


@dataclass(frozen=True)
class Override:
    """A value and the path to it."""

    path: tuple[str, ...]
    value: Any

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)


def parse_override(text: str) -> Override:
    """``key=value``, split at the first ``=``.

    The value is one word (a number, true, None, any text) or a flow collection or quoted text in YAML's form.

    Raises:
        ConfigError: no ``=``, an empty part in the key, or a collection that does not close.
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    shown = printable(text) if len(text) <= 200 else show(text)
    if not equals:
        raise ConfigError(f"-o {shown}: expected key=value; each -o takes exactly one")
    if not all(path):
        raise ConfigError(f"-o {shown}: expected a dotted key such as Global.epochs; got {show(key)}")
    if reason := unfit(text):
        raise ConfigError(f"-o {shown}: {reason}")
    value = value.strip()
    if value[:1] in ("[", "{", '"', "'"):
        return Override(path, load_text(value, f"-o {key}"))
    try:
        return Override(path, scalar(value))
    except ValueError as error:
        raise ConfigError(f"-o {key}: a number of {len(value)} digits") from error


def apply_override(document: dict[str, Any], override: Override) -> str:
    """Set the value in the document, making sections on the way, and return the key with its indices counted from 0.

    Raises:
        ValueError: the path walks into a value, past the end of a list, or to a name that a list's entry does not have.
    """
    here: Any = document
    walked: list[str] = []
    *parents, last = override.path
    for part, then in zip(parents, override.path[1:], strict=True):
        step = _step(here, part, walked, override.path)
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = [] if _is_index(then) else {}
        _check_entry(here, step, then, walked)
        here = here[step]
        walked.append(str(step))
    step = _step(here, last, walked, override.path)
    here[step] = copy(override.value)
    return ".".join([*walked, str(step)])


def _is_index(part: str) -> bool:
    return part.removeprefix("-").isdecimal()


def _step(here: Any, part: str, walked: Sequence[str], path: Sequence[str]) -> str | int:
    """``part`` as a key of ``here``, or as an index of it."""
    place = ".".join(walked)
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise ValueError(f"{place} is {show(here)}: nothing lies below it, so {part!r} leads nowhere")
    if not _is_index(part):
        found = [index for index, item in enumerate(here) if isinstance(item, dict) and part in item]
        after = ".".join(path[len(walked) :])
        hint = f"; did you mean {f'{place}.{found[0]}.{after}'!r}?" if found else ""
        raise ValueError(f"{place} is a list of {len(here)}: expected an index, got {part!r}{hint}")
    index = int(part)
    if not -len(here) <= index < len(here):
        raise ValueError(f"{place} is a list of {len(here)}: it has no entry {part}")
    return index % len(here)


def _check_entry(here: Any, step: str | int, then: str, walked: Sequence[str]) -> None:
    """An entry of a list is ``{Name: {...}}``: another name would not be a new setting but a second component."""
    if not isinstance(here, list) or not isinstance(here[step], dict) or then in here[step]:
        return
    names = list(here[step])
    hint = did_you_mean(then, names)
    raise ValueError(f"{'.'.join(walked)}.{step} is {', '.join(names)}, not {then!r}{hint}")

"""What its authors said about a file of weights, kept beside it: ``<prefix>.card.json``."""

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppcls.utils.errors import WeightsError
from ppcls.utils.files import read_regular, write_whole
from ppcls.utils.manifest import FileMark
from ppcls.utils.text import printable

FORMAT = 1
SUFFIX = ".card.json"
REMEDY = "mend the card, remove it, or type -o Global.use_model_card=False"
_LIMIT = 1 << 20  # bytes

_LOG = logging.getLogger("ppcls")


@dataclass(frozen=True)
class ModelCard:
    """Where weights came from, and what their numbers suppose.

    ``arguments`` are the network's, by name; ``preprocessing`` is a list of transform ops as YAML has it, from the
    bytes of a picture to what the network takes; ``published`` is ``{top1, top5, source}`` in per cent, if known.
    """

    source: str  # name of the file that the authors published
    source_sha256: str
    arch: str
    arguments: dict[str, Any]
    epsilon: float  # of every batch norm
    momentum: float
    preprocessing: list[dict[str, Any]]
    published: dict[str, Any] | None


def card_path(weights: Path) -> Path:
    """Where the card of this file lies."""
    return weights.with_name(weights.name.removesuffix(weights.suffix) + SUFFIX)


def write_card(card: ModelCard, weights: Path) -> Path:
    """Write the card beside ``weights``, which are there, whole or not at all; it holds for these bytes only."""
    path = card_path(weights)
    mark = FileMark.of(read_regular(weights))._asdict()
    content = {"format": FORMAT, **asdict(card), "weights": {"file": weights.name, **mark}}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    return path


def read_card(weights: Path) -> ModelCard | None:
    """The card of this file; None when it has none, or one that was written for other weights.

    Raises:
        WeightsError: ``damaged``.
    """
    path = card_path(weights)
    if not os.path.lexists(path):
        return None
    content = _parse(read_regular(path, _LIMIT), path)
    mark = content.pop("weights")
    if mark["file"] != weights.name or mark["sha256"] != FileMark.of(read_regular(weights)).sha256:
        _LOG.warning("%s was written for other weights than %s; it is not followed", path, weights)
        return None
    return ModelCard(**content)


_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("source", "source_sha256", "arch"), (str,)),
    **dict.fromkeys(("epsilon", "momentum"), (int, float)),
    **{"arguments": (dict,), "preprocessing": (list,), "published": (dict, type(None)), "weights": (dict,)},
}


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
        if not isinstance(content, dict):
            raise ValueError("expected a mapping")
        json.dumps(content, ensure_ascii=False).encode()  # refuses texts that no file can hold
        version = content.pop("format", None)
        if type(version) is not int or version != FORMAT:
            raise ValueError(f"format {version!r}, known is {FORMAT}; update ppcls")
        if content.keys() != _KINDS.keys():
            raise ValueError(f"expected {', '.join(_KINDS)}")
        wrong = [name for name, kinds in _KINDS.items() if type(content[name]) not in kinds]
        wrong = wrong or [name for name, check in _CHECKS.items() if not check(content[name])]
        if wrong:
            raise ValueError(f"entries that cannot be: {', '.join(wrong)}")
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: {printable(str(error))[:200]}; {REMEDY}", "damaged") from error
    return content


def _is_small(value: float) -> bool:
    """Above 0 in float32 too, in which networks keep it, and below 1."""
    return 0 < value < 1 and np.float32(value) > 0


def _is_list_of_ops(ops: list[Any]) -> bool:
    return len(ops) > 0 and all(isinstance(op, dict) and len(op) == 1 for op in ops)


def _is_accuracy(published: dict[str, Any] | None) -> bool:
    if published is None:
        return True
    numbers = [published.get(name) for name in ("top1", "top5")]
    is_whole = published.keys() == {"top1", "top5", "source"} and type(published["source"]) is str
    return is_whole and all(type(number) in (int, float) and 0 <= number <= 100 for number in numbers)


def _is_mark(weights: dict[str, Any]) -> bool:
    return all(type(weights.get(name)) is str for name in ("file", "sha256"))


_CHECKS = {
    "epsilon": _is_small,
    "momentum": _is_small,
    "preprocessing": _is_list_of_ops,
    "published": _is_accuracy,
    "weights": _is_mark,
}

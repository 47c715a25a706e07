"""What its authors said about a file of weights, kept beside it: ``<prefix>.card.json``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ppcls.utils.errors import WeightsError
from ppcls.utils.files import read_regular, write_whole
from ppcls.utils.manifest import FileMark
from ppcls.utils.text import printable

FORMAT = 1
SUFFIX = ".card.json"
_LIMIT = 1 << 20  # bytes


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
    if not path.exists():
        return None
    content = _parse(read_regular(path, _LIMIT), path)
    mark = content.pop("weights")
    if mark["file"] != weights.name or mark["sha256"] != FileMark.of(read_regular(weights)).sha256:
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
        version = content.pop("format")
        if version != FORMAT:
            raise ValueError(f"format {version!r}, known is {FORMAT}; update ppcls")
        if content.keys() != _KINDS.keys():
            raise ValueError(f"expected {', '.join(_KINDS)}")
        wrong = [name for name, kinds in _KINDS.items() if type(content[name]) not in kinds]
        if not all(isinstance(op, dict) and len(op) == 1 for op in content["preprocessing"]):
            wrong.append("preprocessing")
        wrong += [name for name in ("epsilon", "momentum") if name not in wrong and not 0 < content[name] < 1]
        if wrong or not {"file", "sha256"} <= content["weights"].keys():
            raise ValueError(f"entries that cannot be: {', '.join(wrong or ['weights'])}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: {printable(str(error))}"[:300], "damaged") from error
    return content

"""What stands beside a checkpoint: where in training it was taken, and a checksum of every file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppcls import __version__
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.files import read_regular

FORMAT = 1
SUFFIX = ".manifest.json"


class FileMark(NamedTuple):
    """How a file is recognised."""

    bytes: int
    sha256: str

    @staticmethod
    def of(data: bytes) -> "FileMark":
        """The mark of a file with these bytes."""
        return FileMark(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class UnitInfo:
    """Where and how a checkpoint was taken.

    ``step`` counts updates, ``epoch`` finished epochs, ``batch`` micro-batches of the running one; ``suffix`` is 1 for
    the same step after its evaluation. ``config`` holds hashes of what may not change on resume (config keys, data
    lists), by name; ``best`` is ``{value, epoch, weights: raw | ema}``; ``versions`` is what else to record.
    """

    step: int
    epoch: int
    batch: int = 0
    suffix: int = 0
    ranks: int = 1
    device: str = "cpu"
    compute_threads: int = 1
    config: dict[str, str] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """``names`` are the links the unit was saved for, ``tensors`` the hash of the weights' names, shapes and dtypes."""

    info: UnitInfo
    files: dict[str, FileMark]
    tensors: str
    names: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """The text of the file."""
        content = {"format": FORMAT, **asdict(self.info)}
        ours = {"python": platform.python_version(), "numpy": np.__version__, "ppcls": __version__}
        content["versions"] = ours | self.info.versions
        content["files"] = {suffix: mark._asdict() for suffix, mark in self.files.items()}
        content |= {"tensors": self.tensors, "names": list(self.names)}
        return json.dumps(content, indent=1).encode()


def tensor_table(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 of names, shapes and dtypes, whatever the values and the order."""
    rows = sorted([name, list(array.shape), str(array.dtype)] for name, array in arrays.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in ``data``; WeightsError (``damaged``) when it is broken or written by a newer version."""
    try:
        content = json.loads(data)
        version = content.pop("format")
        if version != FORMAT:
            raise WeightsError(
                f"{where} has format {version!r}, known is {FORMAT}: written by a newer version; update ppcls",
                "damaged",
            )
        files = {suffix: FileMark(int(m["bytes"]), str(m["sha256"])) for suffix, m in content.pop("files").items()}
        tensors, names = str(content.pop("tensors")), tuple(map(str, content.pop("names")))
        info = UnitInfo(**content)
        if not all(type(number) is int for number in (info.step, info.epoch, info.batch, info.suffix)):
            raise TypeError("step, epoch, batch and suffix are whole numbers")
    except WeightsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{where} is damaged: {type(error).__name__}: {error}"[:300], "damaged") from error
    return Manifest(info, files, tensors, names)


def read_manifest(prefix: Path) -> Manifest | None:
    """The manifest of a checkpoint; None when it has none, as those of PaddleClas."""
    path = Path(f"{prefix}{SUFFIX}")
    return parse_manifest(read_regular(path, 1 << 24), str(path)) if path.exists() else None


def read_verified(prefix: Path, suffix: str, manifest: Manifest | None) -> bytes:
    """The bytes of ``<prefix><suffix>``, read once and compared with the manifest if that lists the file.

    Raises:
        WeightsError: ``damaged``: missing, or of another size or checksum than the manifest says; names both.
        ConfigError: missing, and no manifest says that it should be there.
    """
    path = Path(f"{prefix}{suffix}")
    expected = manifest.files.get(suffix) if manifest else None
    try:
        data = read_regular(path)
    except ConfigError as error:
        if expected is None:
            raise
        raise WeightsError(f"{path} is missing; its manifest lists {expected.bytes} bytes", "damaged") from error
    found = FileMark.of(data)
    advice = "copy it again, or use another checkpoint"
    if expected is not None and found.bytes != expected.bytes:
        raise WeightsError(f"{path} has {found.bytes} bytes, its manifest says {expected.bytes}; {advice}", "damaged")
    if expected is not None and found.sha256 != expected.sha256:
        hashes = f"sha256 {found.sha256}, its manifest says {expected.sha256}"
        raise WeightsError(f"{path} has {hashes}; {advice}", "damaged")
    return data

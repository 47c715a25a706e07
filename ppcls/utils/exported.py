"""An exported program and its manifest: written together, and nothing is run that does not match it (runners.py)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.files import read_regular
from ppcls.utils.manifest import SUFFIX, FileMark

FORMAT = 1
PROGRAMS = (".json", ".pdmodel")  # of Paddle 3, of Paddle 2
PARAMETERS = ".pdiparams"
ADVICE = "export again, or copy all its files again"


class Exported(NamedTuple):
    """The verified files of an export by suffix, and what else its manifest says: preprocessing, class names, ..."""

    files: dict[str, Path]
    about: dict[str, Any]

    @property
    def program(self) -> Path:
        """The file that describes the computation."""
        return next(self.files[suffix] for suffix in PROGRAMS if suffix in self.files)


def write_manifest(prefix: Path, about: Mapping[str, Any]) -> Path:
    """Write ``<prefix>.manifest.json`` over all files of that prefix."""
    files = sorted(path for path in prefix.parent.glob(f"{prefix.name}.*") if not path.name.endswith(SUFFIX))
    marks = {path.name: FileMark.of(path.read_bytes())._asdict() for path in files}
    content = {"format": FORMAT, "files": marks, **about}
    path = Path(f"{prefix}{SUFFIX}")
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def verify_export(prefix: Path, suffixes: Sequence[str] = (*PROGRAMS, PARAMETERS)) -> Exported:
    """The export at ``prefix``, such as ``inference/inference``, once its files match its manifest.

    Paddle itself answers from uninitialised memory when the parameters are missing, and with other numbers when they
    are another model's.

    Args:
        suffixes: what is going to be used; of the two kinds of program there is one.
    Raises:
        WeightsError: ``damaged``: no manifest, or a file is missing, or differs from it; names both checksums.
    """
    path = Path(f"{prefix}{SUFFIX}")
    marks, about = _parse(_read(path, "nothing says what belongs to the export"), path)
    wanted = {suffix: f"{prefix.name}{suffix}" for suffix in suffixes}
    programs = [suffix for suffix in PROGRAMS if wanted.get(suffix) in marks]
    missing = [suffix for suffix in wanted if suffix not in PROGRAMS and wanted[suffix] not in marks]
    if missing or (set(PROGRAMS) & wanted.keys() and not programs):
        advice = "export again with --onnx" if ".onnx" in missing else ADVICE
        raise WeightsError(f"{path} lists no {' and no '.join(missing or ['program'])}; {advice}", "damaged")
    files = {}
    for suffix in [suffix for suffix in wanted if suffix not in PROGRAMS or suffix in programs]:
        files[suffix] = prefix.with_name(wanted[suffix])
        _verify(files[suffix], marks[wanted[suffix]])
    return Exported(files, about)


def _read(path: Path, consequence: str) -> bytes:
    try:
        return read_regular(path)
    except ConfigError as error:
        raise WeightsError(f"{path} is missing: {consequence}; {ADVICE}", "damaged") from error


def _verify(path: Path, expected: FileMark) -> None:
    found = FileMark.of(_read(path, f"its manifest lists {expected.bytes} bytes, sha256 {expected.sha256}"))
    if found != expected:
        raise WeightsError(
            f"{path} has {found.bytes} bytes, sha256 {found.sha256}; "
            f"its manifest says {expected.bytes} bytes, sha256 {expected.sha256}; {ADVICE}",
            "damaged",
        )


def _parse(data: bytes, path: Path) -> tuple[dict[str, FileMark], dict[str, Any]]:
    try:
        content = json.loads(data)
        version = content.pop("format")
        marks = {name: FileMark(int(mark["bytes"]), str(mark["sha256"])) for name, mark in content.pop("files").items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: {type(error).__name__}: {error}; {ADVICE}", "damaged") from error
    if version != FORMAT:
        raise WeightsError(
            f"{path} has format {version!r}, known is {FORMAT}: written by a newer version; update ppcls", "damaged"
        )
    return marks, content

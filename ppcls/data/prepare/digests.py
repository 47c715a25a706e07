"""Checksum lists of pictures, in the form of ``sha256sum``, and what has changed since one was written."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ppcls.data.prepare.write import write_lines
from ppcls.utils.errors import ConfigError, DataError

_DIGEST_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def write_digests(path: Path, digests: Mapping[str, str]) -> None:
    """``<sha256>  <path>`` a line, which ``sha256sum -c`` reads when called in the image root."""
    write_lines(path, (f"{digest}  {name}" for name, digest in digests.items()))


def read_digests(path: Path) -> dict[str, str]:
    """What ``write_digests`` wrote.

    Raises:
        ConfigError: no such file.
        DataError: a line of another form; it is named.
    """
    if not path.is_file():
        raise ConfigError(f"no sha256 list at {path}; write one with --sha256 {path}")
    digests = {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        match = _DIGEST_LINE.fullmatch(line)
        if match:
            digests[match[2]] = match[1]
        elif line:
            raise DataError(f"{path}:{number}: expected '<sha256>  <path>', as --sha256 writes it", slug="data-list")
    return digests


def differences(recorded: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """One line for each path whose file is not as recorded, or that only one side knows."""
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield f"{name}: recorded, but not listed or not there"
        elif name not in recorded:
            yield f"{name}: not recorded"
        elif recorded[name] != found[name]:
            yield f"{name}: changed"

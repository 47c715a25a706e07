"""A list file, ``path<blank>label`` a line, as a few arrays: 1.28 million lines in about a second and 70 MB."""

import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcls.utils.errors import ConfigError, DataError

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
_LONGEST = 200  # letters of a path that a message quotes
_SHOWN = 5  # bad lines that a message quotes


@dataclass(frozen=True)
class ListFile:
    """The samples of a list: paths end to end in one blob, the i-th from ``ends[i]`` to ``ends[i + 1]``."""

    name: str
    blob: bytearray
    ends: np.ndarray  # int64 [N + 1]
    labels: np.ndarray  # int32 [N]
    lines: np.ndarray  # int32 [N], from 1

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, index: int) -> bytes:
        """As the list says it, relative to the image root or absolute."""
        return bytes(self.blob[self.ends[index] : self.ends[index + 1]])

    def where(self, index: int) -> str:
        """``train.txt:17 a/b.JPEG``"""
        return f"{self.name}:{self.lines[index]} {_text(self.path(index))}"


class BadLine(NamedTuple):
    """The number of a line, from 1, and what is wrong with it."""

    number: int
    reason: str


class Scan(NamedTuple):
    """The good lines of a list, the first bad ones, and how many are bad in all."""

    good: ListFile
    bad: list[BadLine]
    bad_count: int


def read_list(file: str, class_num: int, delimiter: str | None = None, allow_outside_root: bool = False) -> ListFile:
    """Parse and check a whole list; blank lines, a byte order mark and CRLF are fine.

    Args:
        delimiter: stands between path and label; None is the last white space of the line.
        allow_outside_root: accept a relative path that climbs out of the image root by ``..``.
    Raises:
        ConfigError: the file is not there.
        DataError: ``data-list`` with the first bad lines and their number; ``too-little-data`` if it lists nothing.
    """
    scan = scan_list(file, class_num, delimiter, allow_outside_root)
    if scan.bad:
        count = f"{scan.bad_count} bad line{'s' if scan.bad_count > 1 else ''}"
        shown = "; ".join(f"{file}:{number} {reason}" for number, reason in scan.bad)
        more = f"; and {scan.bad_count - len(scan.bad)} more" if scan.bad_count > len(scan.bad) else ""
        raise DataError(
            f"{count}, expected '<path> <label>' with a label in [0, {class_num}): {shown}{more}",
            "data-list",
        )
    if not len(scan.good):
        raise DataError(f"{file} lists no picture; expected a line '<path> <label>' for each", "too-little-data")
    return scan.good


def scan_list(
    file: str, class_num: int, delimiter: str | None = None, allow_outside_root: bool = False, keep: int = _SHOWN
) -> Scan:
    """``read_list`` for those who want to see what is wrong with a list and go on.

    Args:
        keep: the bad lines to remember; all are counted.
    Raises:
        ConfigError: the file is not there.
        DataError: ``data-list``: a line of over a million bytes, which no list has.
    """
    parser = _Parser(class_num, None if delimiter is None else delimiter.encode(), allow_outside_root, keep)
    if not os.path.isfile(file):
        what = "a folder" if os.path.isdir(file) else "not there"
        raise ConfigError(f"list file {file} is {what}; give its path as cls_label_path")
    try:
        with open(file, "rb") as stream:
            text = stream.read(_CHUNK).removeprefix(_BOM)
            while text:
                rest = stream.readline(_CHUNK)
                if len(rest) == _CHUNK and not rest.endswith(b"\n"):
                    number = parser.count + text.count(b"\n") + 1
                    raise DataError(
                        f"{file}:{number} is longer than a million bytes; is this a list file?", "data-list"
                    )
                parser.feed(text + rest)
                text = stream.read(_CHUNK)
    except OSError as error:
        raise ConfigError(f"cannot read the list file {file}: {error.strerror}") from error
    return Scan(parser.finish(Path(file).name), parser.bad, parser.bad_count)


class _Parser:
    """Takes lines as they are read, so that neither the file nor a list of objects is ever in memory."""

    def __init__(self, class_num: int, delimiter: bytes | None, allow_outside_root: bool, keep: int) -> None:
        self.class_num = class_num
        self.delimiter = delimiter
        self.allow_outside_root = allow_outside_root
        self.labels = array("i")
        self.keep = keep
        self.bad: list[BadLine] = []
        self.bad_count = 0
        self.count = 0  # lines so far
        self._blob = bytearray()
        self._ends = array("q", [0])
        self._lines = array("i")
        self._known: dict[bytes, int] = {}  # labels that were checked before, by their text

    def feed(self, text: bytes) -> None:
        """Whole lines; most lists hold nothing unusual, and those are split by C loops alone."""
        text = text.replace(b"\r\n", b"\n")
        words = text.split()
        paths, labels = words[0::2], words[1::2]
        is_usual = self.delimiter in (None, b" ") and len(paths) == len(labels)
        if is_usual and b".." not in text and b"\0" not in text:
            self._known |= {label: int(label) for label in {*labels} - self._known.keys() if not self._wrong(label)}
            values = [*map(self._known.get, labels)]
            if None not in values and text == b"\n".join(map(b" ".join, zip(paths, labels, strict=True))) + b"\n":
                self._add(paths, values, range(self.count + 1, self.count + len(paths) + 1))
                self.count += len(paths)
                return
        for line in text.removesuffix(b"\n").split(b"\n"):
            self._feed_line(line)

    def _add(self, paths: list[bytes], labels: Iterable[int], lines: Iterable[int]) -> None:
        self._ends.extend(accumulate(map(len, paths), initial=self._ends.pop()))
        self._blob += b"".join(paths)
        self.labels.extend(labels)
        self._lines.extend(lines)

    def _feed_line(self, line: bytes) -> None:
        self.count += 1
        parts = [part.strip() for part in line.strip().rsplit(self.delimiter, 1)]
        if not any(parts):
            return
        reason = self._problem(*parts) if len(parts) == 2 else f"has one column: {_quoted(parts[0])}"
        if reason is None:
            self._add(parts[:1], [int(parts[1])], [self.count])
            return
        self.bad_count += 1
        if len(self.bad) < self.keep:
            self.bad.append(BadLine(self.count, reason))

    def _problem(self, path: bytes, label: bytes) -> str | None:
        """What is wrong with a line, or None."""
        if not path:
            return f"has no path before the label {_quoted(label)}"
        if b"\0" in path:
            return "path holds a zero byte"
        if not self.allow_outside_root and _climbs_out(path):
            return f"path {_quoted(path)} climbs out of image_root; allow_outside_root: True permits it"
        return self._wrong(label)

    def _wrong(self, label: bytes) -> str | None:
        """What is wrong with a label's text, or None."""
        digits = label.removeprefix(b"-")
        if not digits.isdigit() or len(digits) > 9:
            return f"label {_quoted(label)} is no integer"
        if not 0 <= int(label) < self.class_num:
            return f"label {int(label)} is not in [0, {self.class_num})"
        return None

    def finish(self, name: str) -> ListFile:
        """What was fed so far."""
        return ListFile(
            name=name,
            blob=self._blob,
            ends=np.frombuffer(self._ends, dtype=np.int64),
            labels=np.frombuffer(self.labels, dtype=np.int32),
            lines=np.frombuffer(self._lines, dtype=np.int32),
        )


def _climbs_out(path: bytes) -> bool:
    """Whether a relative path leaves the folder it starts in; an absolute one says where it leads."""
    return not os.path.isabs(path) and os.path.normpath(path).split(b"/")[0] == b".."


def _quoted(raw: bytes) -> str:
    """For a reason; of a line that is no list's, a part is enough."""
    text = _text(raw)
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}..."


def _text(raw: bytes) -> str:
    """For messages, which must be printable whatever the list holds."""
    return raw.decode("utf-8", "backslashreplace")

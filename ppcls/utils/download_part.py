"""What an interrupted download left, and what it takes to go on with it.

Source: RFC 9110, sections 8.8 (validators), 13.1.5 (If-Range) and 14.4 (Content-Range).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

from ppcls.utils.files import output_errors, sync, sync_folder, write_whole

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TAG = r'"[!#-~]*"'
_DATE = r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
_NOTE = re.compile(rf"(?P<validator>{_TAG}|{_DATE})\n(?P<length>[0-9]{{0,18}})\n(?P<boot>[0-9a-f-]*)\n")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Rest(NamedTuple):
    """What is missing: the bytes from ``start`` on of the version that ``validator`` names.

    ``length`` is that of the whole file, if the server told it.
    """

    start: int
    validator: str
    length: int | None

    def headers(self) -> dict[str, str]:
        """Ask for the rest, or for all of it if the file has changed since."""
        return {"Range": f"bytes={self.start}-", "If-Range": self.validator}

    def total_in(self, headers: Mapping[str, str]) -> int | None:
        """The length of the whole file by an answer with status 206; None when it brings something else than asked."""
        match = _RANGE.fullmatch(headers.get("Content-Range") or "")
        if match is None:
            return None
        first, last, total = map(int, match.groups())
        tag = headers.get("ETag")
        is_other = self.validator.startswith('"') and tag is not None and tag != self.validator
        is_rest = first == self.start and first <= last == total - 1 and self.length in (None, total)
        return total if is_rest and not is_other else None


class Part:
    """The bytes that came so far, under a name of their own until they are complete; for who holds the address's lock.

    Beside them lies a note with what the server calls this version of the file; without it nothing is continued.

    Args:
        final: the name of the whole file.
        expected: its sha256; what comes under another one is kept apart.
    """

    def __init__(self, final: Path, expected: str | None) -> None:
        self._final = final
        self._is_pinned = expected is not None
        self.path = final.with_name(f".part-{final.name}-{expected or 'any'}")
        self._note = self.path.with_name(f"{self.path.name}.note")

    def rest(self) -> Rest | None:
        """What to ask for; None for all of it.

        Without a checksum nobody would notice what a power cut did to the bytes: continued only until the next boot.
        """
        if not (self.path.is_file() and self._note.is_file()):
            return None
        start = self.path.stat().st_size
        match = _NOTE.fullmatch(self._note.read_bytes().decode("ascii", "replace"))
        if match is None or start == 0 or not (self._is_pinned or match["boot"] == _boot() != ""):
            return None
        length = int(match["length"]) if match["length"] else None
        if length is not None and start > length:
            return None
        return Rest(start, match["validator"], length)

    def restart(self, headers: Mapping[str, str], length: int | None) -> None:
        """Drop what came, and note which version comes now."""
        self.discard()
        validator = _validator(headers)
        if validator is not None:
            told = "" if length is None else length
            write_whole(self._note, f"{validator}\n{told}\n{_boot()}\n".encode("ascii"))

    def append(self) -> IO[bytes]:
        """Open to write behind what came."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Drop what came, for good."""
        with output_errors(self.path):
            self.path.unlink(missing_ok=True)  # before the note: bytes of one version never lie beside another's note
            self._note.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its final name, once the disk has it; the parts of other checksums go."""
        with output_errors(self._final):
            with self.path.open("rb+") as file:
                sync(file)
            self.path.replace(self._final)
            for left in self._final.parent.glob(f".part-{self._final.name}-*"):
                left.unlink()
            sync_folder(self._final.parent)


def _validator(headers: Mapping[str, str]) -> str | None:
    """What tells this version from every other: a strong tag, or else a date that no later change can share."""
    tag = headers.get("ETag")
    if tag is not None:
        return tag if re.fullmatch(_TAG, tag) else None  # with a weak tag a date may not be used instead
    changed, now = headers.get("Last-Modified") or "", headers.get("Date") or ""
    if not (re.fullmatch(_DATE, changed) and re.fullmatch(_DATE, now)):
        return None
    try:
        is_settled = _time(now) - _time(changed) >= timedelta(seconds=1)
    except ValueError:
        return None
    return changed if is_settled else None


def _time(date: str) -> datetime:
    return datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")


def _boot() -> str:
    """This boot of the machine; empty where the system does not tell."""
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.is_file() else ""

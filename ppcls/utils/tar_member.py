"""The one file of a kind in a tar archive, found in memory: nothing is unpacked and nothing is written.

Reads what ``tar`` itself writes for a folder of files: ustar, GNU and pax archives without compression. Names longer
than a header holds, links and sparse files, which no release of weights needs, are not looked for.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ppcls.utils.errors import WeightsError
from ppcls.utils.text import printable

_BLOCK = 512
_FILES = (b"0", b"\0")
_PASSED = (*_FILES, b"5", b"x", b"g", b"L", b"K")  # folders, and notes about the member that follows
_MOST = 1000  # members


class Member(NamedTuple):
    """A regular file in an archive."""

    name: str
    data: memoryview


def is_tar(data: bytes) -> bool:
    """Whether ``data`` begins as a tar archive does."""
    return data[257:262] == b"ustar"


def find_member(data: bytes, suffix: str, where: str) -> Member:
    """The only regular file whose name ends in ``suffix``; hidden ones do not count.

    Raises:
        WeightsError: ``damaged``: no such file or several, or an archive that is broken or cut short.
    """
    members = [member for member in _members(data, where) if _counts(member.name, suffix)]
    if len(members) != 1:
        names = ", ".join(printable(member.name) for member in members[:3]) or "none"
        raise WeightsError(f"{where} should hold one file *{suffix}; it holds {len(members)}: {names}", "damaged")
    return members[0]


def _counts(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and not name.rpartition("/")[2].startswith(".")


def _members(data: bytes, where: str) -> Iterator[Member]:
    view, position = memoryview(data), 0
    for _ in range(_MOST):
        header = bytes(view[position : position + _BLOCK])
        if header == bytes(_BLOCK):
            return
        size, kind = _check(header, where), header[156:157]
        begin = position + _BLOCK
        position = begin + size + -size % _BLOCK
        if begin + size > len(data):
            raise _damaged(where, f"it is cut short: a member ends at byte {begin + size} of {len(data)}")
        if kind not in _PASSED:
            raise _damaged(where, f"member {printable(_name(header))!r} is neither a file nor a folder")
        if kind in _FILES:
            yield Member(_name(header), view[begin : begin + size])
    raise _damaged(where, f"it has more than {_MOST} members")


def _check(header: bytes, where: str) -> int:
    """The member's size in bytes, once the header's own sum is right."""
    if len(header) < _BLOCK:
        raise _damaged(where, "it ends without the blocks of zeros that close an archive")
    expected = _octal(header[148:156], where)
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != expected:
        raise _damaged(where, "the checksum of a member's header is wrong")
    return _octal(header[124:136], where)


def _octal(field: bytes, where: str) -> int:
    text = field.rstrip(b"\0 ").lstrip(b" ")
    if not text or any(digit not in b"01234567" for digit in text):
        raise _damaged(where, "a number in a member's header is not octal")
    return int(text, 8)


def _name(header: bytes) -> str:
    name, folder = (header[slice(*span)].partition(b"\0")[0] for span in ((0, 100), (345, 500)))
    is_posix = header[257:263] == b"ustar\0"  # GNU keeps other things where POSIX has the folder
    return (folder + b"/" + name if is_posix and folder else name).decode(errors="replace")


def _damaged(where: str, what: str) -> WeightsError:
    return WeightsError(f"{where} is damaged: {what}; fetch it again", "damaged")

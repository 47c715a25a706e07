"""Writing list files and label maps, each whole or not at all."""

import string
from collections.abc import Iterable
from pathlib import Path

from ppcls.utils.errors import DataError
from ppcls.utils.files import write_whole

TRAIN_LIST = "train_list.txt"
VAL_LIST = "val_list.txt"


def list_line(path: str, label: int) -> str:
    """``path label``, as a list-file reader splits it again: at the last blank, after stripping.

    Raises:
        DataError: the name would not survive that, or is not text that UTF-8 can hold.
    """
    if path != path.strip(string.whitespace) or {"\n", "\r"} & set(path):
        raise DataError(
            f"{path!r}: a name in a list file neither begins nor ends with a blank nor holds a line break; rename it",
            slug="data-list",
        )
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"{path!r}: the file's name is not UTF-8; rename it", slug="data-list") from None
    return f"{path} {label}"


def write_lines(path: Path, lines: Iterable[str]) -> bool:
    """Leave ``lines`` in ``path``; false when they were there already."""
    data = "".join(f"{line}\n" for line in lines).encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    write_whole(path, data)
    return True

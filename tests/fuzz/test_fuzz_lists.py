"""Lines -> list reader: beside a reader of ten lines that does it one by one, or one kind of error."""

import os
from pathlib import Path

from fuzzing import Rng, fuzz, mutated, pick, refused

from ppcls.data.dataloader.list_file import read_list, scan_list
from ppcls.utils.errors import DataError

GOOD = [
    b"".join(b"train/n%08d/%d.JPEG %d\n" % (k % 3, k, k % 10) for k in range(30)),
    b"\xef\xbb\xbfa b.jpg 1\r\n\r\nc.jpg\t2\r\n" + "é/猫.png 3\n".encode(),
    b"/abs/a.jpg 0\n../out.jpg 1\na/../b.jpg 9\n",
    b"a,b.jpg,3\nc.jpg,4\n",
]
WORDS = (b"a.jpg", b"b c.png", b"..", b"../x", b"/", b"", b"\0", b"\xff\xfe", b"\xe2\x80\xa8", b"\x0b", b"\x1c")
LABELS = (
    b"0",
    b"9",
    b"10",
    b"-1",
    b"+1",
    b"1.0",
    b"01",
    b"1_0",
    b"x",
    b"",
    b"99999999999999999999",
    b"\xd9\xa1",
    b"-0",
)
BETWEEN = (b" ", b"\t", b"  ", b" \t ", b",", b"\x0b", b"\xc2\xa0")
ENDS = (b"\n", b"\r\n", b"\r", b"\n\n", b"\x0c\n")


def _lines(rng: Rng) -> bytes:
    count = int(rng.integers(12))
    return b"".join(b"".join(pick(rng, part) for part in (WORDS, BETWEEN, LABELS, ENDS)) for _ in range(count))


def _one_by_one(
    data: bytes, class_num: int, delimiter: str | None, outside: bool
) -> list[tuple[int, bytes, int]] | None:
    """Number, path and label of each line; None if one of them is bad."""
    found = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        path, _, label = line.strip().rpartition(delimiter.encode()) if delimiter else _at_last_blank(line.strip())
        path, label = path.strip(), label.strip()
        if not path and not label:
            continue
        digits = label.removeprefix(b"-")
        is_label = digits and all(byte in b"0123456789" for byte in digits) and len(digits) <= 9
        climbs = not path.startswith(b"/") and os.path.normpath(path).split(b"/")[0] == b".."
        if not path or not is_label or not 0 <= int(label) < class_num or b"\0" in path or (climbs and not outside):
            return None
        found.append((number, path, int(label)))
    return found


def _at_last_blank(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.rsplit(None, 1)
    return (b"", b"", parts[0] if parts else b"") if len(parts) < 2 else (parts[0], b" ", parts[1])


def test_a_list_is_read_as_line_by_line_or_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"

    def check(rng: Rng) -> None:
        data = _lines(rng) if rng.random() < 0.5 else mutated(GOOD[int(rng.integers(len(GOOD)))], GOOD, rng)
        file.write_bytes(data)
        options = {"delimiter": pick(rng, (None, None, " ", ",", "\t")), "allow_outside_root": bool(rng.random() < 0.3)}
        expected = _one_by_one(data, 10, options["delimiter"], options["allow_outside_root"])
        if not expected:
            assert refused(lambda: read_list(str(file), 10, **options), DataError, ("data-list", "too-little-data"))
            assert scan_list(str(file), 10, **options).bad_count > 0 or expected == []
            return
        found = read_list(str(file), 10, **options)
        lines = [(int(found.lines[i]), found.path(i), int(found.labels[i])) for i in range(len(found))]
        assert lines == expected
        assert all("\n" not in found.where(index) for index in range(len(found)))

    assert fuzz(check) > 100 or os.environ.get("PPCLS_FUZZ_CASE")

"""Downloads that break off and go on, from a server on this machine that cuts, changes, lies and forgets."""

import hashlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ppcls.utils import download, download_part
from ppcls.utils.download import fetch
from ppcls.utils.errors import WeightsError

ROOT = Path(__file__).resolve().parents[2]
BODY = b"".join(hashlib.sha256(b"%d" % k).digest() for k in range(9600))  # 307,200 bytes
SHA = hashlib.sha256(BODY).hexdigest()
OLD = "Mon, 01 Jan 2024 00:00:00 GMT"
TAG = {"ETag": '"one"'}


class _Plan(NamedTuple):
    """How one request is answered: well, but for what is given."""

    cut: int | None = None  # bytes of this answer before the connection ends
    stall: bool = False  # instead of ending, it waits
    ranges: bool = True
    content_range: str | None = None
    headers: dict[str, str] | None = None
    body: bytes | None = None
    status: int | None = None


class _Handler(http.server.BaseHTTPRequestHandler):
    """Follows the server's plans, then answers well."""

    def do_GET(self) -> None:
        server = self.server
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        server.asked.append((asked, condition))
        plan = server.plans.pop(0) if server.plans else _Plan()
        headers = server.headers if plan.headers is None else plan.headers
        whole = plan.body or server.body
        is_part = plan.ranges and asked is not None and condition in headers.values()
        start = int(re.fullmatch(r"bytes=([0-9]+)-", asked)[1]) if is_part else 0
        status = plan.status or (206 if is_part else 200)
        if status >= 400:
            self.send_error(status)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status == 206:
            end = len(whole)
            self.send_header("Content-Range", plan.content_range or f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start:] if plan.cut is None else whole[start : start + plan.cut])
        self.wfile.flush()
        if plan.stall:
            server.released.wait(20)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    monkeypatch.setattr(download, "_PAUSES_S", (0, 0, 0))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.body, server.headers, server.plans, server.asked = BODY, TAG, [], []
        server.released = threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}/a.pdparams"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def _files(folder: Path) -> list[str]:
    """Everything below ``folder`` but locks and notes of failures."""
    names = [name for _, _, names in os.walk(folder) for name in names]
    return sorted(name for name in names if not name.endswith((".lock", ".failed")))


def _parts(url: str = f"#sha256={SHA}") -> list[str]:
    name = f".part-a.pdparams-{url.partition('=')[2] or 'any'}"
    return [name, f"{name}.note"]


def _break_off(server: http.server.ThreadingHTTPServer, url: str, cache: Path, at: int = 100_000) -> None:
    """Leave a part of ``at`` bytes: the server breaks off there, and then has gone."""
    server.plans += [_Plan(cut=at), *[_Plan(status=503)] * 3]
    with pytest.raises(WeightsError, match="503"):
        fetch(url, cache)
    assert _files(cache) == _parts(url)
    server.asked.clear()


@pytest.mark.parametrize("headers", [TAG, {"Last-Modified": OLD}], ids=["tag", "date"])
@pytest.mark.parametrize("pin", [f"#sha256={SHA}", ""], ids=["pinned", "unpinned"])
def test_a_lost_connection_is_taken_up_where_it_was_lost(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, headers: dict[str, str], pin: str
) -> None:
    server.headers, (name,) = headers, headers.values()
    server.plans += [_Plan(cut=100_000), _Plan(cut=50_000), _Plan(status=503)]
    assert fetch(server.url + pin, tmp_path).read_bytes() == BODY
    second = ("bytes=150000-", name)
    assert server.asked == [(None, None), ("bytes=100000-", name), second, second]
    assert _files(tmp_path) == ["a.pdparams"]


def test_a_connection_is_taken_up_three_times_and_the_next_start_goes_on(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    server.plans += [_Plan(cut=1000)] * 4
    with pytest.raises(WeightsError, match="it broke off after 4000 of 307200 bytes"):
        fetch(server.url, tmp_path)
    assert fetch(server.url, tmp_path).read_bytes() == BODY
    assert server.asked[-2:] == [("bytes=3000-", '"one"'), ("bytes=4000-", '"one"')]


def test_a_server_that_does_not_answer_at_first_is_asked_once(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    server.plans.append(_Plan(status=503))
    with pytest.raises(WeightsError, match="HTTP Error 503"):
        fetch(server.url, tmp_path)
    assert len(server.asked) == 1


def test_a_silent_server_counts_as_a_lost_connection(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    server.plans.append(_Plan(cut=100_000, stall=True))
    assert fetch(server.url, tmp_path, timeout_s=0.3).read_bytes() == BODY
    assert server.asked[1:] == [("bytes=100000-", '"one"')]


def test_a_file_that_changed_in_between_is_fetched_from_its_first_byte(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    _break_off(server, server.url, tmp_path)
    server.body, server.headers = BODY[::-1], {"ETag": '"two"'}
    server.plans.append(_Plan(cut=120_000))
    assert fetch(server.url, tmp_path).read_bytes() == BODY[::-1]
    assert server.asked == [("bytes=100000-", '"one"'), ("bytes=120000-", '"two"')]


def test_a_server_without_ranges_sends_all_of_it_again(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    _break_off(server, server.url, tmp_path)
    server.plans.append(_Plan(ranges=False, headers=TAG | {"Content-Range": "bytes 100000-307199/307200"}))
    assert fetch(server.url, tmp_path).read_bytes() == BODY
    assert server.asked == [("bytes=100000-", '"one"')]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"one"', "Last-Modified": OLD},
        {"ETag": "one"},
        {"ETag": '"o\r\n ne"'},
        {"Last-Modified": "yesterday"},
        {"Last-Modified": "Mon, 99 Jan 2024 00:00:00 GMT"},
        {"Last-Modified": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ],
)
def test_a_server_that_cannot_tell_versions_apart_is_asked_for_all_of_it(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    server.headers = headers
    server.plans += [_Plan(cut=100_000)] * 4
    with pytest.raises(WeightsError, match="it broke off after 100000 of 307200 bytes"):
        fetch(server.url, tmp_path)
    assert _files(tmp_path) == []
    assert fetch(server.url, tmp_path).read_bytes() == BODY
    assert server.asked == [(None, None)] * 5


@pytest.mark.parametrize(
    "plan",
    [
        _Plan(status=416),
        _Plan(content_range="bytes 0-307199/307200"),
        _Plan(content_range="bytes 100001-307199/307200"),
        _Plan(content_range="bytes 100000-200000/307200"),
        _Plan(content_range="bytes 100000-307200/307201"),
        _Plan(content_range="bytes 100000-307199/*"),
        _Plan(content_range="nonsense"),
        _Plan(headers={"ETag": '"other"', "X": '"one"'}),
    ],
)
def test_an_answer_that_is_not_the_rest_starts_from_the_first_byte(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, plan: _Plan
) -> None:
    _break_off(server, server.url, tmp_path)
    server.plans.append(plan)
    assert fetch(server.url, tmp_path).read_bytes() == BODY
    assert server.asked == [("bytes=100000-", '"one"'), (None, None)]


def test_a_range_that_nobody_asked_for_is_refused(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    server.plans.append(_Plan(status=206))
    with pytest.raises(WeightsError, match="it answers with status 206"):
        fetch(server.url, tmp_path)
    assert _files(tmp_path) == []


def test_the_checksum_is_of_the_whole_file_and_a_wrong_one_removes_the_part(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    url = f"{server.url}#sha256={SHA}"
    _break_off(server, url, tmp_path)
    server.plans.append(_Plan(body=BODY[:-1] + b"x"))
    with pytest.raises(WeightsError, match=f"asked for was {SHA}"):
        fetch(url, tmp_path)
    assert _files(tmp_path) == []
    assert fetch(url, tmp_path).read_bytes() == BODY
    assert server.asked[1:] == [(None, None)]


def test_a_part_whose_bytes_were_damaged_never_becomes_the_file(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    url = f"{server.url}#sha256={SHA}"
    _break_off(server, url, tmp_path)
    (part,) = tmp_path.rglob(_parts()[0])
    part.write_bytes(bytes(100_000))
    with pytest.raises(WeightsError, match=f"asked for was {SHA}"):
        fetch(url, tmp_path)
    assert _files(tmp_path) == []


def test_parts_of_different_checksums_are_not_mixed(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    _break_off(server, f"{server.url}#sha256={'0' * 64}", tmp_path)
    assert fetch(f"{server.url}#sha256={SHA}", tmp_path).read_bytes() == BODY
    assert server.asked == [(None, None)]
    assert _files(tmp_path) == ["a.pdparams"]


def test_the_limit_holds_for_the_file_and_not_for_its_rest(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    _break_off(server, server.url, tmp_path)
    with pytest.raises(WeightsError, match="it is longer than 300000 bytes"):
        fetch(server.url, tmp_path, limit=300_000)
    assert server.asked == [("bytes=100000-", '"one"')]
    assert _files(tmp_path) == []


def test_no_pause_leads_beyond_the_deadline(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_PAUSES_S", (60,))
    server.plans.append(_Plan(cut=100_000))
    with pytest.raises(WeightsError, match="after 100000 of 307200 bytes; no time is left for another try"):
        fetch(server.url, tmp_path, wait_s=30)
    assert _files(tmp_path) == _parts("")


@pytest.mark.parametrize(("pin", "asked"), [(f"#sha256={SHA}", "bytes=100000-"), ("", None)])
def test_after_a_power_cut_only_what_a_checksum_guards_is_continued(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str, asked: str
) -> None:
    _break_off(server, server.url + pin, tmp_path / "cache")
    (tmp_path / "boot").write_text("0123-abcd\n")
    monkeypatch.setattr(download_part, "_BOOT", tmp_path / "boot")
    assert fetch(server.url + pin, tmp_path / "cache").read_bytes() == BODY
    assert [range_ for range_, _ in server.asked] == [asked]


@pytest.mark.parametrize("note", [b"", b"junk", b'"one"\nx\n\n', b'"o\xff"\n307200\n\n', b'"one"\n99999\n0\n'])
def test_a_damaged_note_starts_from_the_first_byte(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, note: bytes
) -> None:
    url = f"{server.url}#sha256={SHA}"
    _break_off(server, url, tmp_path)
    (path,) = tmp_path.rglob("*.note")
    path.write_bytes(note)
    assert fetch(url, tmp_path).read_bytes() == BODY
    assert server.asked == [(None, None)]


CHILD = """
import sys
from pathlib import Path
from ppcls.utils.download import fetch
fetch(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ended_in_the_middle_leaves_a_part_and_the_next_one_goes_on(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, number: int
) -> None:
    url, environment = f"{server.url}#sha256={SHA}", os.environ | {"PYTHONPATH": str(ROOT)}
    server.plans.append(_Plan(cut=200_000, stall=True))
    process = subprocess.Popen([sys.executable, "-c", CHILD, url, str(tmp_path)], env=environment, stderr=-3)
    deadline = time.monotonic() + 30
    while sum(path.stat().st_size for path in tmp_path.rglob(_parts()[0])) < 150_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(10)
    assert _files(tmp_path) == _parts()
    (part,) = tmp_path.rglob(_parts()[0])
    have = part.stat().st_size
    assert part.read_bytes() == BODY[:have]
    assert fetch(url, tmp_path).read_bytes() == BODY
    assert server.asked[1:] == [(f"bytes={have}-", '"one"')]
    assert _files(tmp_path) == ["a.pdparams"]

"""Downloads, from a server on this machine that answers well, badly, or not at all."""

import hashlib
import http.server
import io
import logging
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ppcls.utils import download, files, save_load
from ppcls.utils.download import _SafeRedirects, fetch
from ppcls.utils.errors import ConfigError, PpclsError, WeightsError

BODY = b"\x80\x04}." * 1000
SHA = hashlib.sha256(BODY).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """What a path begins with says how it is answered."""

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.asked.set()
        if self.path.startswith("/missing"):
            self.send_error(404)
        elif self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.end_headers()
        elif self.path.startswith("/page"):
            self._answer(b"<!DOCTYPE html>sign in")
        elif self.path.startswith("/pieces"):
            self._answer_in_pieces()
        elif self.path.startswith("/trickle"):
            self._answer(b"x", len(BODY))
            while not self.server.released.wait(0.02):
                self.wfile.write(b"x")
        elif self.path.startswith("/half"):
            self._answer(BODY[:500], len(BODY))
        elif self.path.startswith("/stuck"):
            self._answer(b"", len(BODY))
            self.server.released.wait(10)
        else:
            self.server.released.wait(10 if self.path.startswith("/slow") else 0)
            self._answer(b"" if "slow" in self.path and self.server.fails else BODY, len(BODY))

    def _answer(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _answer_in_pieces(self) -> None:
        """Without a length before, but with one of each piece; the last piece, which is empty, may be missing."""
        self.protocol_version = "HTTP/1.1"
        self.close_connection = True
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(BODY), 1500):
            piece = BODY[start : start + 1500]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"" if "cut" in self.path else b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSES_S", (0, 0, 0))


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.paths, server.fails = [], False
        server.asked, server.released = threading.Event(), threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def _files(folder: Path) -> list[str]:
    """Everything below ``folder`` but locks and notes of failures."""
    return [name for _, _, names in os.walk(folder) for name in names if not name.endswith((".lock", ".failed"))]


def _refusal(url: str, cache: Path, **options: float) -> str:
    with pytest.raises(WeightsError) as caught:
        fetch(url, cache, **options)
    assert caught.value.slug == "download"
    assert url.partition("#")[0] in str(caught.value)
    assert _files(cache) == []
    return str(caught.value)


def test_a_file_is_fetched_once_and_its_checksum_told(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ppcls"):
        path = fetch(f"{server.url}/a.pdparams", tmp_path)
    assert path.read_bytes() == BODY
    assert path.name == "a.pdparams"
    assert f"#sha256={SHA}" in caplog.text
    assert str(path) in caplog.text
    assert fetch(f"{server.url}/a.pdparams", tmp_path) == path
    assert server.paths == ["/a.pdparams"]


def test_a_checksum_is_checked_when_fetched_and_when_cached(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    url = f"{server.url}/a.pdparams"
    reason = _refusal(f"{url}#sha256={'0' * 64}", tmp_path)
    assert SHA in reason
    assert "0" * 64 in reason
    path = fetch(f"{url}#sha256={SHA.upper()}", tmp_path)
    path.write_bytes(b"changed")
    assert fetch(f"{url}#sha256={SHA}", tmp_path).read_bytes() == BODY
    assert len(server.paths) == 3


def test_two_addresses_never_share_a_file(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    assert fetch(f"{server.url}/x/a.pdparams", tmp_path) != fetch(f"{server.url}/y/a.pdparams", tmp_path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "HTTP Error 404: Not Found"),
        ("/half", "it broke off after 500 of 4000 bytes"),
        ("/stuck", "timed out"),
        ("/away?http://example.com/a", "http:// is not fetched"),
        ("/pieces-cut", "IncompleteRead"),
        ("/away?ftp://127.0.0.1/a", "ftp:// is not fetched"),
        ("/away?file:///etc/hostname", "Redirection to url 'file:///etc/hostname' is not allowed"),
    ],
)
def test_a_bad_answer_leaves_nothing(
    path: str, reason: str, server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        fetch(server.url + path, tmp_path, timeout_s=0.3)
    assert caught.value.slug == "download"
    assert _files(tmp_path) == []


def test_an_answer_above_the_limit_is_refused(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    assert "longer than 3999 bytes" in _refusal(f"{server.url}/a", tmp_path, limit=3999)


def test_an_answer_in_pieces_is_put_together(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    assert fetch(f"{server.url}/pieces", tmp_path).read_bytes() == BODY


def test_a_server_that_trickles_is_left_at_the_deadline(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    started = time.monotonic()
    reason = _refusal(f"{server.url}/trickle", tmp_path, timeout_s=5, wait_s=0.3)
    assert re.search(r"only \d+ bytes came until the deadline", reason)
    assert time.monotonic() - started < 3


def test_no_redirect_leads_from_https_to_http_not_even_of_this_machine() -> None:
    request = urllib.request.Request("https://example.com/a")
    with pytest.raises(WeightsError, match=r"example\.com leads there, away from https://"):
        _SafeRedirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://127.0.0.1:8080/a")


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "refused" in _refusal("http://127.0.0.1:1/a", tmp_path)


@pytest.mark.parametrize("url", ["http://example.com/a", "file:///etc/hostname", "ftp://127.0.0.1/a", "https://[x/a"])
def test_an_address_that_is_not_https_is_refused_unasked(url: str, tmp_path: Path) -> None:
    _refusal(url, tmp_path)


def test_a_fragment_that_is_no_checksum_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected #sha256= and 64 hexadecimal digits"):
        fetch("https://example.com/a#md5=1", tmp_path)


@pytest.mark.parametrize(
    "path", ["/x/../../../../out", "/..", "/%2e%2e%2fout", "/.hidden", "/a/b%00c", "/" + "n" * 300]
)
def test_no_address_leads_out_of_the_cache(path: str, server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    found = fetch(server.url + path, tmp_path / "cache")
    assert found.resolve().parent.parent == tmp_path / "cache"
    assert os.listdir(tmp_path) == ["cache"]


def test_a_cache_that_cannot_be_written_is_not_blamed_on_the_server(
    server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(PpclsError, match="cannot write") as caught:
        fetch(f"{server.url}/a", tmp_path / "cache")
    assert caught.value.slug == "output"


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once somebody waits for a lock."""
    event = threading.Event()
    sleep = time.sleep

    def told(seconds: float) -> None:
        event.set()
        sleep(seconds)

    monkeypatch.setattr(files.time, "sleep", told)
    return event


def _fetch_twice(server: http.server.ThreadingHTTPServer, cache: Path, waiting: threading.Event) -> list[object]:
    """Two at once: the second waits while the first one fetches."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(fetch(f"{server.url}/slow", cache))
        except WeightsError as error:
            results.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.wait(5)
    server.released.set()
    for thread in threads:
        thread.join()
    return results


def test_one_process_fetches_and_the_other_waits_for_its_file(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, waiting: threading.Event
) -> None:
    first, second = _fetch_twice(server, tmp_path, waiting)
    assert first == second
    assert first.read_bytes() == BODY
    assert server.paths == ["/slow"]


def test_who_waits_sees_the_failure_of_who_fetches(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, waiting: threading.Event
) -> None:
    server.fails = True
    first, second = _fetch_twice(server, tmp_path, waiting)
    assert first == second
    assert "it broke off after 0 of 4000 bytes" in first
    assert server.paths == ["/slow"] * 4  # by the first one alone, which tried again three times


def test_who_waits_too_long_says_so(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    thread = threading.Thread(target=fetch, args=(f"{server.url}/slow", tmp_path))
    thread.start()
    assert server.asked.wait(5)
    with pytest.raises(WeightsError, match="another process has been fetching it for 0 s"):
        fetch(f"{server.url}/slow", tmp_path, wait_s=0.2)
    server.released.set()
    thread.join()


def test_a_page_instead_of_weights_does_not_stay_in_the_cache(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save_load, "fetch", lambda url: fetch(url, tmp_path))
    with pytest.raises(WeightsError, match="it is an HTML page"):
        save_load.read_weights(f"{server.url}/page.pdparams")
    assert _files(tmp_path) == []

"""An address -> a file in the cache, fetched once, whole, and by one process."""

import hashlib
import http.client
import itertools
import logging
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urldefrag, urlsplit

from ppcls.utils.download_part import Part
from ppcls.utils.errors import ConfigError, PpclsError, WeightsError
from ppcls.utils.files import Lock, output_errors, write_whole

_LOG = logging.getLogger("ppcls")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CHUNK = 1 << 20
_PAUSES_S = (0.5, 1.0, 2.0)  # before another try, after a lost connection
_NETWORK = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)

CACHE = Path("~/.cache/ppcls/weights")


def is_url(text: str) -> bool:
    """Whether ``text`` is an address, of whatever scheme, and not a path."""
    return "://" in text


def fetch(
    url: str, cache: Path = CACHE, *, timeout_s: float = 30.0, wait_s: float = 3600.0, limit: int = 8 << 30
) -> Path:
    """The file behind ``url``, from the cache if it is there.

    It appears under its name when it is complete and checked. What an interrupted download left is continued, if the
    server can tell that it still has the same file; otherwise the file is fetched from its first byte. A connection
    lost on the way is taken up again up to three times.

    Args:
        url: https; http from this machine alone. ``#sha256=<64 digits>`` behind it is checked, always.
        timeout_s: without a byte for so long, the connection is lost.
        wait_s: how long to wait for another process that fetches the same file, and how long fetching may take.
        limit: bytes; a longer file is refused.
    Raises:
        WeightsError: ``download``: address refused, no answer, cut short, too long, too slow, or another checksum.
    """
    address, fragment = urldefrag(url)
    expected = _parse_fragment(fragment, url)
    _require_allowed(address)
    path = _cached_path(address, cache.expanduser())
    if _is_cached(path, expected):
        return path
    failure = path.with_name(f"{path.name}.failed")
    lock, since = _lock(path, url, wait_s)
    with lock:
        if _is_cached(path, expected):
            return path
        if since is not None and failure.exists() and failure.stat().st_mtime >= since:
            raise WeightsError(failure.read_text(encoding="utf-8"), "download")
        try:
            _download(address, path, expected, _Bounds(timeout_s, time.monotonic() + wait_s, limit))
        except PpclsError as error:
            if isinstance(error, WeightsError):
                write_whole(failure, str(error).encode())
            raise
        failure.unlink(missing_ok=True)
    return path


def _lock(path: Path, url: str, wait_s: float) -> tuple[Lock, float | None]:
    """The right to fetch ``path``, and since when another process was waited for, if one was."""
    name = path.with_name(f"{path.name}.lock")
    since = time.time() - 1.0  # a file system's clock may lag behind
    try:
        return Lock(name), None
    except ConfigError:
        _LOG.info("another process fetches %s; waiting for it", url)
    try:
        return Lock(name, wait_s), since
    except ConfigError as error:
        raise _failed(url, f"another process has been fetching it for {wait_s:.0f} s") from error


def _parse_fragment(fragment: str, url: str) -> str | None:
    if not fragment:
        return None
    match = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if not match:
        raise ConfigError(f"{url}: expected #sha256= and 64 hexadecimal digits behind the address, or nothing")
    return match[1].lower()


def _require_allowed(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise _failed(address, str(error)) from error
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise _failed(address, f"{parts.scheme}:// is not fetched, https:// is")


def _cached_path(address: str, cache: Path) -> Path:
    """A name of harmless letters, with the address's hash, so that two addresses never share a file."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(address).path.rpartition("/")[2]).lstrip(".") or "weights"
    return cache / hashlib.sha256(address.encode()).hexdigest()[:12] / name[-100:]


def _is_cached(path: Path, expected: str | None) -> bool:
    if not path.is_file():
        return False
    if expected is None or _sha256(path) == expected:
        return True
    _LOG.warning("%s has another sha256 than asked for; fetching it again", path)
    return False


class _Bounds(NamedTuple):
    """Seconds without a byte, the monotonic time to end at, bytes in all."""

    timeout_s: float
    deadline: float
    limit: int


class _Body(NamedTuple):
    """An answer that brings the bytes from ``start`` on, of ``total`` if that was told."""

    answer: Any
    start: int
    total: int | None


class _LostError(Exception):
    """The connection was lost; another one may go on."""


class _UnreachableError(_LostError):
    """No connection, or a server that is not ready to answer."""


def _download(address: str, path: Path, expected: str | None, bounds: _Bounds) -> None:
    _LOG.info("fetching %s to %s", address, path)
    part = Part(path, expected)
    try:
        _receive_all(address, part, bounds)
        found = _sha256(part.path)  # of what the disk has, all of it: a part of an earlier start included
        if expected is not None and found != expected:
            part.discard()
            raise _failed(address, f"its sha256 is {found}, asked for was {expected}")
        part.finish()
    finally:
        if part.rest() is None:
            part.discard()
    if expected is None:
        _LOG.info("fetched %s; to pin it, append #sha256=%s to the address", path, found)


def _receive_all(address: str, part: Part, bounds: _Bounds) -> None:
    """Until the last byte is there; a lost connection is followed by another that asks for the rest."""
    for attempt in itertools.count():
        try:
            return _receive(address, part, bounds)
        except _LostError as error:
            if attempt == len(_PAUSES_S) or (attempt == 0 and isinstance(error, _UnreachableError)):
                raise _failed(address, str(error)) from error
            if time.monotonic() + _PAUSES_S[attempt] > bounds.deadline:
                raise _failed(address, f"{error}; no time is left for another try") from error
            _LOG.warning("%s: %s; trying again in %.1f s", address, error, _PAUSES_S[attempt])
        time.sleep(_PAUSES_S[attempt])


def _receive(address: str, part: Part, bounds: _Bounds) -> None:
    body = _ask(address, part, bounds)
    received = body.start
    with body.answer, output_errors(part.path), part.append() as file:
        while chunk := _read(body.answer):
            received += len(chunk)
            if max(received, body.total or 0) > bounds.limit:
                part.discard()
                raise _failed(address, f"it is longer than {bounds.limit} bytes")
            if time.monotonic() > bounds.deadline:
                raise _failed(address, f"only {received} bytes came until the deadline")
            file.write(chunk)
        if body.total is not None and received < body.total:
            raise _LostError(f"it broke off after {received} of {body.total} bytes")
        if body.total is not None and received > body.total:
            part.discard()
            raise _failed(address, f"it sent {received} bytes and had announced {body.total}")


def _ask(address: str, part: Part, bounds: _Bounds) -> _Body:
    """An answer that goes on behind the part, or one from the first byte, for which the part was emptied."""
    rest = part.rest()
    if rest is not None:
        answer = _open(address, rest.headers(), bounds)
        total = rest.total_in(answer.headers) if answer.status == 206 else None
        if total is not None:
            _LOG.info("%s: going on behind the %d bytes that are there", address, rest.start)
            return _Body(answer, rest.start, total)
        if answer.status == 200:
            part.restart(answer.headers, answer.length)
            return _Body(answer, 0, answer.length)
        answer.close()
    answer = _open(address, {}, bounds)
    if answer.status != 200:
        answer.close()
        raise _failed(address, f"it answers with status {answer.status}")
    part.restart(answer.headers, answer.length)
    return _Body(answer, 0, answer.length)


def _open(address: str, headers: dict[str, str], bounds: _Bounds) -> Any:
    """The answer, also one with status 416, which has no such range."""
    request = urllib.request.Request(address, headers=headers)
    try:
        return urllib.request.build_opener(_SafeRedirects).open(request, timeout=bounds.timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        if error.code >= 500:
            raise _UnreachableError(str(error)) from error
        raise _failed(address, str(error)) from error
    except _NETWORK as error:
        raise _UnreachableError(str(error) or type(error).__name__) from error


def _read(answer: Any) -> bytes:
    try:
        return answer.read1(_CHUNK)  # what is there: read waits for a whole chunk, from a server that trickles for ever
    except _NETWORK as error:  # a timeout is an OSError too, and the disk would be blamed for it
        raise _LostError(str(error) or type(error).__name__) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _failed(address: str, reason: str) -> WeightsError:
    return WeightsError(f"cannot download {address}: {reason}; or fetch it yourself and give its path", "download")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to where ``fetch`` would go itself."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; WeightsError when it would leave https, also for this machine's own http."""
        try:
            _require_allowed(newurl)
            if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
                raise _failed(newurl, f"{req.host} leads there, away from https://")
        except WeightsError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)

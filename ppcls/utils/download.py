"""An address -> a file in the cache, fetched once, whole, and by one process."""

import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urldefrag, urlsplit

from ppcls.utils.errors import ConfigError, PpclsError, WeightsError
from ppcls.utils.files import Lock, write_whole, written_aside

_LOG = logging.getLogger("ppcls")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CHUNK = 1 << 20
_NETWORK = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)

CACHE = Path("~/.cache/ppcls/weights")


def is_url(text: str) -> bool:
    """Whether ``text`` is an address, of whatever scheme, and not a path."""
    return "://" in text


def fetch(
    url: str, cache: Path = CACHE, *, timeout_s: float = 30.0, wait_s: float = 3600.0, limit: int = 8 << 30
) -> Path:
    """The file behind ``url``, from the cache if it is there.

    It appears under its name when it is complete and checked. What an interrupted process left is removed, and the
    file fetched again from its first byte: a server may have replaced it in between.

    Args:
        url: https; http from this machine alone. ``#sha256=<64 digits>`` behind it is checked, always.
        timeout_s: without a byte for so long, it fails.
        wait_s: how long to wait for another process that fetches the same file, and how long fetching may take.
        limit: bytes; a longer answer is refused.
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


def _download(address: str, path: Path, expected: str | None, bounds: _Bounds) -> None:
    _LOG.info("fetching %s to %s", address, path)
    for left in path.parent.glob(f".tmp-{path.name}-*"):  # of a process that was killed: this one has the lock
        left.unlink()
    digest = hashlib.sha256()
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(address, timeout=bounds.timeout_s) as answer, written_aside(path) as file:
            for chunk in _chunks(answer, address, bounds):
                digest.update(chunk)
                file.write(chunk)
            if expected is not None and digest.hexdigest() != expected:
                raise _failed(address, f"its sha256 is {digest.hexdigest()}, asked for was {expected}")
    except _NETWORK as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _failed(address, str(error) or type(error).__name__) from error
    if expected is None:
        _LOG.info("fetched %s; to pin it, append #sha256=%s to the address", path, digest.hexdigest())


def _chunks(answer: Any, address: str, bounds: _Bounds) -> Iterator[bytes]:
    """The body, checked against its announced length and the bounds."""
    announced = answer.headers.get("Content-Length")
    received = 0
    while chunk := _read(answer, address):
        received += len(chunk)
        if received > bounds.limit:
            raise _failed(address, f"it is longer than {bounds.limit} bytes")
        if time.monotonic() > bounds.deadline:
            raise _failed(address, f"only {received} bytes came until the deadline")
        yield chunk
    if announced is not None and announced != str(received):
        raise _failed(address, f"it broke off after {received} of {announced} bytes")


def _read(answer: Any, address: str) -> bytes:
    try:
        return answer.read1(_CHUNK)  # what is there: read waits for a whole chunk, from a server that trickles for ever
    except _NETWORK as error:  # a timeout is an OSError too, and the disk would be blamed for it
        raise _failed(address, str(error) or type(error).__name__) from error


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

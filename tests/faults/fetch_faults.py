"""Downloads and archives that bring something else than they should: refused, and nothing is put under its name."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from functools import partial
from pathlib import Path

from fault import Fault
from place import Place
from process import Ended

_BODY = b"\x80\x04}." * 1000
_OTHER = hashlib.sha256(b"other").hexdigest()


class _Answers(http.server.BaseHTTPRequestHandler):
    """The first word of a path says how it is answered."""

    def do_GET(self) -> None:
        how = self.path.split("/")[1]
        if how == "missing":
            self.send_error(404)
            return
        self.send_response(302 if how == "away" else 200)
        if how == "away":
            self.send_header("Location", "http://weights.example/w.pdparams")
        body = {"page": b"<!DOCTYPE html>sign in", "away": b""}.get(how, _BODY)
        self.send_header("Content-Length", str(2 * len(body) if how == "half" else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def serve(place: Place) -> None:
    """A server on this machine until the end of the test, its address in ``$url``."""
    server = place.opened.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    place.opened.callback(thread.join)
    place.opened.callback(server.shutdown)
    place.values["url"] = f"http://127.0.0.1:{server.server_port}"


def nothing_fetched(place: Place, ended: Ended) -> None:
    """The cache holds no weights, and nothing lies beside it."""
    found = [path for path in place.folder.rglob("*") if path.is_file()]
    names = {path.name for path in found if path.suffix not in (".lock", ".failed")}
    assert names <= {"tiny.yaml", "eval.log"}, names


def archived(name: str, link: str, place: Place) -> None:
    """``train.tar`` with one member, a file or a link."""
    with tarfile.open(place.folder / "train.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member, io.BytesIO(b""))


def nothing_outside(place: Place, ended: Ended) -> None:
    """No member came out of the folder it belongs into."""
    outside = [path for path in place.folder.parent.rglob("escaped*") if (place.folder / "data") not in path.parents]
    assert not outside, outside
    assert not Path("/tmp/escaped.tar").exists()


_fetched = partial(
    Fault,
    code=4,
    slug="download",
    command=("eval",),
    arrange=serve,
    bent=(("bent.at_home_in", "$folder/home"),),
    leaves=(nothing_fetched,),
)
_ADDRESSES = {
    "checksum": (f"$url/whole/w.pdparams#sha256={_OTHER}", rf"its sha256 is \w{{64}}, asked for was {_OTHER}"),
    "half a body": ("$url/half/w.pdparams", r"it broke off after 4000 of 8000 bytes|IncompleteRead"),
    "not found": ("$url/missing/w.pdparams", r"HTTP Error 404"),
    "redirect to http": ("$url/away/w.pdparams", r"http:// is not fetched, https:// is"),
    "file address": ("file:///etc/passwd", r"file:// is not fetched, https:// is"),
    "plain http": ("http://weights.example/w.pdparams", r"http:// is not fetched, https:// is"),
}
FAULTS = (
    *(
        _fetched(
            f"download: {name}",
            "an address does not lead to the weights",
            spoiling=(f"Global.pretrained_model={address}",),
            says=rf"cannot download .*({says}).*; or fetch it yourself and give its path",
        )
        for name, (address, says) in _ADDRESSES.items()
    ),
    _fetched(
        "download: web page",
        "an address leads to a page that asks to sign in",
        slug="damaged",
        spoiling=("Global.pretrained_model=$url/page/w.pdparams",),
        says=r"w\.pdparams holds no weights: it is an HTML page",
    ),
    _fetched(
        "download: name that climbs out",
        "the last part of an address is a path",
        slug="damaged",
        spoiling=("Global.pretrained_model=$url/whole/..%2F..%2Fescaped",),
        says=r"cache/ppcls/weights/\w+/_2F\.\._2Fescaped is damaged",
        leaves=(nothing_outside,),
    ),
    *(
        Fault(
            f"archive: {name}",
            "a member of an archive would land outside of its folder",
            3,
            slug="archive",
            command=("prepare", "imagenet", "-", "--train", "$folder/train.tar", "--out", "$folder/data"),
            arrange=partial(archived, member, link),
            says=rf"train\.tar: member '{re.escape(member)}'",
            leaves=(nothing_outside,),
        )
        for name, (member, link) in {
            "member that climbs out": ("../../escaped.tar", ""),
            "absolute member": ("/tmp/escaped.tar", ""),
            "link out": ("n01440764.tar", "/etc/passwd"),
        }.items()
    ),
)

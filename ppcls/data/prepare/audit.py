"""What a check of a data set found: bad lines, bad pictures, classes, and pictures of both splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ppcls.data.prepare.check import Finding, PictureList

SHOWN_CLASSES = 10  # labels without a picture that a line names


class Twin(NamedTuple):
    """A picture for evaluation with the bytes of one for training: where both are listed.

    ``more`` counts further places among the training pictures.
    """

    sha256: str
    evaluation: str
    training: str
    more: int


@dataclass(eq=False)
class ListAudit:
    """One list: what was found so far. 32 bytes are kept of each picture, more only of the bad ones."""

    pictures: PictureList
    bad: list[Finding] = field(default_factory=list)
    digests: np.ndarray = field(init=False)  # uint8 [N, 32]; of a picture that was not read, zeros
    is_file: np.ndarray = field(init=False)  # bool [N]
    is_good: np.ndarray = field(init=False)  # bool [N]

    def __post_init__(self) -> None:
        count = len(self.pictures.dataset)
        self.digests = np.zeros([count, 32], np.uint8)
        self.is_file = np.zeros(count, bool)
        self.is_good = np.zeros(count, bool)

    def add(self, finding: Finding) -> None:
        """Take note of one picture."""
        if finding.sha256 is not None:
            self.digests[finding.index] = np.frombuffer(finding.sha256, np.uint8)
            self.is_file[finding.index] = True
        if finding.reason is None:
            self.is_good[finding.index] = True
        else:
            self.bad.append(finding)

    def class_counts(self) -> np.ndarray:
        """Pictures of each class: ``[class_num]``, or up to the highest label there is."""
        return np.bincount(self.pictures.dataset.scan.good.labels, minlength=self.pictures.class_num or 0)

    def bad_lines(self) -> Iterator[str]:
        """A line for each, or for the first of very many."""
        scan = self.pictures.dataset.scan
        for number, reason in scan.bad:
            yield f"{self.pictures.file}:{number} {reason}"
        if scan.bad_count > len(scan.bad):
            yield f"{self.pictures.file}: and {scan.bad_count - len(scan.bad)} more bad lines"

    def summary(self) -> str:
        """``lists/train.txt: 1437 pictures in 9 of 10 classes, 140 to 146 each; none of class 3``"""
        counts = self.class_counts()
        used = counts[counts > 0]
        if not len(used):
            return f"{self.pictures.file}: lists no picture"
        of = f" of {self.pictures.class_num}" if self.pictures.class_num else ""
        text = f"{counts.sum()} pictures in {len(used)}{of} classes, {used.min()} to {used.max()} each"
        empty = np.flatnonzero(counts == 0) if self.pictures.class_num else np.array([], int)
        if len(empty):
            more = f" and {len(empty) - SHOWN_CLASSES} more" if len(empty) > SHOWN_CLASSES else ""
            text += f"; none of class {', '.join(map(str, empty[:SHOWN_CLASSES]))}{more}"
        return f"{self.pictures.file}: {text}"

    def as_json(self) -> dict[str, Any]:
        """All of it but the checksums."""
        scan = self.pictures.dataset.scan
        counts = self.class_counts()
        return {
            "list": self.pictures.file,
            "image_root": self.pictures.root,
            "splits": sorted(self.pictures.splits),
            "class_num": self.pictures.class_num,
            "pictures": len(self.pictures.dataset),
            "bad_line_count": scan.bad_count,
            "bad_lines": [bad._asdict() for bad in scan.bad],
            "bad_picture_count": len(self.bad),
            "bad_pictures": [
                {"where": self.pictures.place(index), "path": self.pictures.path(index), "reason": reason}
                for index, reason, _ in self.bad
            ],
            "class_counts": {str(label): int(count) for label, count in enumerate(counts) if count},
            "empty_classes": np.flatnonzero(counts == 0).tolist() if self.pictures.class_num else [],
        }


def digests_by_path(audits: Sequence[ListAudit]) -> dict[str, str]:
    """The sha256 of each file that is there, bad pictures included."""
    return {
        audit.pictures.path(index): audit.digests[index].tobytes().hex()
        for audit in audits
        for index in map(int, np.flatnonzero(audit.is_file))
    }


def shared_lists(audits: Sequence[ListAudit]) -> list[ListAudit]:
    """The lists that a config trains on and evaluates on."""
    return [audit for audit in audits if audit.pictures.splits >= {"Train", "Eval"}]


def twins(audits: Sequence[ListAudit]) -> list[Twin]:
    """The readable pictures for evaluation whose very bytes are in a training list, in list order.

    A list that is used for both is not compared with itself; see ``shared_lists``.
    """
    found = []
    training = [audit for audit in audits if "Train" in audit.pictures.splits]
    for audit in audits:
        if "Eval" in audit.pictures.splits:
            found += _twins_of(audit, [other for other in training if other is not audit])
    return found


def _twins_of(audit: ListAudit, training: Sequence[ListAudit]) -> Iterator[Twin]:
    """Candidates agree in 8 of 32 bytes and are found by sorting; only they become Python objects."""
    candidates: dict[bytes, list[str]] = {}
    for other in training:
        for index in map(int, np.flatnonzero(np.isin(_heads(other), _heads(audit)) & other.is_good)):
            candidates.setdefault(other.digests[index].tobytes(), []).append(other.pictures.place(index))
    if not candidates:
        return
    for index in map(int, np.flatnonzero(audit.is_good)):
        digest = audit.digests[index].tobytes()
        places = candidates.get(digest)
        if places:
            yield Twin(digest.hex(), audit.pictures.place(index), places[0], len(places) - 1)


def _heads(audit: ListAudit) -> np.ndarray:
    return audit.digests[:, :8].copy().view(np.uint64)[:, 0]  # [N]

"""Pictures that cannot be read: what to do about them, and the account of them."""

import logging
from dataclasses import dataclass
from typing import NamedTuple

from ppcls.utils.errors import DataError
from ppcls.utils.suggest import did_you_mean

ON_ERROR = {"Train": ("skip", "stop"), "Eval": ("stop", "count_wrong")}  # the first is the default

_log = logging.getLogger("ppcls")


class BadSample(NamedTuple):
    """A sample that could not be opened, read or decoded, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class ReadRule:
    """What a data set's YAML says about its unreadable pictures.

    Args:
        on_error: ``skip`` (training, the default there) takes the next readable picture of the list, ``stop``
            (evaluation, the default there) is an error, ``count_wrong`` (evaluation) counts the sample as wrong.
        max_bad_ratio: share of the list's files in [0, 1] that may be skipped; above it training ends.
        max_pixels: a picture whose header claims more is refused before it is decoded.
    """

    on_error: str | None = None
    max_bad_ratio: float = 0.01
    max_pixels: int = 50_000_000

    def __post_init__(self) -> None:
        known = sorted({word for words in ON_ERROR.values() for word in words})
        if self.on_error is not None and self.on_error not in known:
            hint = did_you_mean(str(self.on_error), known)
            raise ValueError(f"on_error is one of {', '.join(known)}; got {self.on_error!r}{hint}")
        if not 0 <= self.max_bad_ratio <= 1:
            raise ValueError(f"max_bad_ratio is a share in [0, 1]; got {self.max_bad_ratio}")
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels is at least 1; got {self.max_pixels}")

    def action(self, split: str) -> str:
        """``skip``, ``stop`` or ``count_wrong`` for ``Train`` or ``Eval``; ValueError if it is not for that split."""
        allowed = ON_ERROR[split]
        if self.on_error is None:
            return allowed[0]
        if self.on_error not in allowed:
            raise ValueError(f"on_error is one of {', '.join(allowed)} in DataLoader.{split}; got {self.on_error!r}")
        return self.on_error


class BadSamples:
    """The account of one loader: each file once, in the order they were met.

    Args:
        listed: number of files in the list.
        max_bad_ratio: see ``ReadRule``; None sets no limit.
    """

    def __init__(self, listed: int, max_bad_ratio: float | None) -> None:
        self.listed = listed
        self.limit = listed if max_bad_ratio is None else int(max_bad_ratio * listed)
        self.times = 0  # also counts a file that is met again
        self._reasons: dict[str, str] = {}
        self._taken = 0

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def records(self) -> list[BadSample]:
        """One for each file."""
        return [BadSample(where, reason) for where, reason in self._reasons.items()]

    def restore(self, records: list[BadSample]) -> None:
        """Go on from what an earlier part of the run met, without reporting it again."""
        self._reasons = dict(records)
        self._taken = len(self._reasons)

    def take_fresh(self) -> list[BadSample]:
        """The files met since the last call."""
        fresh = self.records[self._taken :]
        self._taken = len(self._reasons)
        return fresh

    def add(self, sample: BadSample, who: str = "") -> None:
        """Count it; a file met for the first time is reported.

        Args:
            who: ``rank 1: `` where another rank met it.
        Raises:
            DataError: more files than the limit; the message names the counts and the first file.
        """
        self.times += 1
        if sample.where in self._reasons:
            return
        self._reasons[sample.where] = sample.reason
        _log.warning("%scannot read %s: %s", who, sample.where, sample.reason)
        if len(self) > self.limit:
            first = self.records[0]
            raise DataError(
                f"{len(self)} of {self.listed} listed pictures cannot be read, more than the {self.limit} that "
                f"max_bad_ratio allows; first {first.where}: {first.reason}; "
                "repair or remove them, or raise max_bad_ratio"
            )

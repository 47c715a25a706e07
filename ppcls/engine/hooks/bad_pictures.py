"""``bad_samples.jsonl``: the training pictures that could not be read, once a file."""

import json
import logging
from pathlib import Path

from ppcls.data import BadSample, BadSamples
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import TrainState
from ppcls.utils.errors import PpclsError
from ppcls.utils.files import write_whole

_LOG = logging.getLogger("ppcls")


class BadPictures(Hook):
    """Writes the account of the loader after every epoch that has one, and counts it at the end, also after an error.

    A resumed run goes on with the account of the part before.
    """

    def __init__(self, bad: BadSamples, folder: Path) -> None:
        self._bad = bad
        self._path = folder / "bad_samples.jsonl"
        self._written = 0

    def train_begin(self, state: TrainState) -> None:
        if not self._path.exists():
            return
        if state.step == 0:
            self._path.unlink()  # of a run that ended before it saved anything
            return
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            self._bad.restore([BadSample(**json.loads(line)) for line in lines])
        except (ValueError, TypeError) as error:
            _LOG.warning("%s cannot be read (%s); unreadable pictures are counted afresh", self._path, error)

    def epoch_end(self, state: TrainState) -> None:
        self._write()

    def train_end(self, state: TrainState) -> None:
        self._write()
        if len(self._bad):
            counts = (len(self._bad), self._bad.listed, self._path)
            _LOG.warning("%d of %d listed pictures could not be read: see %s", *counts)

    def _write(self) -> None:
        if len(self._bad) == self._written:
            return
        lines = [json.dumps(sample._asdict(), ensure_ascii=False) + "\n" for sample in self._bad.records]
        try:
            write_whole(self._path, "".join(lines).encode())
        except PpclsError as error:
            _LOG.warning("%s", error)
        else:
            self._written = len(self._bad)

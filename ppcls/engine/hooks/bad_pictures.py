"""``bad_samples.jsonl``: the training pictures that could not be read, once a file."""

import json
import logging
from pathlib import Path

from ppcls.data import BadSamples
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.state import TrainState
from ppcls.utils.files import write_whole


class BadPictures(Hook):
    """Writes the account of the loader after every epoch that has one, and counts it at the end."""

    def __init__(self, bad: BadSamples, folder: Path) -> None:
        self._bad = bad
        self._path = folder / "bad_samples.jsonl"

    def epoch_end(self, state: TrainState) -> None:
        if len(self._bad):
            lines = [json.dumps(sample._asdict(), ensure_ascii=False) + "\n" for sample in self._bad.records]
            write_whole(self._path, "".join(lines).encode())

    def train_end(self, state: TrainState) -> None:
        if len(self._bad):
            counts = (len(self._bad), self._bad.listed, self._path)
            logging.getLogger("ppcls").warning("%d of %d listed pictures could not be read: see %s", *counts)

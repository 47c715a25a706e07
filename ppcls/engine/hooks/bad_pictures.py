"""``bad_samples.jsonl``: the training pictures that could not be read, once a file."""

import logging

from ppcls.data import BadSample, BadSamples
from ppcls.engine.hooks.hook import Hook
from ppcls.engine.records import BAD_SAMPLES, Records
from ppcls.engine.state import TrainState
from ppcls.utils import dist

_LOG = logging.getLogger("ppcls")


class BadPictures(Hook):
    """Brings the accounts of the ranks together before every save, and counts at the end, also after an error.

    A resumed run goes on with the account that its checkpoint knew.
    """

    def __init__(self, bad: BadSamples, records: Records) -> None:
        self._bad = bad
        self._records = records

    def train_begin(self, state: TrainState) -> None:
        rows = dist.from_main(lambda: self._records.rows(BAD_SAMPLES))
        self._bad.restore([BadSample(row["where"], row["reason"]) for row in rows])

    def exchange(self) -> None:
        """Tell all ranks what each has met since the last time; rank 0 writes it. All ranks call it.

        Raises:
            DataError: together they met more than the limit.
        """
        fresh = self._bad.take_fresh()
        if not dist.all_sum([len(fresh)])[0]:
            return
        told = dist.gather(fresh)
        known = {sample.where for sample in self._bad.records} - {sample.where for sample in fresh}
        rows = {sample.where: sample for samples in told for sample in samples if sample.where not in known}
        self._write(list(rows.values()))
        for rank, samples in enumerate(told):
            for sample in samples if rank != dist.rank() else []:
                self._bad.add(sample, f"rank {rank}: ")
        self._bad.take_fresh()

    def train_end(self, state: TrainState) -> None:
        self._write(self._bad.take_fresh())
        if len(self._bad) and dist.is_main():
            path = self._records.path(BAD_SAMPLES)
            _LOG.warning("%d of %d listed pictures could not be read: see %s", len(self._bad), self._bad.listed, path)

    def _write(self, samples: list[BadSample]) -> None:
        if samples and dist.is_main():
            self._records.bad_samples(sample._asdict() for sample in samples)

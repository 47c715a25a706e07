"""The environment of all tests: set before anything imports paddle, and inherited by every command they start."""

import logging
import os
from collections.abc import Iterator

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

from ppcls.utils import logger, runtime

runtime.prepare()


@pytest.fixture(autouse=True)
def _quiet_logger() -> Iterator[None]:
    """Take back what a command run inside a test did to the logger."""
    yield
    named = logging.getLogger(logger.NAME)
    logger.close(named)
    named.setLevel(logging.NOTSET)
    named.propagate = True

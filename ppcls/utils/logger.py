"""One logger, "ppcls": the console, and a file on the rank that writes."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

NAME = "ppcls"
_FORMAT = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", datefmt="%Y/%m/%d %H:%M:%S")


class _ConsoleHandler(logging.Handler):
    """Writes above a progress bar instead of through it, to what ``sys`` calls by that name at that moment."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setFormatter(_FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        stream = getattr(sys, self._name)
        tqdm.write(self.format(record), file=stream)
        stream.flush()


def setup(*, quiet: bool = False, to_stderr: bool = False) -> logging.Logger:
    """Make "ppcls" write to the console, replacing what an earlier call set up.

    Args:
        quiet: only warnings and errors; for ranks that do not log.
        to_stderr: for commands whose standard output is for machines.
    """
    logger = logging.getLogger(NAME)
    close(logger)
    logger.addHandler(_ConsoleHandler("stderr" if to_stderr else "stdout"))
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
    return logger


def add_file(path: Path) -> None:
    """Also append all lines to ``path``, whose folder must exist."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_FORMAT)
    logging.getLogger(NAME).addHandler(handler)


def close_files() -> None:
    """Stop writing to files: the stage that owned them is over."""
    logger = logging.getLogger(NAME)
    for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
        logger.removeHandler(handler)
        handler.close()


def close(logger: logging.Logger) -> None:
    """Remove all handlers."""
    close_files()
    for handler in list(logger.handlers):
        logger.removeHandler(handler)

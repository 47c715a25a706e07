"""One logger, "ppcls": the console, and a file on the rank that writes."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "ppcls"
_FORMAT = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", datefmt="%Y/%m/%d %H:%M:%S")


class _ConsoleHandler(logging.Handler):
    """Writes above a progress bar instead of through it, to what ``sys`` calls by that name at that moment.

    A console that is gone takes no run with it.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._stream_name = name
        self.setFormatter(_FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        stream = getattr(sys, self._stream_name)
        if stream is None:
            return  # as after >&-
        from tqdm import tqdm  # here: what logs nothing, such as the report of a mistake, does not wait for it

        try:
            encoding = getattr(stream, "encoding", None) or "utf-8"
            text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)
            tqdm.write(text, file=stream)
            stream.flush()
        except OSError as error:
            if stream is sys.stdout:
                discard_stdout()
            _give_up(self, f"the console cannot be written ({error.strerror}); going on without it")


class _FileHandler(logging.FileHandler):
    """Lines lost to a full disk are worth a warning, not the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        _give_up(self, f"{self.baseFilename} cannot be written ({error.strerror}); going on without it")


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
    handler = _FileHandler(path, encoding="utf-8")
    handler.setFormatter(_FORMAT)
    logging.getLogger(NAME).addHandler(handler)


def close_files() -> None:
    """Stop writing to files: the stage that owned them is over."""
    logger = logging.getLogger(NAME)
    for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
        logger.removeHandler(handler)
        handler.close()


def note_in_files(text: str) -> None:
    """A line for the log files alone; the console has it from elsewhere."""
    record = logging.LogRecord(NAME, logging.ERROR, __file__, 0, text, None, None)
    for handler in logging.getLogger(NAME).handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


@contextmanager
def quietly() -> Iterator[None]:
    """While it lasts only errors are logged: for what is tried now, and told when it is done in earnest."""
    logger = logging.getLogger(NAME)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def discard_stdout() -> None:
    """Lead standard output nowhere: Python would fail once more, at its end, on what is still in the buffer."""
    with suppress(io.UnsupportedOperation, AttributeError):
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def close(logger: logging.Logger) -> None:
    """Remove all handlers."""
    close_files()
    for handler in list(logger.handlers):
        logger.removeHandler(handler)


def _give_up(handler: logging.Handler, reason: str) -> None:
    """Do without a handler, and say so through the others, or on standard error if there is none."""
    logger = logging.getLogger(NAME)
    logger.handlers = [other for other in logger.handlers if other is not handler]  # the old list is being iterated
    with suppress(OSError):
        handler.close()
    if logger.handlers:
        logger.warning("%s", reason)
    else:
        with suppress(OSError):
            print(f"{NAME} WARNING: {reason}", file=sys.stderr, flush=True)

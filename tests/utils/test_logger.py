"""No log line raises."""

import io
import sys

import pytest

from ppcls.utils import logger


def test_a_console_that_lacks_a_letter_shows_it_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    logger.setup().info("Übung")
    assert console.buffer.getvalue().endswith(b"ppcls INFO: \\xdcbung\n")

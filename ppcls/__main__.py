"""``python -m ppcls``: the ``ppcls`` command."""

from ppcls.cli import console

console()

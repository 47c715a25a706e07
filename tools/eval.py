"""``python tools/eval.py -c CONFIG [-o KEY=VALUE] ...``: the same as ``ppcls eval``, from a checkout."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppcls.cli.run import tool

if __name__ == "__main__":
    tool("eval")

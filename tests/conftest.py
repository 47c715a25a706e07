"""The environment of all tests: set before anything imports paddle, and inherited by every command they start."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from ppcls.utils import runtime

runtime.prepare()

"""Help, and the report of a mistake, wait for no package that takes long to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json, sys
from ppcls.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as left:
    code = left.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
HEAVY = {"paddle", "cv2", "numpy", "PIL", "matplotlib", "safetensors", "tqdm"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--help",), 0),
        (("train", "--help"), 0),
        (("train", "-c", "train1.yaml", "-o", "Global.epoch=3"), 2),
        (("train", "-c", "two_stage.yaml", "-o", "Arch.nam=x"), 2),
        (("eval", "-c", "no_such_file.yaml"), 2),
        (("infer", "-c", "infer.yaml", "-p", "batch_rang=[1,2]"), 2),
        (("trian",), 2),
        (("config", "-c", "train1.yaml"), 0),
        (("list",), 0),
    ],
)
def test_nothing_heavy_is_imported(words: tuple[str, ...], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    got, modules = json.loads(done.stderr.splitlines()[-1])
    assert got == code, done.stderr
    assert HEAVY.isdisjoint(modules), HEAVY.intersection(modules)

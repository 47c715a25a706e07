"""Logits that other implementations gave, with weights that a formula defines."""

import json
import math
import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def read_golden(name):
    """``paddle/X`` or ``official/X``: parameters as [name, shape] in file order, gain, logits by image size."""
    return json.loads((GOLDEN / f"{name}.json").read_text())


def formula_weights(golden):
    """Name -> float32 array, each drawn from a generator that its own name seeds."""
    return {key: _draw(key, shape, golden["gain"]).astype("float32") for key, shape in golden["parameters"]}


def golden_images(size):
    """float32 [1, 3, size, size]."""
    return np.random.RandomState(1904).standard_normal((1, 3, size, size)).astype("float32")


def _draw(key, shape, gain):
    rs = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    if key.endswith(("_mean", "bias", "beta", "running_mean")):
        return 0.1 * rs.randn(*shape)
    if key.endswith(("_variance", "running_var", "moving_var")):
        return rs.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return 1 + 0.1 * rs.randn(*shape)
    is_linear_of_paddle = len(shape) == 2 and not key.startswith("arg:")  # [in, out]; MXNet's are [out, in]
    return rs.randn(*shape) * math.sqrt(gain / (shape[0] if is_linear_of_paddle else math.prod(shape[1:])))


def relative_error(ours, golden):
    """Largest difference over largest golden logit."""
    golden = np.asarray(golden)
    return np.abs(ours - golden).max() / np.abs(golden).max()

"""Residual networks once more, in numpy, from a ``state_dict`` alone: plain or in two octaves, of any size."""

import numpy as np
from octave_reference import NumpyOps as Ops
from octave_reference import oct_conv

PATHS = ("h2h", "h2l", "l2h", "l2l")
STATISTICS = ("weight", "bias", "_mean", "_variance")


class ResidualReference:
    """Logits of a network whose stem, blocks and head have the given names.

    Args:
        layer: names of convolution and norm in each unit.
        stem, blocks: prefixes of units, and of blocks with their strides.
        pools, pools_shortcut: whether a stride is a mean, in all units or in shortcuts.
    """

    def __init__(self, state, layer, stem, blocks, head, groups=1, pools=False, pools_shortcut=False):
        self.state, self.layer, self.stem, self.blocks, self.head = state, layer, stem, blocks, head
        self.groups, self.pools, self.pools_shortcut = groups, pools, pools or pools_shortcut

    def __call__(self, images):
        """``[N, 3, H, W]`` -> ``[N, class_num]``."""
        x = (images, None)
        for number, name in enumerate(self.stem):
            x = _relu(self._unit(name, x, stride=1 if number else 2, groups=1, pools=False))
        x = (_max_pool(x[0]), None)
        for name, stride in self.blocks:
            x = self._block(name, x, stride)
        high, low = x
        assert low is None
        return high.mean((2, 3)) @ self.state[f"{self.head}.weight"] + self.state[f"{self.head}.bias"]

    def _block(self, name, x, stride):
        is_basic = not self._has(f"{name}.conv2")
        y = _relu(self._unit(f"{name}.conv0", x, stride if is_basic else 1, 1, self.pools))
        y = self._unit(f"{name}.conv1", y, 1 if is_basic else stride, 1 if is_basic else self.groups, self.pools)
        if not is_basic:
            y = self._unit(f"{name}.conv2", _relu(y), 1, 1, self.pools)
        if f"{name}.scale.squeeze.weight" in self.state:
            y = self._scaled(f"{name}.scale", y)
        if self._has(f"{name}.short"):
            x = self._unit(f"{name}.short", x, stride, 1, self.pools_shortcut)
        return _relu(tuple(None if a is None else a + b for a, b in zip(x, y, strict=True)))

    def _has(self, unit):
        return any(key.startswith(f"{unit}.") for key in self.state)

    def _unit(self, name, x, stride, groups, pools):
        conv, norm = (f"{name}.{layer}" for layer in self.layer)
        high, low = x
        if f"{conv}.weight" in self.state:
            high = Ops.shrink(high, 2) if pools and stride == 2 else high
            y = Ops.conv(high, self.state[f"{conv}.weight"], groups)
            y = y[:, :, ::2, ::2] if stride == 2 and not pools else y, None
        else:
            names = {path: f"{conv}.conv_{path}.weight" for path in PATHS}
            weights = {path: self.state[key] for path, key in names.items() if key in self.state}
            y = oct_conv(Ops, weights, high, low, high.shape[2:], stride, dict.fromkeys(weights, groups))
        if f"{norm}.weight" in self.state:
            return self._norm(norm, y[0]), None
        return tuple(None if v is None else self._norm(f"{norm}.bn_{p}", v) for v, p in zip(y, "hl", strict=True))

    def _norm(self, name, x):
        return Ops.batch_norm(x, *(self.state[f"{name}.{key}"] for key in STATISTICS))

    def _scaled(self, name, x):
        parts = [part for part in x if part is not None]
        means = np.concatenate([part.mean((2, 3)) for part in parts], axis=1)
        t = np.maximum(means @ self.state[f"{name}.squeeze.weight"] + self.state[f"{name}.squeeze.bias"], 0)
        gates = 1 / (1 + np.exp(-(t @ self.state[f"{name}.excitation.weight"] + self.state[f"{name}.excitation.bias"])))
        counts = [0 if part is None else part.shape[1] for part in x]
        split = np.split(gates[:, :, None, None], [counts[0]], axis=1)
        return tuple(None if part is None else part * gate for part, gate in zip(x, split, strict=True))


def _relu(x):
    return tuple(None if part is None else np.maximum(part, 0) for part in x)


def _max_pool(x):
    """3x3, stride 2, padding 1."""
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    height, width = x.shape[2:]
    shifted = [padded[:, :, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)]
    return np.max(shifted, axis=0)

"""Octave convolution and Oct-MobileNetV2 once more, written down plainly: in numpy for any size, and in the operators
of the original (interpolate, average pooling) for multiples of 32."""

import numpy as np
import paddle
import paddle.nn.functional as F

RELU6, EPSILON = 6.0, 1e-5


class NumpyOps:
    """Loops and indices; nothing of Paddle."""

    @staticmethod
    def conv(x, weight, groups=1):
        """Stride 1, padding (k - 1) / 2."""
        k = weight.shape[2]
        pad = (k - 1) // 2
        height, width = x.shape[2:]
        padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        inputs, outputs = x.shape[1] // groups, weight.shape[0] // groups
        y = np.zeros([x.shape[0], weight.shape[0], height, width], x.dtype)
        for g in range(groups):
            for i in range(k):
                for j in range(k):
                    window = padded[:, g * inputs : (g + 1) * inputs, i : i + height, j : j + width]
                    kernel = weight[g * outputs : (g + 1) * outputs, :, i, j]
                    y[:, g * outputs : (g + 1) * outputs] += np.einsum("ncij,oc->noij", window, kernel)
        return y

    @classmethod
    def stem(cls, x, weight):
        return cls.conv(x, weight)[:, :, ::2, ::2]

    @staticmethod
    def shrink(x, k):
        """Means over k x k pixels; at the border over those inside."""
        rows, columns = -(-x.shape[2] // k), -(-x.shape[3] // k)
        y = np.zeros([*x.shape[:2], rows, columns], x.dtype)
        for p in range(rows):
            for q in range(columns):
                y[:, :, p, q] = x[:, :, p * k : (p + 1) * k, q * k : (q + 1) * k].mean(axis=(2, 3))
        return y

    @staticmethod
    def raise_to(x, size):
        """y[p, q] = x[p // 2, q // 2] for all p, q in size."""
        return x[:, :, np.arange(size[0]) // 2][:, :, :, np.arange(size[1]) // 2]

    @staticmethod
    def batch_norm(x, weight, bias, mean, variance):
        shape = [1, -1, 1, 1]
        scale = weight / np.sqrt(variance + EPSILON)
        return x * scale.reshape(shape) + (bias - mean * scale).reshape(shape)

    @staticmethod
    def relu6(x):
        return np.clip(x, 0, RELU6)

    @staticmethod
    def mean(x):
        return x.mean(axis=(2, 3), keepdims=True)


class OriginalOps:
    """The operators of the original, which fit together at multiples of 32 only."""

    @staticmethod
    def conv(x, weight, groups=1):
        return F.conv2d(x, weight, padding=(weight.shape[2] - 1) // 2, groups=groups)

    @staticmethod
    def stem(x, weight):
        return F.conv2d(x, weight, padding=1, stride=2)

    @staticmethod
    def shrink(x, k):
        return F.avg_pool2d(x, kernel_size=k, stride=k)

    @staticmethod
    def raise_to(x, _size):
        return F.interpolate(x, scale_factor=2, mode="nearest")

    @staticmethod
    def batch_norm(x, weight, bias, mean, variance):
        return F.batch_norm(x, mean, variance, weight, bias, epsilon=EPSILON)

    relu6 = staticmethod(F.relu6)

    @staticmethod
    def mean(x):
        return F.adaptive_avg_pool2d(x, 1)


def oct_conv(ops, weights, high, low, size, stride=1, groups=None):
    """The two parts of the output; ``weights`` maps h2h, h2l, l2h, l2l to arrays, ``groups`` the same to numbers."""
    groups = groups or dict.fromkeys(weights, 1)
    terms = {"h": [], "l": []}
    if "h2h" in weights:
        x = high if stride == 1 else ops.shrink(high, 2)
        terms["h"].append(ops.conv(x, weights["h2h"], groups["h2h"]))
    if "l2h" in weights:
        y = ops.conv(low, weights["l2h"], groups["l2h"])
        terms["h"].append(ops.raise_to(y, size) if stride == 1 else y)
    if "l2l" in weights:
        x = low if stride == 1 else ops.shrink(low, 2)
        terms["l"].append(ops.conv(x, weights["l2l"], groups["l2l"]))
    if "h2l" in weights:
        terms["l"].append(ops.conv(ops.shrink(high, 2 * stride), weights["h2l"], groups["h2l"]))
    return tuple(sum(parts[1:], parts[0]) if parts else None for parts in (terms["h"], terms["l"]))


def oct_mobilenet_v2(ops, state, images):
    """Logits from the ``state_dict`` alone: its names and shapes say which paths and blocks there are."""
    names = list(dict.fromkeys(key.split(".")[0] for key in state if key.startswith("L")))
    x = ops.stem(images, state["conv1.0.weight"])
    x = ops.relu6(_norm(ops, state, "conv1.1", x))
    for name in names:
        x = _block(ops, state, name, x)
    x = ops.conv(x, state["head.0.weight"])
    x = ops.mean(ops.relu6(_norm(ops, state, "head.1", x)))
    bias = state["head.5.bias"].reshape([1, -1, 1, 1])
    return (ops.conv(x, state["head.5.weight"]) + bias)[:, :, 0, 0]


def _block(ops, state, name, x):
    stride = 2 if name.endswith("_B0") else 1
    size = tuple(x.shape[2:])
    high, low = _conv(ops, state, f"{name}.conv1", x, None, size)
    high, low = _relu6(ops, *_norms(ops, state, f"{name}.bn1", high, low))
    high, low = _conv(ops, state, f"{name}.conv2", high, low, size, stride, depthwise=True)
    high, low = _relu6(ops, *_norms(ops, state, f"{name}.bn2", high, low))
    size = tuple(-(-side // stride) for side in size)
    y, low = _conv(ops, state, f"{name}.conv3", high, low, size)
    assert low is None
    y = _norm(ops, state, f"{name}.bn3.bn_h", y)
    return x + y if stride == 1 and x.shape[1] == y.shape[1] else y


def _conv(ops, state, name, high, low, size, stride=1, depthwise=False):
    paths = ("h2h", "h2l", "l2h", "l2l")
    weights = {path: state[f"{name}.conv_{path}.weight"] for path in paths if f"{name}.conv_{path}.weight" in state}
    groups = {path: weight.shape[0] if depthwise else 1 for path, weight in weights.items()}
    return oct_conv(ops, weights, high, low, size, stride, groups)


def _norms(ops, state, name, high, low):
    return (
        None if high is None else _norm(ops, state, f"{name}.bn_h", high),
        None if low is None else _norm(ops, state, f"{name}.bn_l", low),
    )


def _norm(ops, state, name, x):
    return ops.batch_norm(x, *(state[f"{name}.{key}"] for key in ("weight", "bias", "_mean", "_variance")))


def _relu6(ops, high, low):
    return (None if high is None else ops.relu6(high)), (None if low is None else ops.relu6(low))


def float64_state(model, seed=0):
    """Make ``model`` float64 and fill it with numbers whose statistics are not those of a fresh network."""
    rng = np.random.default_rng(seed)
    model.to(dtype="float64")
    state = {}
    for key, value in model.state_dict().items():
        if key.endswith("_variance"):
            state[key] = rng.uniform(0.5, 1.5, value.shape)
        elif len(value.shape) == 1:
            state[key] = (1.0 if key.endswith("weight") else 0.0) + 0.1 * rng.standard_normal(value.shape)
        else:
            state[key] = rng.standard_normal(value.shape) / np.sqrt(np.prod(value.shape[1:]))
    model.set_state_dict({key: paddle.to_tensor(value) for key, value in state.items()})
    model.eval()
    return state

"""An octave network's first weights from those of its plain network.

Source: "Drop an Octave", arXiv 1904.05049, section 3.2: the four paths of a convolution hold exactly its parameters.
Each path gets the block of its weight between the channels of its two parts. A map that is the same at every pixel then
passes as through the plain network, wherever padding does not reach, for a part of it at half resolution is equal.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from paddle import nn

from ppcls.arch import backbone  # noqa: F401  registers the networks
from ppcls.arch.layers.oct_conv_bn import OctConv
from ppcls.arch.summary import build_lazily
from ppcls.registry import BACKBONES
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.save_load import Weights, compare
from ppcls.utils.weights import first_non_finite

_STATISTICS = ("weight", "bias", "_mean", "_variance")
Arrays = dict[str, np.ndarray]


def octavize(name: str, alpha: float, weights: Weights) -> Arrays:
    """Weights of the registered network ``name`` at ``alpha``, from its plain weights, for as many classes as they are.

    Raises:
        ConfigError: there is no such network, it has other weights at alpha 0, or ``alpha`` does not split it.
        WeightsError: ``mismatch`` if these are not all weights of the network and no others, or
            ``non-finite-weights``.
    """
    plain = _build(name, 0.0, class_num=1000)
    head = next(reversed(plain.state_dict()))
    classes = weights.arrays[head].shape if head in weights.arrays else ()
    class_num = classes[0] if len(classes) == 1 and classes[0] > 0 else 1000
    octave = _build(name, alpha, class_num)
    if not any(isinstance(layer, OctConv) and not layer.is_plain for layer in octave.sublayers()):
        raise ConfigError(
            f"{name} at alpha {alpha} is no octave form of a plain network; ppcls models prints all", "usage"
        )
    _require_fit(_build(name, 0.0, class_num), name, weights)
    return octave_weights(octave, weights.arrays)


def _build(name: str, alpha: float, class_num: int) -> nn.Layer:
    """Without values: names and shapes are all that is asked for."""
    build = BACKBONES.get(name)
    if "alpha" not in BACKBONES.parameters(name):
        raise ConfigError(f"{name} has no octaves: it takes no alpha", "usage")
    try:
        return build_lazily(lambda: build(alpha=alpha, class_num=class_num))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}", "usage") from error


def _require_fit(plain: nn.Layer, name: str, weights: Weights) -> None:
    report = compare(plain, weights.arrays, allow_head_mismatch=False)
    wrong = {
        "lacks": report.missing,
        "also holds": report.unexpected,
        "has another shape of": [misfit.name for misfit in report.mismatched],
    }
    told = [
        f"{what} {found[0]} and {len(found) - 1} more" if found[1:] else f"{what} {found[0]}"
        for what, found in wrong.items()
        if found
    ]
    if told:
        raise WeightsError(f"{weights.path} does not hold the plain weights of {name}: it {', '.join(told)}")
    bad = first_non_finite(weights.arrays)
    if bad is not None:
        raise WeightsError(f"{weights.path}: {bad} holds NaN or infinity; use other weights", "non-finite-weights")


def octave_weights(octave: nn.Layer, plain: Mapping[str, np.ndarray]) -> Arrays:
    """The weights of ``octave``, in its order, each number of ``plain`` used once.

    Args:
        octave: a network with ``alpha`` of a family that is plain at alpha 0.
        plain: all weights of that network at alpha 0, and no others.
    """
    slices: Arrays = {}
    used: set[str] = set()
    for name, layer in octave.named_sublayers():
        if isinstance(layer, OctConv):
            parts = dict(_layer_slices(name, layer, plain))
            used |= {key for key in plain if key.startswith(f"{name}.")}
            slices |= parts
    slices |= {name: array for name, array in plain.items() if name not in used}
    state = octave.state_dict()
    found = {name: list(array.shape) for name, array in slices.items()}
    assert found == {name: list(value.shape) for name, value in state.items()}, "plain weights of this very network"
    return {name: np.ascontiguousarray(slices[name]) for name in state}


def _layer_slices(name: str, layer: OctConv, plain: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    conv, norm = f"{name}.{layer.style.conv}", f"{name}.{layer.style.norm}"
    kernels = plain[f"{conv}.weight"]
    if layer.is_plain:
        yield f"{conv}.weight", kernels
    else:
        yield from _path_slices(conv, layer, kernels)
    high, low = layer.normed.high_and_low()
    for statistic in _STATISTICS:
        values = plain[f"{norm}.{statistic}"]
        if layer.normed.is_plain:
            yield f"{norm}.{statistic}", values
        else:
            yield from ((f"{norm}.bn_{p}.{statistic}", values[i]) for p, i in (("h", high), ("l", low)) if i)


def _path_slices(name: str, layer: OctConv, kernels: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Of ``kernels [out, in / groups, k, k]``; each group has its pieces of both parts, so one tells for all."""
    sources = dict(zip("hl", layer.inputs.high_and_low(), strict=True))
    targets = dict(zip("hl", layer.outputs.high_and_low(), strict=True))
    per_group = kernels.shape[1]
    is_depthwise = per_group == 1 and kernels.shape[0] == layer.inputs.parts.total > 1
    for source in "lh":
        for target in "lh":
            inputs = [0] if is_depthwise else [i for i in sources[source] if i < per_group]
            exists = sources[source] and targets[target] and (source == target or not is_depthwise)
            if exists:
                yield f"{name}.conv_{source}2{target}.weight", kernels[targets[target]][:, inputs]

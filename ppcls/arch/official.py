"""The paper's official weight files: their names, shapes and assumptions, and how they become ours.

Source: the official code of "Drop an Octave", arXiv 1904.05049, and its files, MobileNets and ResNet-152 written by
MXNet's Gluon API, the ablation networks by its Symbol API.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from paddle import nn

from ppcls.utils.errors import WeightsError
from ppcls.utils.save_load import compare
from ppcls.utils.text import printable
from ppcls.utils.weights import first_non_finite, widen_bfloat16

_STATISTICS = {"gamma": "weight", "beta": "bias"}
_STATISTICS |= {f"{which}_mean": "_mean" for which in ("running", "moving")}
_STATISTICS |= {f"{which}_var": "_variance" for which in ("running", "moving")}
_BLOCK = r"(L\d_(?:B\d\d|Trans))"
_KEEPS_ONE = re.compile(r"\.bn[14]a\.bn_[hl]\.weight$")  # official norms that ignore their stored scale


@dataclass(frozen=True)
class Conventions:
    """What the numbers of a kind of file suppose; ``preprocessing`` is a list of transform ops as YAML has it."""

    epsilon: float
    momentum: float
    preprocessing: list[dict[str, Any]]


class _Place(NamedTuple):
    """The tensor of ours that an array is, or a part of; parts are joined in the order of ``part``."""

    name: str
    part: int = 0


def _evaluation(resize: dict[str, Any], normalize: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"DecodeImage": {"to_rgb": True, "channel_first": False}},
        {"ResizeImage": resize},
        {"CropImage": {"size": 224}},
        {"NormalizeImage": {**normalize, "order": ""}},
    ]


GLUON = Conventions(
    epsilon=1e-5,
    momentum=0.9,
    preprocessing=_evaluation(
        {"resize_short": 256},
        {"scale": 1.0, "mean": [123.68, 116.779, 103.939], "std": [58.393, 57.12, 57.375]},
    ),
)
SYMBOL = Conventions(
    epsilon=1e-4,
    momentum=0.92,
    # The authors multiply by 0.0167 where NormalizeImage divides.
    preprocessing=_evaluation(
        {"resize_short": 256, "interpolation": "bicubic"},
        {"scale": 0.0167, "mean": [124 * 0.0167, 117 * 0.0167, 104 * 0.0167], "std": [1.0, 1.0, 1.0]},
    ),
)


def conventions_of(names: Iterable[str]) -> Conventions:
    """Those of a file with these names of arrays."""
    return SYMBOL if any(name.startswith(("arg:", "aux:")) for name in names) else GLUON


def official_state(model: nn.Layer, arrays: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The model's weights, float32 by its own names, out of an official file's arrays.

    Raises:
        WeightsError: ``mismatch``: an array that the model has no place for, or the other way round, or one of another
            shape, some of them by name; or ``non-finite-weights``.
    """
    last = next(reversed(dict(model.named_parameters()))).rpartition(".")[0]
    parts: dict[str, dict[int, np.ndarray]] = {}
    unknown = []
    expected = model.state_dict()
    for name, array in arrays.items():
        place = _place(name, last)
        is_known = place is not None and place.name in expected and place.part not in parts.get(place.name, {})
        if is_known and (array.dtype.kind == "f" or array.dtype == np.uint16):
            parts.setdefault(place.name, {})[place.part] = array
        else:
            unknown.append(name)
    state = {name: _tensor(name, found, len(expected[name].shape)) for name, found in parts.items()}
    _require_fit(model, state, unknown, where)
    bad = first_non_finite(state)
    if bad is not None:
        raise WeightsError(f"{where}: {bad} holds NaN or infinity; use other weights", "non-finite-weights")
    return {name: state[name] for name in expected}


def _place(official: str, last: str) -> _Place | None:
    """Where an array belongs; ``last`` is the name of the model's classifier."""
    role, _, name = official.rpartition(":")
    if not role:
        return _gluon_place(official, last)
    statistics = name.endswith(("_moving_mean", "_moving_var"))
    return _symbol_place(name, last) if role == ("aux" if statistics else "arg") else None


def _gluon_place(official: str, last: str) -> _Place:
    layer, _, kind = official.rpartition(".")
    layer = re.sub(r"^classifer$", last, layer)  # so the files spell it
    layer = re.sub(r"^tail\.", "head.", layer)
    layer = re.sub(r"\.se_block\.conv1$", ".se_block.squeeze", layer)
    layer = re.sub(r"\.se_block\.conv2_([hl])$", r".se_block.excite_\1", layer)
    return _Place(f"{layer}.{_STATISTICS.get(kind, kind)}")


def _symbol_place(official: str, last: str) -> _Place | None:
    found = re.fullmatch(r"(.*)_(weight|bias|gamma|beta|moving_mean|moving_var)", official)
    if found is None:
        return None
    layer, kind = found[1], _STATISTICS.get(found[2], found[2])
    if layer == "classifier":
        return _Place(f"{last}.{kind}")
    if plain := re.fullmatch(r"(conv1|tail)_(conv|bn)", layer):
        return _Place(f"{plain[1]}.{plain[2]}.{kind}")
    if unit := re.fullmatch(rf"{_BLOCK}_(conv\d?)_(bn|conv)-(h|l|[hl]2[hl])", layer):
        return _Place(f"{unit[1]}.{unit[2]}.{unit[3]}.{unit[3]}_{unit[4]}.{kind}")
    if squeeze := re.fullmatch(rf"{_BLOCK}_se_fc1-([hl])2h", layer):
        return _Place(f"{squeeze[1]}.se.squeeze.{kind}", part="hl".index(squeeze[2]))
    if excite := re.fullmatch(rf"{_BLOCK}_se_fc2-h2([hl])", layer):
        return _Place(f"{excite[1]}.se.excite_{excite[2]}.{kind}")
    return None


def _tensor(name: str, parts: Mapping[int, np.ndarray], rank: int) -> np.ndarray:
    """Float32 from one array, or from several that continue each other along the inputs of a linear layer."""
    arrays = [_widened(parts[part]) for part in sorted(parts)]
    array = arrays[0]
    if len(arrays) > 1 and all(part.ndim == 2 and len(part) == len(array) for part in arrays):
        array = np.concatenate(arrays, axis=1)
    if _KEEPS_ONE.search(name):
        return np.ones_like(array)
    if rank == 2 and array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array.reshape(array.shape[:2])  # a 1x1 convolution of one pixel
    return np.ascontiguousarray(array.T) if rank == 2 else array  # [out, in] there, [in, out] in Paddle


def _widened(array: np.ndarray) -> np.ndarray:
    return widen_bfloat16(array) if array.dtype == np.uint16 else array.astype(np.float32)


def _require_fit(model: nn.Layer, state: Mapping[str, np.ndarray], unknown: list[str], where: str) -> None:
    report = compare(model, state, allow_head_mismatch=False)
    misfits = [f"{m.name} ({m.found}, the network has {m.expected})" for m in report.mismatched]
    problems = {"not in the network": unknown, "not in the file": report.missing, "of another shape": misfits}
    told = [f"{len(names)} {what}: {_some(names)}" for what, names in problems.items() if names]
    if told:
        raise WeightsError(f"{where} does not fit the network; {'; '.join(told)}")


def _some(names: list[str]) -> str:
    listed = ", ".join(printable(name[:100]) for name in names[:3])
    return listed + (", ..." if len(names) > 3 else "")

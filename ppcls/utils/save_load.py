"""Weights from wherever a user says, into a model that they must fit."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ppcls import __version__
from ppcls.utils.download import fetch, is_url
from ppcls.utils.errors import ConfigError, WeightsError
from ppcls.utils.files import write_whole
from ppcls.utils.manifest import Manifest, read_manifest, read_verified
from ppcls.utils.suggest import did_you_mean
from ppcls.utils.weights import (
    Tensors,
    dump_pdparams,
    dump_safetensors,
    first_non_finite,
    parse_stored,
    parse_weights,
)

if TYPE_CHECKING:
    from paddle import Tensor, nn

_LOG = logging.getLogger("ppcls")
_LARGEST = {kind: float(np.finfo(kind).max) for kind in ("float16", "float32")}
SUFFIXES = (".pdparams", ".pdema", ".safetensors")


class Weights(NamedTuple):
    """Arrays by their name in the model, and where they came from; verified if there is a manifest."""

    arrays: dict[str, np.ndarray]
    path: Path
    manifest: Manifest | None
    parameter_names: dict[str, str]


class Misfit(NamedTuple):
    """A tensor that is there with another shape or kind of numbers; both as text, like ``float32 [10]``."""

    name: str
    found: str
    expected: str


class LoadReport(NamedTuple):
    """What became of each tensor, by name; ``head_skipped`` are those of a classifier with other classes."""

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[Misfit]
    head_skipped: list[str]


def read_weights(source: str) -> Weights:
    """Read weights from a prefix, a ``.pdparams`` or ``.safetensors`` file, a folder that holds ``model.pdparams``
    (a unit, or PaddleClas's ``best_model``), or an https address.

    The prefix ``best_model`` gives the weights that were best, raw or averaged; a file name gives that file.

    Raises:
        ConfigError: nothing is there; names what was looked for.
        WeightsError: damaged, unsafe, or the download failed.
    """
    if is_url(source):
        return _read_fetched(fetch(source))
    return _read_file(_find_file(source))


def read_stored(source: str) -> Weights:
    """As ``read_weights`` for what is on the disk, but bfloat16 comes as its bits in uint16: nothing is converted."""
    return _read_file(_find_file(source), parse_stored)


def find_prefix(path: str, arch_name: str) -> str:
    """``path``, or its other home: ``output/latest`` may lie in ``output/<arch_name>/latest``, and the other way round.

    Raises:
        ConfigError: neither is there; names both.
    """
    if is_url(path):
        return path
    given = Path(path)
    parent = given.parent
    other = parent.parent / given.name if parent.name == arch_name else parent / arch_name / given.name
    for candidate in (given, other):
        if _candidates(candidate):
            return str(candidate)
    raise ConfigError(f"no weights at {given}, nor at {other}{_neighbours(given)}")


def load_into(
    model: "nn.Layer", weights: Weights, *, strict: bool, allow_head_mismatch: bool, check_finite: bool = True
) -> LoadReport:
    """Give the model its weights, all or none; float types are converted.

    Args:
        strict: a missing or unexpected tensor is an error; otherwise it is logged.
        allow_head_mismatch: a last layer with another number of classes keeps its initial values, and the log says so.
    Raises:
        WeightsError: ``mismatch`` with a table of names, or ``non-finite-weights``; the model is as it was.
    """
    report = compare(model, weights.arrays, allow_head_mismatch=allow_head_mismatch)
    if report.mismatched or not report.loaded or (strict and (report.missing or report.unexpected)):
        raise WeightsError(_table(report, weights, len(model.state_dict())))
    bad = first_non_finite(weights.arrays) if check_finite else None
    if bad is not None:
        raise WeightsError(f"{weights.path}: {bad} holds NaN or infinity; use other weights", "non-finite-weights")
    state = model.state_dict()
    converted = _convertible(state, weights, report.loaded)
    _assign(state, weights.arrays, report.loaded)
    _tell(report, weights.path)
    for (found, wanted), count in converted.items():
        _LOG.info("converted %d of them from %s to %s", count, found, wanted)
    return report


def compare(model: "nn.Layer", arrays: Mapping[str, np.ndarray], *, allow_head_mismatch: bool) -> LoadReport:
    """What ``load_into`` would load, miss and refuse; touches nothing."""
    expected = model.state_dict()
    common = [name for name in expected if name in arrays]
    misfits = [misfit for name in common if (misfit := _misfit(name, arrays[name], expected[name]))]
    head = []
    if allow_head_mismatch and _is_head(model, [misfit.name for misfit in misfits], arrays):
        head, misfits = [misfit.name for misfit in misfits], []
    unfit = {*head, *(misfit.name for misfit in misfits)}
    return LoadReport(
        loaded=[name for name in common if name not in unfit],
        missing=[name for name in expected if name not in arrays],
        unexpected=[name for name in arrays if name not in expected],
        mismatched=misfits,
        head_skipped=head,
    )


def model_arrays(model: "nn.Layer") -> dict[str, np.ndarray]:
    """The model's parameters and buffers on the host, by name; this reads the device."""
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def parameter_names(model: "nn.Layer") -> dict[str, str]:
    """Name in the model -> Paddle's own unique name, on which its optimizers build."""
    return {name: tensor.name for name, tensor in model.state_dict().items()}


def write_weights(path: Path, arrays: Mapping[str, np.ndarray], names: Mapping[str, str] | None = None) -> None:
    """Write a ``.pdparams``, ``.pdema`` or ``.safetensors`` file, whole or not at all; uint16 holds bfloat16.

    Raises:
        ConfigError: another suffix.
        WeightsError: numbers of a kind that the format has not.
        PpclsError: the system refused (disk-full, output).
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: weights are written as {', '.join(SUFFIXES)}", "usage")
    write_whole(path, dump_safetensors(arrays) if path.suffix == ".safetensors" else dump_pdparams(arrays, names or {}))


def _read_file(path: Path, parse: Callable[[bytes, str], Tensors] = parse_weights) -> Weights:
    prefix = path.with_name(path.name.removesuffix(path.suffix))
    manifest = read_manifest(prefix)
    if manifest is not None and path.suffix not in manifest.files:
        manifest = None
    tensors = parse(read_verified(prefix, path.suffix, manifest), str(path))
    if manifest is None and Path(f"{prefix}.pdema").exists() and path.suffix == ".pdparams":
        _LOG.info("%s has no manifest: PaddleClas 2.6 keeps averaged weights in .pdparams, raw ones in .pdema", prefix)
    return Weights(tensors.arrays, path, manifest, tensors.parameter_names)


def _read_fetched(path: Path) -> Weights:
    """Read a download, and forget it if it is no weights: an error page must not stay in the cache."""
    try:
        return _read_file(path)
    except WeightsError:
        path.unlink(missing_ok=True)
        raise


def _candidates(path: Path) -> list[Path]:
    """The files that ``path`` may mean, the likeliest first; only those that are there."""
    beside = [Path(f"{path}{suffix}") for suffix in (".pdparams", ".safetensors")]
    if path.name == "best_model" and _best_is_average(path):
        beside.insert(0, Path(f"{path}.pdema"))
    inside = [path / "model.pdparams", path / "model.safetensors"]
    found = [candidate for candidate in beside if os.path.exists(candidate)]
    if os.path.exists(path) and not os.path.isdir(path):
        found.append(path)
    return found + [candidate for candidate in inside if os.path.exists(candidate)]


def _find_file(source: str) -> Path:
    found = _candidates(Path(source))
    if not found:
        what = "is a folder without model.pdparams" if os.path.isdir(source) else "does not exist, nor with .pdparams"
        raise ConfigError(f"{source} {what}{_neighbours(Path(source))}")
    return found[0]


def _best_is_average(prefix: Path) -> bool:
    manifest = read_manifest(prefix)
    return bool(manifest and manifest.info.best and manifest.info.best.get("weights") == "ema")


def _neighbours(path: Path) -> str:
    """A hint at the prefixes in the folder that was meant."""
    folder = path if os.path.isdir(path) else path.parent
    names = sorted(str(p)[: -len(".pdparams")] for p in folder.glob("*.pdparams"))
    return did_you_mean(str(path), names) or (f"; there are {', '.join(names[:5])}" if names else "")


def _misfit(name: str, array: np.ndarray, tensor: "Tensor") -> Misfit | None:
    kind = _dtype(tensor)
    same_kind = str(array.dtype) == kind or (array.dtype.kind == "f" and "float" in kind)
    if list(array.shape) == list(tensor.shape) and same_kind:
        return None
    return Misfit(name, f"{array.dtype} {list(array.shape)}", f"{kind} {list(tensor.shape)}")


def _dtype(tensor: "Tensor") -> str:
    return str(tensor.dtype).removeprefix("paddle.")


def _is_head(model: "nn.Layer", misfits: list[str], arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether ``misfits`` are parameters of the last layer alone, and differ in the number of classes alone."""
    parameters = dict(model.named_parameters())
    last = next(reversed(parameters)).rpartition(".")[0]
    if set(misfits) != {name for name in parameters if name.rpartition(".")[0] == last}:
        return False
    sizes = set()
    for name in misfits:
        found, expected = arrays[name].shape, parameters[name].shape
        different = [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]]
        if len(found) != len(expected) or len(different) != 1:
            return False
        sizes.add(different[0])
    return len(sizes) == 1


def _convertible(state: Mapping[str, "Tensor"], weights: Weights, names: list[str]) -> Counter[tuple[str, str]]:
    """How many floats of each kind become another; WeightsError if a value is too large for the model's kind."""
    changes = {name: (str(weights.arrays[name].dtype), _dtype(state[name])) for name in names}
    changes = {name: kinds for name, kinds in changes.items() if kinds[0] != kinds[1]}
    for name, (found, wanted) in changes.items():
        largest = float(np.abs(weights.arrays[name]).max(initial=0))
        if wanted in _LARGEST and _LARGEST[wanted] < largest < np.inf:
            raise WeightsError(
                f"{weights.path}: {name} holds {largest:.3g} as {found}, too large for {wanted}; use other weights",
                "non-finite-weights",
            )
    return Counter(changes.values())


def _assign(state: Mapping[str, "Tensor"], arrays: Mapping[str, np.ndarray], names: list[str]) -> None:
    import paddle

    for name in names:
        value = paddle.to_tensor(arrays[name])
        state[name].set_value(value.astype(state[name].dtype))


def _tell(report: LoadReport, path: Path) -> None:
    _LOG.info("loaded %d tensors from %s", len(report.loaded), path)
    if report.head_skipped:
        names = ", ".join(report.head_skipped)
        _LOG.warning("%s has another number of classes; %s keep their initial values", path, names)
    if report.missing:
        _LOG.warning("%s lacks %s; these keep their initial values", path, _first(report.missing))
    if report.unexpected:
        _LOG.warning("%s also holds %s, which the model does not have", path, _first(report.unexpected))


def _first(names: list[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _table(report: LoadReport, weights: Weights, total: int) -> str:
    misfits = [f"{m.name} ({m.found} in the file, {m.expected} in the model)" for m in report.mismatched]
    rows = {"missing": report.missing, "unexpected": report.unexpected, "misshapen": misfits}
    lines = [f"  {title:<10} {len(names):>5}: {_first(names)}" for title, names in rows.items() if names]
    head = f"{weights.path} does not fit the model: {len(report.loaded)} of its {total} tensors could be loaded"
    saved_by = weights.manifest.info.versions.get("ppcls") if weights.manifest else None
    if saved_by not in (None, __version__):
        head += f"; ppcls {saved_by} saved it, this is {__version__}"
    return "\n".join([f"{head}; check Arch.name and its arguments", *lines])

"""Weights -> inference program, run once and compared with the network before anything is announced."""

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ppcls.utils import compat
from ppcls.utils.errors import PpclsError, WeightsError
from ppcls.utils.seed import Stream, generator

_STEM = "inference"
_TOLERANCE = 1e-4  # of the largest output

Run = Callable[[np.ndarray], np.ndarray]


class ExportPlan(NamedTuple):
    """What to write: input ``image_shape`` (C, H, W), with any batch size; ``about`` goes into the manifest."""

    folder: Path
    image_shape: tuple[int, int, int]
    add_softmax: bool
    onnx: bool
    about: Mapping[str, Any]


class _Program(nn.Layer):
    """The network as it is exported: images ``[N, C, H, W]`` -> probabilities or logits ``[N, class_num]``."""

    def __init__(self, network: nn.Layer, add_softmax: bool) -> None:
        super().__init__()
        self.network = network
        self.add_softmax = add_softmax

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return F.softmax(logits, axis=-1) if self.add_softmax else logits


def export(network: nn.Layer, plan: ExportPlan) -> list[Path]:
    """Write ``inference.*`` into ``plan.folder``: written aside, checked, then renamed, the manifest last.

    Returns:
        The files written.
    Raises:
        WeightsError: the program answers differently from the network.
        PpclsError: the folder cannot be written, or ``--onnx`` lacks a package.
    """
    aside = plan.folder / f".tmp-{_STEM}-{os.getpid()}"
    try:
        aside.mkdir(parents=True)
        _require_space(network, aside, files=1 + plan.onnx)
        _write_program(network, plan, aside)
        files = sorted(path for path in aside.iterdir() if path.is_file())
        manifest = _write_manifest(files, plan, aside)
        return [path.replace(plan.folder / path.name) for path in [*files, manifest]]
    except OSError as error:
        place = error.filename or plan.folder
        raise PpclsError(f"cannot write {place}: {error.strerror}; choose another folder", "output") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _require_space(network: nn.Layer, folder: Path, files: int) -> None:
    """Paddle writes what fits and says nothing, so look first; with a margin for the program itself."""
    needed = int(1.2 * files * sum(math.prod(tensor.shape) * 4 for tensor in network.state_dict().values())) + (1 << 20)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PpclsError(
            f"cannot write {folder.parent}: it needs {needed} bytes and {free} are free; free some space", "disk-full"
        )


def _write_program(network: nn.Layer, plan: ExportPlan, aside: Path) -> None:
    program = _Program(network, plan.add_softmax)
    program.eval()
    images = _trial_images(plan.image_shape)
    with paddle.no_grad():
        expected = program(paddle.to_tensor(images)).numpy()
    spec = paddle.static.InputSpec([None, *plan.image_shape], "float32", name="x")
    paddle.jit.save(program, str(aside / _STEM), input_spec=[spec])
    require_equal(expected, compat.inference_runner(aside, _STEM)(images), "the exported program")
    if plan.onnx:
        target = aside / f"{_STEM}.onnx"
        compat.write_onnx(aside, _STEM, target)
        require_equal(expected, onnx_runner(target)(images), target.name)


def require_equal(expected: np.ndarray, got: np.ndarray, what: str) -> None:
    """WeightsError unless both agree to 1e-4 of the largest expected value."""
    difference = float(np.abs(expected - got).max()) if expected.shape == got.shape else float("inf")
    if not difference <= _TOLERANCE * float(np.abs(expected).max()):
        raise WeightsError(f"{what} differs from the network by {difference:.3g}; nothing was written")
    logging.getLogger("ppcls").info("%s answers as the network does (largest difference %.1e)", what, difference)


def onnx_runner(path: Path) -> Run:
    """``images -> outputs`` through ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise PpclsError(f"running {path.name} needs ONNX Runtime; pip install onnxruntime", "output") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; not a line for every unused constant
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _trial_images(image_shape: tuple[int, int, int]) -> np.ndarray:
    """Two made-up pictures, float32: a batch other than 1 shows that the batch size stayed free."""
    return generator(0, Stream.SAMPLE).standard_normal((2, *image_shape), dtype=np.float32)


def _write_manifest(files: list[Path], plan: ExportPlan, aside: Path) -> Path:
    contents = {path.name: path.read_bytes() for path in files}
    manifest = {
        "format": 1,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
        },
        "image_shape": list(plan.image_shape),
        "softmax": plan.add_softmax,
        **plan.about,
    }
    path = aside / f"{_STEM}.manifest.json"
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path

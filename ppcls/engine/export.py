"""Weights -> inference program, run once and compared with the network before anything is announced."""

import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ppcls.config import Config
from ppcls.config.dump import plain
from ppcls.data.postprocess.topk import read_names
from ppcls.engine.onnx_rewrite import OPSET, rewrite
from ppcls.utils import compat
from ppcls.utils.errors import PpclsError, WeightsError
from ppcls.utils.exported import write_manifest
from ppcls.utils.folders import filled_aside
from ppcls.utils.model_card import ModelCard
from ppcls.utils.runners import load_program, onnx_runner
from ppcls.utils.seed import Stream, generator

STEM = "inference"
_PLAIN_OPSET = 7  # paddle2onnx takes a later one where it must
_TOLERANCE = 1e-4  # of the largest logit
_LEAST = np.finfo(np.float32).tiny  # where a probability has no logarithm

_LOG = logging.getLogger("ppcls")


class ExportPlan(NamedTuple):
    """What to write: input ``image_shape`` (C, H, W), with any batch size; ``about`` goes into the manifest."""

    folder: Path
    image_shape: tuple[int, int, int]
    add_softmax: bool
    onnx: bool
    about: Mapping[str, Any]
    optimize: bool = False  # rewrite the ONNX file
    pad_channels: int = 1  # in it, to multiples of this


class _Program(nn.Layer):
    """The network as it is exported: images ``[N, C, H, W]`` -> probabilities or logits ``[N, class_num]``."""

    def __init__(self, network: nn.Layer, add_softmax: bool) -> None:
        super().__init__()
        self.network = network
        self.add_softmax = add_softmax

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return F.softmax(logits, axis=-1) if self.add_softmax else logits


def about(config: Config, card: ModelCard | None = None) -> dict[str, Any]:
    """What who runs the program must know, as far as it is known: network, preprocessing, classes, whose weights."""
    values = plain(config)
    known = {"arch": values["Arch"], "paddle": compat.paddle_version()}
    if config.Infer is not None:
        known["preprocessing"] = values["Infer"]["transforms"]
        names = _class_names(config.Infer.PostProcess.kwargs, config.Arch.class_num)
    else:
        names = []
        if config.DataLoader.Eval is not None:
            ops = values["DataLoader"]["Eval"]["dataset"]["transform_ops"]
            known["preprocessing"] = [*ops, {"ToCHWImage": {}}]  # which a loader does by itself
        elif card is not None:
            known["preprocessing"] = [*card.preprocessing, {"ToCHWImage": {}}]
    if card is not None:
        known["weights"] = {
            "source": card.source,
            "source_sha256": card.source_sha256,
            "published": card.published,
        }
    if names:
        known["class_names"] = names
    return known


def _class_names(arguments: Mapping[str, Any], class_num: int) -> list[str]:
    file = arguments.get("class_id_map_file")
    if file is None:
        return []
    try:
        names = read_names(file, arguments.get("delimiter") or " ")
    except ValueError as error:
        _LOG.warning("the export will hold no class names: %s", error)
        return []
    return [names.get(number, str(number)) for number in range(class_num)]


def export(network: nn.Layer, plan: ExportPlan) -> list[Path]:
    """Write ``inference.*`` into ``plan.folder``: aside, checked, then put there at once in place of an older export.

    Returns:
        The files written.
    Raises:
        WeightsError: the program answers differently from the network.
        PpclsError: the folder cannot be written, or ``--onnx`` lacks a package.
    """
    with filled_aside(plan.folder, lambda name: name.startswith(f"{STEM}.")) as aside:
        _require_space(network, plan.folder, files=1 + plan.onnx)
        try:
            _write_program(network, plan, aside)
        except OSError as error:
            place = error.filename or plan.folder
            raise PpclsError(f"cannot write {place}: {error.strerror}; choose another folder", "output") from error
        names = sorted(path.name for path in aside.iterdir())
    return [plan.folder / name for name in names]


def _require_space(network: nn.Layer, folder: Path, files: int) -> None:
    """Paddle writes what fits and says nothing, so look first; with a margin for the program itself."""
    needed = int(1.2 * files * sum(math.prod(tensor.shape) * 4 for tensor in network.state_dict().values())) + (1 << 20)
    free = shutil.disk_usage(folder.resolve().parent).free
    if free < needed:
        raise PpclsError(
            f"cannot write {folder}: it needs {needed} bytes and {free} are free; free some space", "disk-full"
        )


def _write_program(network: nn.Layer, plan: ExportPlan, aside: Path) -> None:
    program = _Program(network, plan.add_softmax)
    program.eval()
    images = _trial_images(plan.image_shape)
    with paddle.no_grad():
        expected = program(paddle.to_tensor(images)).numpy()
    spec = paddle.static.InputSpec([None, *plan.image_shape], "float32", name="x")
    paddle.jit.save(program, str(aside / STEM), input_spec=[spec])
    if plan.onnx:
        compat.write_onnx(aside, STEM, aside / f"{STEM}.onnx", OPSET if plan.optimize else _PLAIN_OPSET)
        if plan.optimize:
            rewrite(aside / f"{STEM}.onnx", plan.pad_channels)
    write_manifest(aside / STEM, {"image_shape": plan.image_shape, "softmax": plan.add_softmax, **plan.about})
    runs = {"the exported program": load_program(aside / STEM)}
    if plan.onnx:
        runs[f"{STEM}.onnx"] = onnx_runner(aside / STEM).run
    for what, run in runs.items():
        got = run(images)
        # Probabilities are so alike that a wrong program may pass for right.
        pair = (as_logits(expected), as_logits(got)) if plan.add_softmax else (expected, got)
        require_equal(*pair, what)


def as_logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits ``[N, class_num]`` whose softmax these are, with a mean of 0 in each row.

    A probability below 1.2e-38 counts as that: float32 has lost how small it is.
    """
    logarithms = np.log(np.maximum(probabilities, _LEAST))
    return logarithms - logarithms.mean(axis=-1, keepdims=True)


def require_equal(expected: np.ndarray, got: np.ndarray, what: str) -> None:
    """WeightsError unless both agree to 1e-4 of the largest expected value."""
    difference = float(np.abs(expected - got).max()) if expected.shape == got.shape else float("inf")
    if not difference <= _TOLERANCE * float(np.abs(expected).max()):
        raise WeightsError(f"{what} differs from the network by {difference:.3g}; nothing was written")
    _LOG.info("%s answers as the network does (largest difference %.1e)", what, difference)


def _trial_images(image_shape: tuple[int, int, int]) -> np.ndarray:
    """Two made-up pictures, float32: a batch other than 1 shows that the batch size stayed free."""
    return generator(0, Stream.SAMPLE).standard_normal((2, *image_shape), dtype=np.float32)

"""Who can run an exported program on the CPU: ``images -> outputs``, float32 arrays, after its files were verified."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcls.utils.errors import PpclsError, WeightsError
from ppcls.utils.exported import ADVICE, PARAMETERS, Exported, verify_export
from ppcls.utils.runtime import compute_threads

Run = Callable[[np.ndarray], np.ndarray]


class Runner(NamedTuple):
    """A program that is ready: ``name`` and version of what runs it, and the export that it is from."""

    name: str
    run: Run
    exported: Exported


def load_program(prefix: Path) -> Run:
    """By Paddle Inference.

    Raises:
        WeightsError: ``damaged``: it does not match its manifest, or Paddle cannot read or run it; a disk that was full
            when Paddle wrote it leaves the former, as Paddle writes what fits and says nothing.
    """
    return paddle_runner(prefix).run


def paddle_runner(prefix: Path) -> Runner:
    """As ``load_program``, with its name."""
    from ppcls.utils import compat

    exported = verify_export(prefix)
    program = exported.program
    try:
        run = compat.inference_runner(program, exported.files[PARAMETERS])
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"paddle cannot read {program}: {_short(error)}; was the disk full? {ADVICE}", "damaged"
        ) from error
    run = _checked(run, program, RuntimeError, ValueError)
    return Runner(f"Paddle Inference {compat.paddle_version()}", run, exported)


def onnx_runner(prefix: Path) -> Runner:
    """By ONNX Runtime, from ``<prefix>.onnx``.

    Raises:
        WeightsError: ``damaged``: it does not match its manifest, or cannot be read or run.
        PpclsError: the package is missing.
    """
    exported = verify_export(prefix, [".onnx"])
    path = exported.files[".onnx"]
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        advice = f"running {path.name} needs ONNX Runtime ({error}); pip install onnxruntime"
        raise PpclsError(advice, "output") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; not a line for every unused constant
    options.intra_op_num_threads = compute_threads()
    kinds = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented)
    kinds += (state.RuntimeException,)
    with _told(path, *kinds, ValueError):
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (images_in,) = session.get_inputs()  # ValueError unless it is one
    run = _checked(lambda images: session.run(None, {images_in.name: images})[0], path, *kinds)
    return Runner(f"ONNX Runtime {onnxruntime.__version__}", run, exported)


def openvino_runner(prefix: Path) -> Runner:
    """By OpenVINO in float32, from ``<prefix>.onnx``; errors as ``onnx_runner``."""
    exported = verify_export(prefix, [".onnx"])
    path = exported.files[".onnx"]
    try:
        import openvino
    except ImportError as error:
        advice = f"running {path.name} by OpenVINO needs its package ({error}); pip install openvino"
        raise PpclsError(advice, "output") from error
    # float32 is asked for: some processors would take bfloat16.
    how = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": compute_threads()}
    with _told(path, RuntimeError):
        compiled = openvino.Core().compile_model(str(path), "CPU", how)
    run = _checked(lambda images: compiled(images)[0], path, RuntimeError)
    return Runner(f"OpenVINO {openvino.__version__.partition('-')[0]}", run, exported)


RUNNERS: dict[str, Callable[[Path], Runner]] = {
    "paddle": paddle_runner,
    "onnxruntime": onnx_runner,
    "openvino": openvino_runner,
}


def _checked(run: Run, path: Path, *kinds: type[Exception]) -> Run:
    """``run``, with the engine's errors in one line."""

    def checked(images: np.ndarray) -> np.ndarray:
        with _told(path, *kinds):
            return run(images)

    return checked


@contextmanager
def _told(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        raise WeightsError(f"{path} cannot be run: {_short(error)}; {ADVICE}", "damaged") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

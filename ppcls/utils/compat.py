"""The only file that knows Paddle's versions and devices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.inference
from paddle import profiler

from ppcls.utils.errors import ConfigError, PpclsError, WeightsError
from ppcls.utils.runtime import compute_threads


def paddle_version() -> str:
    """``3.3.1`` and the like."""
    return paddle.__version__


def select_device(wanted: str) -> str:
    """Choose the device that ``Global.device`` asks for and return its name.

    Args:
        wanted: ``cpu``, ``gpu`` (this rank's card under the launcher), ``gpu:N``, or ``auto``: a GPU when there is one.
    Raises:
        ConfigError: a GPU is asked for that is not there; says what to type.
    """
    if wanted == "auto":
        wanted = "gpu" if _gpu_count() else "cpu"
    if wanted.startswith("gpu"):
        _require_gpu(wanted)
    paddle.set_device(wanted)
    return paddle.get_device()


def _gpu_count() -> int:
    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def _require_gpu(wanted: str) -> None:
    count = _gpu_count()
    advice = "type -o Global.device=cpu (or auto) to run on the processor"
    if not paddle.is_compiled_with_cuda():
        raise ConfigError(
            f"Global.device: {wanted} asked for, but this paddle ({paddle_version()}) is the CPU build; {advice}, "
            "or install the GPU build: pip install paddlepaddle-gpu"
        )
    number = int(wanted.partition(":")[2] or 0)
    if number >= count:
        raise ConfigError(f"Global.device: {wanted} asked for, but {count} GPUs are visible; {advice}")


def rank_store() -> Any:
    """The key-value store through which ranks found each other: ``add(key, n)`` gives the new sum, slowly."""
    return paddle.base.core.create_or_get_global_tcp_store()


def device_memory_mb() -> dict[str, float]:
    """Peaks of this process on its GPU, in MB; nothing on a CPU."""
    if not paddle.get_device().startswith("gpu"):
        return {}
    return {
        "max_mem_reserved": paddle.device.cuda.max_memory_reserved() / 2**20,
        "max_mem_allocated": paddle.device.cuda.max_memory_allocated() / 2**20,
    }


def profiler_targets(wanted: str) -> list[profiler.ProfilerTarget] | None:
    """What Paddle's profiler records for ``CPU``, ``GPU`` (both, as one launches the other) or ``All`` (None).

    Raises:
        ConfigError: a GPU's events are asked for, of a build that has none.
    """
    if wanted == "All":
        return None
    if wanted == "GPU" and not paddle.is_compiled_with_cuda():
        raise ConfigError(f"-p: state: GPU asked for, but this paddle ({paddle_version()}) is the CPU build; state=CPU")
    targets = [profiler.ProfilerTarget.CPU]
    return [*targets, profiler.ProfilerTarget.GPU] if wanted == "GPU" else targets


def accumulator_kinds(optimizer: paddle.optimizer.Optimizer) -> set[str]:
    """What an optimizer keeps for each parameter, such as ``velocity``; Paddle itself says it only after a step."""
    names = [name for name in dir(type(optimizer)) if name.endswith("_acc_str")]
    return {getattr(type(optimizer), name) for name in names}


def low_precision_problem(dtype: str) -> str | None:
    """Why the chosen device cannot compute in ``float16`` or ``bfloat16``; None where it can."""
    if not paddle.get_device().startswith("gpu"):
        return f"paddle has no mixed precision on {paddle.get_device()}"
    supports = {"float16": paddle.amp.is_float16_supported, "bfloat16": paddle.amp.is_bfloat16_supported}
    return None if supports[dtype]() else f"this GPU has no {dtype}"


def has_kernel(operator: str, dtype: str) -> bool:
    """Whether this build has an operator, such as ``momentum``, for ``float16`` or ``bfloat16`` on the chosen device.

    Paddle 2.6.2's GPU build has ``momentum``, ``merged_momentum`` and ``rmsprop`` for float16 but not for bfloat16;
    ``sgd``, ``adam``, ``merged_adam`` and ``adamw`` for both.
    """
    place = f"Place({paddle.get_device().partition(':')[0]}"
    kernels = paddle.base.core._get_all_register_op_kernels("phi").get(operator, [])
    return any(place in kernel and f":{dtype}]" in kernel for kernel in kernels)


def was_skipped(optimizer: paddle.optimizer.Optimizer) -> bool:
    """Whether a ``GradScaler`` found gradients that are not finite, and so left out the step before; Paddle tells
    only its own printed line. The step has read the answer from the device already."""
    return bool(optimizer._get_auxiliary_var("found_inf"))


def program_file(folder: Path, stem: str) -> Path:
    """The exported program: ``<stem>.json`` of Paddle 3, or ``<stem>.pdmodel`` of Paddle 2.

    Raises:
        WeightsError: neither is there.
    """
    for suffix in (".json", ".pdmodel"):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    raise WeightsError(f"{folder}: no {stem}.json and no {stem}.pdmodel; export again")


def inference_runner(program: Path, parameters: Path) -> Callable[[np.ndarray], np.ndarray]:
    """``images -> outputs`` through Paddle Inference, on the CPU; for files that ``utils/exported.py`` has verified."""
    config = paddle.inference.Config(str(program), str(parameters))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(compute_threads())  # one otherwise, whatever OMP_NUM_THREADS says
    predictor = paddle.inference.create_predictor(config)

    def run(images: np.ndarray) -> np.ndarray:
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()

    return run


def write_onnx(folder: Path, stem: str, target: Path, opset: int) -> None:
    """Convert an exported program to ONNX, of this operator set or a later one."""
    try:
        import paddle2onnx
    except ImportError as error:
        advice = "pip install paddle2onnx onnxruntime"
        raise PpclsError(f"--onnx needs paddle2onnx ({error}); {advice}", "output") from error
    parameters = folder / f"{stem}.pdiparams"
    paddle2onnx.export(str(program_file(folder, stem)), str(parameters), str(target), opset_version=opset)

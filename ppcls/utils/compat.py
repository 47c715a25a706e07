"""The only file that knows Paddle's versions and devices."""

import paddle

from ppcls.utils.errors import ConfigError


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

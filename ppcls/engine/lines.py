"""The text of log lines: the format of the published logs, which scripts read."""

from collections.abc import Mapping
from datetime import timedelta

from ppcls.engine.state import Best


def train_line(place: str, lr: float, means: Mapping[str, float], speed: Mapping[str, float], *, eta_s: float) -> str:
    """``[Train][Epoch e/E][Iter: i/n]lr: ..., loss: ..., ips: ... images/sec, eta: ...``.

    Args:
        place: ``[Epoch e/E][Iter: i/n]``; epochs from 1, iterations from 0.
        lr: the rate this step used.
        speed: ``batch_cost`` and ``reader_cost`` in seconds, ``ips`` a card and, on several cards, ``total_ips``;
            ``max_mem_reserved`` and ``max_mem_allocated`` in MB where memory is asked for.
    """
    numbers = _numbers({"lr": lr} | dict(means))
    line = f"[Train]{place}{numbers}, {_speed(speed)}, eta: {_duration(eta_s)}"
    memory = [f"{name}: {value:.2f} MB" for name, value in speed.items() if name.startswith("max_mem_")]
    return ", ".join([line, *memory])


def eval_line(place: str, means: Mapping[str, float], speed: Mapping[str, float]) -> str:
    """``[Eval][Epoch e][Iter: i/n]CELoss: ..., top1: ..., batch_cost: ...``; running means on this rank."""
    return f"[Eval]{place}{_numbers(means)}, {_speed(speed)}"


def mean_line(kind: str, place: str, means: Mapping[str, float]) -> str:
    """``[Train][Epoch e/E][Avg]CELoss: ..., loss: ...``, or the same of an evaluation."""
    return f"[{kind}]{place}[Avg]{_numbers(means)}"


def best_line(epoch: int, best: Best) -> str:
    """``[Eval][Epoch e][best metric: v]`` with all digits of v."""
    return f"[Eval][Epoch {epoch}][best metric: {best.value!r}]"


def data_bound_line(waited_s: float, elapsed_s: float) -> str | None:
    """In words, when more than a fifth of the time went into waiting for data; else None."""
    share = waited_s / max(elapsed_s, 1e-9)
    if share <= 0.2:
        return None
    return (
        f"data-bound: {share:.0%} of the time went into waiting for pictures; "
        "raise DataLoader.Train.loader.num_workers, or shrink the pictures on disk; see ppcls bench-data"
    )


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}: {value:.5f}" for name, value in values.items())


def _speed(speed: Mapping[str, float]) -> str:
    line = (
        f"batch_cost: {speed['batch_cost']:.5f}s, reader_cost: {speed['reader_cost']:.5f}s, "
        f"ips: {speed['ips']:.5f} images/sec"
    )
    return line + (f", total_ips: {speed['total_ips']:.5f} images/sec" if "total_ips" in speed else "")


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))

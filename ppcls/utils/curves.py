"""What a run looked like: its numbers per epoch, read from its logs and drawn."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.utils.drawing import new_figure, save_figure
from ppcls.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "summary.csv"
PUBLISHED_SUFFIX = "_epochs.csv"
_RENAMED = {"eval_loss_rank0": "eval_loss", "eval_top1": "top1"}
_PANELS = (
    ("loss", (("train_loss", "-", "train"), ("eval_loss", "--", "eval"))),
    ("learning rate", (("lr", "-", ""),)),
    ("top-1", (("top1", "-", ""), ("ema_top1", "--", "averaged weights"))),
)


@dataclass(frozen=True)
class Curve:
    """A run's numbers: ``columns[name][i]`` belongs to ``epochs[i]``, NaN where there is none.

    Names are those of ``summary.csv``: lr, train_loss, eval_loss, top1, ...
    """

    name: str
    epochs: tuple[int, ...]
    columns: Mapping[str, tuple[float, ...]]

    def points(self, column: str) -> list[tuple[int, float]]:
        """(epoch, value) wherever ``column`` has a finite value; nothing where there is no such column."""
        values = self.columns.get(column, ())
        return [(epoch, value) for epoch, value in zip(self.epochs, values, strict=False) if math.isfinite(value)]


def read_curve(path: Path) -> Curve:
    """The curve of a run's folder, or of one csv file.

    A folder holds ``summary.csv``, or a folder with one for each stage, or ``*_epochs.csv`` as in ``log/published``.
    Several are drawn one after the other, in the order of their names, with ``stage2`` before ``stage10``.

    Raises:
        ConfigError: nothing of the kind is there.
        DataError: a file has no ``epoch`` column, or a cell that is no number; file and line are named.
    """
    files = _files(path)
    start, rows = 0, {}
    for file in files:
        stage = _read_rows(file)
        rows |= {start + epoch: row for epoch, row in stage.items()}
        start = max(rows, default=0)
    epochs = tuple(sorted(rows))
    names = dict.fromkeys(name for row in rows.values() for name in row)
    columns = {name: tuple(rows[epoch].get(name, math.nan) for epoch in epochs) for name in names}
    return Curve(path.resolve().name.removesuffix(PUBLISHED_SUFFIX).removesuffix(".csv"), epochs, columns)


def draw_curves(curves: Sequence[Curve], out: Path) -> None:
    """Draw loss, learning rate and top-1 over epochs, all runs in the same three panels.

    Args:
        out: its suffix says the format: .png, .svg, .pdf.
    Raises:
        ConfigError: matplotlib is not installed, or has no such format.
    """
    figure = new_figure(8, 9)
    panels = figure.subplots(len(_PANELS), 1, sharex=True)
    for axes, (title, lines) in zip(panels, _PANELS, strict=True):
        for number, curve in enumerate(curves):
            _draw(axes, curve, lines, f"C{number}")
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    panels[-1].set_xlabel("epoch")
    save_figure(figure, out)


def _draw(axes: "Axes", curve: Curve, lines: Sequence[tuple[str, str, str]], color: str) -> None:
    for column, style, what in lines:
        points = curve.points(column)
        if points:
            # A line through one point is not seen; markers on hundreds hide it.
            marker = "." if len(points) < 50 else ""
            label = f"{curve.name}, {what}" if what else curve.name
            axes.plot(*zip(*points, strict=True), linestyle=style, marker=marker, color=color, label=label)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / SUMMARY).is_file():
        return [path / SUMMARY]
    for pattern in (f"*/{SUMMARY}", f"*{PUBLISHED_SUFFIX}"):
        found = sorted(path.glob(pattern), key=_natural)
        if found:
            return found
    raise ConfigError(f"no {SUMMARY} in {path} nor in its folders; expected a run's folder, or a csv of log/published")


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() and part.isascii() else part for part in re.split("([0-9]+)", str(path))]


def _read_rows(file: Path) -> dict[int, dict[str, float]]:
    """Epoch -> its row. A later row of the same epoch replaces an earlier one; a last line cut short is left out."""
    header, *records = _records(file)
    if "epoch" not in header:
        raise DataError(f"{file}: no column 'epoch' in its first line; expected a {SUMMARY}", slug="data-list")
    if records and len(records[-1]) < len(header):
        records.pop()
    names = [_RENAMED.get(name, name) for name in header]
    rows = {}
    for number, record in enumerate(records, start=2):
        try:
            cells = {name: float(cell) if cell else math.nan for name, cell in zip(names, record, strict=True)}
            rows[int(cells.pop("epoch"))] = cells
        except (ValueError, OverflowError) as error:
            message = f"{file}:{number}: {error}; expected a number or nothing for each of {', '.join(header)}"
            raise DataError(message, slug="data-list") from error
    _add_published_rates(file, rows)
    return rows


def _records(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        try:
            return list(csv.reader(stream)) or [[]]
        except csv.Error as error:
            raise DataError(f"{file}: not a csv file: {error}", slug="data-list") from error


def _add_published_rates(file: Path, rows: dict[int, dict[str, float]]) -> None:
    """The published epochs have no rate; the iterations beside them have, and the last of an epoch stands for it."""
    iterations = file.with_name(file.name.removesuffix(PUBLISHED_SUFFIX) + "_train.csv")
    if not file.name.endswith(PUBLISHED_SUFFIX) or not iterations.is_file():
        return
    header, *records = _records(iterations)
    epoch_at, rate_at = header.index("epoch"), header.index("lr_logged")
    for record in records:
        row = rows.get(int(record[epoch_at]))
        if row is not None:
            row["lr"] = float(record[rate_at])

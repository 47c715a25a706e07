"""A picture of what an octave network sees: maps of both octaves, their spectra, and what each path costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import nn

from ppcls.arch.octave_maps import PATHS, OctaveMaps, Trace, spectrum, trace_octaves
from ppcls.utils.drawing import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = ("high: mean |map|", "low: mean |map|", "high: log spectrum", "low: log spectrum")
_SIDE = 2.1  # inches of a panel


def draw_octaves(network: nn.Layer, image: np.ndarray, target: Path) -> Trace:
    """Draw a row a resolution into ``target`` and return what was drawn.

    Args:
        image: float32 ``[C, H, W]``, as the network takes it; the first three channels are drawn.
    Raises:
        ValueError: no map of the network is in two octaves.
        ConfigError: matplotlib is missing, or cannot draw such a file.
    """
    trace = trace_octaves(network, paddle.to_tensor(image[None]))
    rows = len(trace.maps)
    figure = new_figure(4 * _SIDE, (rows + 1) * _SIDE)
    grid = figure.add_gridspec(rows + 1, 4)
    first = figure.add_subplot(grid[0, 0])
    first.imshow(_visible(image[:3]))
    _bare(first, "picture")
    _draw_shares(figure.add_subplot(grid[0, 1:]), trace.macs)
    for row, maps in enumerate(trace.maps, start=1):
        _draw_row([figure.add_subplot(grid[row, column]) for column in range(4)], maps, is_first=row == 1)
    save_figure(figure, target)
    return trace


def shares(macs: dict[str, int]) -> dict[str, float]:
    """Each path's part of all multiply-adds, in [0, 1]."""
    total = sum(macs.values())
    return {path: count / total for path, count in macs.items()}


def _draw_row(panels: Sequence["Axes"], maps: OctaveMaps, is_first: bool) -> None:
    views = [np.abs(part).mean(axis=0) for part in (maps.high, maps.low)]
    views += [np.log1p(spectrum(part)) for part in (maps.high, maps.low)]
    for axes, view, title in zip(panels, views, _TITLES, strict=True):
        axes.imshow(view, cmap="magma")
        _bare(axes, title if is_first else "")
    channels = f"{maps.high.shape[0]} + {maps.low.shape[0]} channels"
    panels[0].set_ylabel(f"{maps.layer}\n{maps.high.shape[1]}x{maps.high.shape[2]}, {channels}", fontsize=7)


def _draw_shares(axes: "Axes", macs: dict[str, int]) -> None:
    parts = shares(macs)
    names = [*PATHS, "plain"]
    axes.barh(names, [parts[name] for name in names], color=["C3", "C1", "C4", "C0", "C7"])
    for row, name in enumerate(names):
        axes.text(parts[name], row, f" {parts[name]:.1%}", va="center", fontsize=8)
    axes.set_xlim(0, 1.15 * max(parts.values()))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_title(f"share of {sum(macs.values()) / 1e6:,.1f} M multiply-adds by path", fontsize=9)


def _visible(image: np.ndarray) -> np.ndarray:
    """``[3, H, W]`` of any range -> ``[H, W, 3]`` in [0, 1]."""
    low, high = image.min(), image.max()
    return ((image - low) / max(high - low, 1e-9)).transpose(1, 2, 0)


def _bare(axes: "Axes", title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)

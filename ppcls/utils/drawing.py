"""Figures of matplotlib, which is imported where something is drawn."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ppcls.utils.errors import ConfigError
from ppcls.utils.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of that many inches.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("drawing needs matplotlib: pip install matplotlib", "usage") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot, which keeps every figure of the process and may want a screen
    return figure


def save_figure(figure: "Figure", out: Path) -> None:
    """Write a figure whole or not at all.

    Args:
        out: its suffix says the format: .png, .svg, .pdf.
    Raises:
        ConfigError: matplotlib has no such format.
    """
    file_format = out.suffix.removeprefix(".") or "png"
    if file_format not in figure.canvas.get_supported_filetypes():
        raise ConfigError(f"cannot draw as {out.suffix!r}; name the file .png, .svg or .pdf: {out}", "usage")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=file_format, dpi=110)
    write_whole(out, buffer.getvalue())

"""Figures, drawn without a display and without matplotlib's global state, so that none stays in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clincode.types import IntArray

BLUE, RED, GREY = "#4878a8", "#b2182b", "#c0c0c0"
DPI = 130


def canvas(width: float, height: float, *, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A matplotlib figure of so many inches, and its axes: one alone, or an array where there are several.

    ``options`` are those of ``Figure.subplots``.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ValueError("figures need matplotlib: pip install 'clincode[reports]'") from None
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(rows, columns, **options)
    for axis in np.ravel(axes):
        axis.set_axisbelow(True)
    return figure, axes


def saved(figure: Any, out: Path | None) -> Any:
    """The figure, written to ``out`` where that is given."""
    if out is not None:
        figure.savefig(out, dpi=DPI)
    return figure


def plot_confusion(counts: IntArray, names: Sequence[str]) -> Any:
    """A heat map of ``counts``, annotated (rows) by predicted (columns): share of each row, and the count."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = canvas(1.9 + 0.95 * len(names), 1.1 + 0.75 * len(names))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.6 else "#1d2733"
        text = f"{share:.0%}\n{counts[row, column]:,}" if counts[row, column] else "·"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axis.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="predicted", ylabel="annotated")
    axis.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticklabels(names)
    return figure

"""Figures, drawn without a display and without matplotlib's global state, so that none stays in memory."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
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


def inline_png(figure: Any) -> str:
    """The figure as PNG in base64, for a data URI; the same figure gives the same text."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


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


def plot_reliability(rows: Sequence[tuple[float, float, int]], ece: float, title: str) -> Any:
    """How often answers are right against how sure they are: a dot for each bin, as ``reliability`` gives it, of an
    area by its number; the thin lines are what the expected calibration error adds up."""
    figure, axis = canvas(5, 5.2)
    axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="right as often as sure")
    if rows:
        confidence, right, counts = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
        axis.vlines(confidence, np.minimum(confidence, right), np.maximum(confidence, right), color=RED, linewidth=1.2)
        axis.scatter(confidence, right, s=20 + 280 * counts / counts.max(), color=BLUE, edgecolor="white", zorder=3)
        for x, y, count in rows:
            place = {"xytext": (10, -14), "textcoords": "offset points"}
            axis.annotate(f"{count:,}", (x, y), fontsize=8, color="#1d2733", **place)
    axis.set(xlim=(-0.05, 1.12), ylim=(-0.05, 1.05), xlabel="mean confidence", ylabel="share right")
    axis.set_title(f"{title}\nECE {ece:.3f}, {sum(count for *_, count in rows):,} answers", fontsize=11)
    axis.grid(color="#e3e8ee")
    axis.legend(loc="lower right", frameon=False)
    return figure


def plot_causes(counts: Mapping[str, int]) -> Any:
    """A bar for each cause, in the order given, with its number and share."""
    figure, axis = canvas(7, 1.1 + 0.38 * max(len(counts), 1))
    total = max(sum(counts.values()), 1)
    bars = axis.barh(range(len(counts)), list(counts.values()), height=0.7, color=BLUE)
    axis.bar_label(bars, [f"{count:,}  {count / total:.1%}" for count in counts.values()], padding=4, fontsize=9)
    axis.set(yticks=range(len(counts)), yticklabels=list(counts), xlabel="missed codes")
    axis.margins(x=0.16)
    axis.invert_yaxis()
    axis.grid(axis="x", color="#e3e8ee")
    return figure


def plot_history(history: Sequence[Mapping[str, float]]) -> Any:
    """Loss and devel F1 of a run by epoch; ``history`` is as ``ner_report.read_history`` gives it."""
    epochs = [line["epoch"] for line in history]
    figure, axes = canvas(7, 3, columns=2)
    for axis, name, label in zip(axes, ("loss", "devel_f1"), ("training loss", "devel F1"), strict=True):
        axis.plot(epochs, [line[name] for line in history], marker="o", color=BLUE)
        axis.set(xlabel="epoch", title=label, xticks=epochs if len(epochs) <= 12 else axis.get_xticks())
        axis.grid(color="#e3e8ee")
    return figure

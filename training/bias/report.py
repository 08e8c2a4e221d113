"""The bias audit as one HTML page with its figures in it, and as text.

Sentences of the audit are the project's own: the page may show them.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from training.bias.audit import CONTROL, LEVELS
from training.bias.compare import METRICS
from training.bias.result import BiasReport, Disagreement, GroupResult, MetricResult
from training.ner_report import Section
from training.plots import BLUE, GREY, RED, canvas, inline_png, saved

NAMES: Mapping[str, str] = {
    "entity_f1": "strict F1",
    "negation_accuracy": "negation",
    "context_accuracy": "context",
    "code_accuracy": "first code",
    "entity": "entities",
    "person": "of the person",
    "assertion": "contexts",
    "mention_code": "first codes",
    "note_code": "note's list",
}
_ROW = 0.23


def write_bias_report(path: Path, report: BiasReport) -> None:
    """Raises ``ValueError`` where the packages that draw and write are not installed."""
    try:
        from jinja2 import Environment, FileSystemLoader
    except ModuleNotFoundError:
        raise ValueError("the report needs jinja2: pip install 'clincode[reports]'") from None
    folder = Path(__file__).parents[1] / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True)
    html = environment.get_template("bias_report.html").render(
        report=report,
        sections=[_differences_section(report), _disagreements_section(report)],
        examples=[group for group in report.groups if group.examples],
    )
    path.write_text(html, encoding="utf-8")


def plot_differences(report: BiasReport, out: Path | None = None) -> Any:
    """A forest plot for each metric: the group less its reference, with its interval; flags are red."""

    def row(group: GroupResult, metric: str) -> tuple[float, float, float]:
        difference = group.scores[metric].difference
        return difference.value, difference.low, difference.high

    figure, axes = _panels(report, METRICS, row, lambda group, metric: f"{group.name}:{metric}")
    for axis in axes:
        axis.axvline(0, color="#1d2733", linewidth=0.8)
        for side in (-1, 1):
            axis.axvline(side * report.thresholds.difference, color=GREY, linewidth=0.8, linestyle=":")
    figure.suptitle(f"{report.model}: group less reference, matched sentences, 95% intervals", fontsize=11)
    return saved(figure, out)


def plot_disagreements(report: BiasReport, out: Path | None = None) -> Any:
    """The share of pairs that differ, for each level, with Wilson's interval; flags are red."""

    def row(group: GroupResult, level: str) -> tuple[float, float, float]:
        found = group.disagreements[level]
        return found.share, found.low, found.high

    figure, axes = _panels(report, LEVELS, row, lambda group, level: f"{group.name}:{level}_disagreement")
    for axis in axes:
        axis.axvline(report.thresholds.disagreement, color=GREY, linewidth=0.8, linestyle=":")
        axis.set_xlim(left=0)
    figure.suptitle(f"{report.model}: share of pairs that differ, 95% intervals", fontsize=11)
    return saved(figure, out)


def markdown(report: BiasReport) -> Iterator[str]:
    """Both tables, and the flags."""
    for section in (_rows_of_differences(report), _rows_of_disagreements(report)):
        head, *rows = section
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
    yield "Flags: " + (", ".join(f"`{flag}`" for flag in report.flags) or "none") + "."


def _panels(report: BiasReport, columns: Any, row: Any, flag: Any) -> tuple[Any, Any]:
    """Axes side by side, one for each column, a line for each group; the control's are grey."""
    groups = report.groups
    figure, axes = canvas(2.3 + 2.1 * len(columns), 1.4 + _ROW * len(groups), columns=len(columns), sharey=True)
    for axis, column in zip(np.ravel(axes), columns, strict=True):
        for at, group in enumerate(groups):
            value, low, high = row(group, column)
            colour = RED if flag(group, column) in report.flags else GREY if group.dimension == CONTROL else BLUE
            axis.plot([low, high], [at, at], color=colour, linewidth=1.4)
            axis.plot([value], [at], "o", color=colour, markersize=3.5)
        axis.set_title(NAMES[column], fontsize=10)
        axis.grid(axis="x", color="#e3e8ee")
    first = np.ravel(axes)[0]
    first.set(yticks=range(len(groups)), yticklabels=[_label(group) for group in groups])
    first.tick_params(axis="y", labelsize=8)
    first.set_ylim(len(groups) - 0.4, -0.6)
    return figure, np.ravel(axes)


def _label(group: GroupResult) -> str:
    return f"{group.dimension.replace('_', ' ')}: {group.group.replace('_', ' ')} / {group.against.replace('_', ' ')}"


def _rows_of_differences(report: BiasReport) -> list[list[str]]:
    head = ["group / reference", "pairs", *(NAMES[metric] for metric in METRICS), "confidence"]
    rows = []
    for dimension, groups in groupby(report.groups, key=lambda group: group.dimension):
        for group in groups:
            cells = [_difference(result, f"{group.name}:{name}", report) for name, result in group.scores.items()]
            sure = group.confidence
            label = f"{_label(group)}{' (control)' if dimension == CONTROL else ''}"
            rows.append([label, str(group.pairs), *cells, f"{sure.value:+.3f}"])
    return [head, *rows]


def _rows_of_disagreements(report: BiasReport) -> list[list[str]]:
    head = ["group / reference", *(NAMES[level] for level in LEVELS), "missing", "extra", "boundary", "type"]
    rows = []
    for group in report.groups:
        cells = [
            _share(found, f"{group.name}:{level}_disagreement", report) for level, found in group.disagreements.items()
        ]
        rows.append([_label(group), *cells, *(str(count) for count in group.kinds.values())])
    return [head, *rows]


def _difference(result: MetricResult, flag: str, report: BiasReport) -> str:
    found = result.difference
    if math.isnan(found.value):
        return "–"
    text = f"{result.group.value:.3f}, {found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"⚑ {text}" if flag in report.flags else text


def _share(found: Disagreement, flag: str, report: BiasReport) -> str:
    text = f"{found.count}/{found.of}, {found.share:.1%} ({found.low:.1%} to {found.high:.1%})"
    if found.excess is not None and not math.isnan(found.excess.value):
        text += f", {100 * found.excess.value:+.1f} points"
    return f"⚑ {text}" if flag in report.flags else text


def _alt(title: str, report: BiasReport, suffix: str) -> str:
    flagged = [flag for flag in report.flags if flag.endswith("_disagreement") == bool(suffix)]
    return f"{title}: {len(report.groups)} groups, {len(flagged)} flags"


def _differences_section(report: BiasReport) -> Section:
    note = (
        "The group's figure, and that less its reference's on the same sentences, with the interval of a bootstrap "
        "over sentences. Negation and context are judged on diagnoses that are found, the first code on all that have "
        "one. "
        "Confidence is the mean difference over mentions that both notes have."
    )
    png = inline_png(plot_differences(report))
    return Section("Right or wrong", note, png, _alt("Forest plot", report, ""), _rows_of_differences(report))


def _disagreements_section(report: BiasReport) -> Section:
    note = (
        "Pairs of notes that differ, with Wilson's interval; in points, how much more often than pairs of the control, "
        "which differ in nothing that matters. The last columns count entities by how they differ. A mention of the "
        "person (“uninsured”) may be right: it is counted by itself."
    )
    png = inline_png(plot_disagreements(report))
    return Section("Alike or not", note, png, _alt("Shares", report, "disagreement"), _rows_of_disagreements(report))

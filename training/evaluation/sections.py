"""The sections of an evaluation report: each a figure, a sentence on how to read it, and a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.errors import COLOURS
from training.ner_report import Section
from training.plots import BLUE, GREY, RED, canvas, inline_png

_GRID = "#e3e8ee"
_SCORES = {
    "entity_f1": "entity F1",
    "negation_accuracy": "negation",
    "context_accuracy": "context",
    "code_accuracy": "codes",
}


def difference_section(against: Mapping[str, Any]) -> Section:
    """F1 of the model less production's, with the interval."""
    figure, axis = canvas(7, 1.6)
    value, interval = against["difference"], against["interval"]
    low, high = interval or (value, value)
    axis.axvline(0, color="#1d2733", linewidth=1)
    axis.errorbar([value], [0], xerr=[[max(0, value - low)], [max(0, high - value)]], fmt="o", color=BLUE, capsize=4)
    reach = max(abs(low), abs(high), 0.02) * 1.2
    axis.set(xlim=(-reach, reach), yticks=[], xlabel=f"F1 less that of {against['production']}")
    axis.grid(axis="x", color=_GRID)
    shown = f"{low:+.3f} to {high:+.3f}" if interval else "none"
    note = f"Both on the same {against['notes']} notes; paired bootstrap over notes, interval of 95%."
    rows = [["difference", "interval"], [f"{value:+.4f}", shown]]
    return Section("Against production", note, inline_png(figure), f"Difference {value:+.4f}, interval {shown}", rows)


def calibration_section(figures: Mapping[str, Any]) -> Section:
    """Two reliability diagrams: as the logits are, and at the fitted temperature."""
    figure, axes = canvas(9, 4.6, columns=2, sharey=True)
    names = {"before": "temperature 1", "after": f"temperature {figures['temperature']:g}"}
    for axis, (name, title) in zip(axes, names.items(), strict=True):
        side = figures[name]
        axis.plot([0, 1], [0, 1], color=GREY, linestyle="--")
        if side["bins"]:
            sure, right, counts = (np.array(column, dtype=float) for column in zip(*side["bins"], strict=True))
            axis.vlines(sure, np.minimum(sure, right), np.maximum(sure, right), color=RED, linewidth=1.2)
            axis.scatter(sure, right, s=20 + 260 * counts / counts.max(), color=BLUE, edgecolor="white", zorder=3)
        axis.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="mean confidence")
        axis.set_title(f"{title}: ECE {_number(side['ece'])}", fontsize=11)
        axis.grid(color=_GRID)
    axes[0].set(ylabel="share right")
    rows = [
        ["", "temperature", "ECE (10 bins)", "log loss"],
        *(
            [
                name,
                f"{1 if name == 'before' else figures['temperature']:g}",
                _number(figures[name]["ece"]),
                _number(figures[name]["nll"]),
            ]
            for name in names
        ),
    ]
    note = (
        f"Confidences of {figures['n']:,} predicted entities in ten bins of equal width, a dot a bin, its area by "
        f"their number; right is type and both boundaries. {figures['how']}"
    )
    alt = "Reliability diagrams: " + "; ".join(f"ECE {_number(figures[name]['ece'])} {name}" for name in names)
    return Section("Calibration", note, inline_png(figure), alt, rows)


def errors_section(errors: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Section:
    """Errors by kind and by type, stacked by what they would mean to a patient."""
    severities = ("critical", "moderate", "minor")
    figure, axes = canvas(9, 3.4, columns=2)
    for axis, group in zip(axes, ("kinds", "types"), strict=True):
        counts = errors[group]
        left = np.zeros(len(counts))
        for severity, colour in zip(severities, COLOURS, strict=True):
            widths = np.array([count[severity] for count in counts.values()], dtype=float)
            axis.barh(list(counts), widths, left=left, color=colour, label=severity)
            left += widths
        axis.invert_yaxis()
        axis.set(xlabel="errors", title=f"by {group.removesuffix('s')}")
        axis.grid(axis="x", color=_GRID)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    rows: list[list[object]] = [["", *severities, "all"]]
    for group in ("kinds", "types"):
        for name, count in errors[group].items():
            rows.append([name, *(count[severity] for severity in severities), sum(count.values())])
    total = {severity: sum(count[severity] for count in errors["kinds"].values()) for severity in severities}
    rows.append(["all", *total.values(), sum(total.values())])
    note = (
        "Critical: a diagnosis missed, a medication missed or invented, or either taken for another type. Minor: the "
        "right thing in the wrong boundaries. An error near words that negate counts as negation."
    )
    alt = "Errors by severity: " + ", ".join(f"{name} {count}" for name, count in total.items())
    return Section("Errors by clinical severity", note, inline_png(figure), alt, rows)


def latency_section(latency: Mapping[str, Any], size: float | None) -> Section:
    """The histogram of a note's time, and what is deployed."""
    figure, axis = canvas(7, 2.8)
    edges = np.array(latency["bins"]["edges"])
    axis.bar(edges[:-1], latency["bins"]["heights"], width=np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    axis.axvline(latency["p95"], color=RED, linewidth=1.5, label=f"p95 {latency['p95']:.0f} ms")
    axis.set(xlabel="ms a note", ylabel="notes")
    axis.legend(frameon=False)
    axis.grid(axis="y", color=_GRID)
    rows = [
        ["p50", "p95", "p99", "mean", "size"],
        [*(f"{latency[name]:.0f} ms" for name in ("p50", "p95", "p99", "mean")), _size(size)],
    ]
    note = (
        f"{latency['runs']} whole notes of {latency['words']:.0f} words on average, one at a time in one process "
        f"({latency['precision']}), everything but the server; size is that of the bundle."
        f" The machine's load meanwhile: {latency['load']:g} on {latency['cores']} cores."
        f" {latency.get('remark', '')}"
    )
    return Section("Latency and size", note, inline_png(figure), f"Histogram; p95 {latency['p95']:.0f} ms", rows)


def bias_section(bias: Mapping[str, Any], new_flags: Sequence[str] | None) -> Section:
    """Each group's difference from the group that it is compared with, from the JSON of ``BiasReport``."""
    groups = bias["groups"]
    metrics = [name for name in _SCORES if any(name in group["scores"] for group in groups)]
    figure, axes = canvas(9, 1.2 + 0.22 * len(groups), columns=max(len(metrics), 1), sharey=True)
    at = np.arange(len(groups))
    for axis, metric in zip(np.ravel(axes), metrics, strict=False):
        values = [_difference(group, metric) for group in groups]
        for place, row in zip(at, values, strict=True):
            if row is not None:
                clear = row["low"] > 0 or row["high"] < 0
                axis.plot([row["low"], row["high"]], [place, place], color=RED if clear else GREY, linewidth=1.5)
                axis.plot(row["value"], place, "o", color=RED if clear else BLUE, markersize=4)
        axis.axvline(0, color="#1d2733", linewidth=0.8)
        axis.set_title(_SCORES[metric], fontsize=10)
        axis.grid(axis="x", color=_GRID)
    first = np.ravel(axes)[0]
    first.set(yticks=at, yticklabels=[_group_name(group) for group in groups])
    first.tick_params(axis="y", labelsize=8)
    first.invert_yaxis()
    flags = bias["flags"]
    rows: list[list[object]] = [
        ["group", "against", "pairs", *(_SCORES[name] for name in metrics), "notes that differ", "flags"]
    ]
    for group in groups:
        name = _group_name(group)
        differs = group["disagreements"].get("entity", {})
        rows.append(
            [
                *(name, group["against"], group["pairs"]),
                *(_signed(_difference(group, metric)) for metric in metrics),
                f"{differs['count']} of {differs['of']}" if differs else "–",
                ", ".join(flag.split(":")[-1] for flag in flags if flag.startswith(f"{name}:")) or "–",
            ]
        )
    new = "not compared with production" if new_flags is None else f"{len(new_flags)} that production has not"
    note = (
        f"{bias['templates']} sentences about every person, {bias['notes']} notes: the score of each group less that "
        f"of the group it is compared with, interval of 95%. Flags: {len(flags)}, {new}."
    )
    return Section("Bias audit", note, inline_png(figure), f"Differences of {len(groups)} groups; {note}", rows)


def _group_name(group: Mapping[str, Any]) -> str:
    return f"{group['dimension']}:{group['group']}"


def _difference(group: Mapping[str, Any], metric: str) -> Mapping[str, float] | None:
    row: Mapping[str, Any] = group["scores"].get(metric, {}).get("difference", {})
    return None if None in (row.get("value"), row.get("low"), row.get("high")) else row


def _signed(row: Mapping[str, float] | None) -> str:
    return "–" if row is None else f"{row['value']:+.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _size(size: float | None) -> str:
    return "–" if size is None else f"{size * 1000:.0f} MB"

"""Charts as SVG, drawn here: colours are the style sheet's, and beside each stands a table with its figures."""

from collections.abc import Sequence
from datetime import date
from math import ceil, log10

from markupsafe import Markup, escape

from gateway.review.overview import Acceptance, Backlog, Day
from gateway.web.pages import duration

_WIDTH, _HEIGHT = 720, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 26
_SHARES = ("accepted", "changed", "rejected")


def throughput(days: Sequence[Day]) -> Markup:
    """Notes received (behind) and finished (before) of each day."""
    most = _round_up(max((max(day.received, day.finished) for day in days), default=0) or 1)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    parts = [_grid(most, [f"{most * share:g}" for share in (0, 0.5, 1)])]
    for i, day in enumerate(days):
        left = _LEFT + i * step
        for count, name, inset in ((day.received, "received", 0.12), (day.finished, "finished", 0.3)):
            height = count / most * (_HEIGHT - _TOP - _BOTTOM)
            parts.append(
                f'<rect class="{name}" x="{left + inset * step:.1f}" y="{_HEIGHT - _BOTTOM - height:.1f}" '
                f'width="{step * (1 - 2 * inset):.1f}" height="{height:.1f}" rx="1.5"/>'
            )
    total = sum(day.received for day in days), sum(day.finished for day in days)
    label = f"{total[0]} notes received and {total[1]} finished in {len(days)} days"
    return _svg(label, [*parts, _days(days, step)])


def latency(days: Sequence[Day], what: str, label: str) -> Markup:
    """``what`` is ``answer`` or ``review``: each day's median and 95th percentile. A day without a note breaks the
    line."""
    lines = {name: [getattr(day, f"{what}_{name}") for day in days] for name in ("p50", "p95")}
    known = [value for line in lines.values() for value in line if value is not None]
    most = _round_up_time(max(known, default=0) or 1)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    parts = [_grid(most, [duration(most * share) if share else "0" for share in (0, 0.5, 1)])]
    for name, line in lines.items():
        points = [
            None if value is None else (_LEFT + (i + 0.5) * step, _HEIGHT - _BOTTOM - _share(value, most))
            for i, value in enumerate(line)
        ]
        parts += [f'<polyline class="{name}" points="{run}"/>' for run in _runs(points)]
        parts += [f'<circle class="{name}" cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="2.6"/>' for p in points if p]
    return _svg(label, [*parts, _days(days, step)])


def acceptance(each: Acceptance, most: int) -> Markup:
    """A bar as long as there are suggestions, of ``most``, cut into what became of them."""
    at, parts = 0.0, []
    for name in _SHARES:
        width = getattr(each, name) / max(1, most) * 200
        parts.append(f'<rect class="{name}" x="{at:.1f}" y="0" width="{width:.1f}" height="12"/>')
        at += width
    said = ", ".join(f"{getattr(each, name)} {name}" for name in _SHARES)
    return _bar(said, parts)


def backlog(line: Backlog, most: int) -> Markup:
    at, parts = 0.0, []
    for name, count in (("urgent", line.urgent_open + line.urgent_in_review), ("normal", line.open + line.in_review)):
        width = count / max(1, most) * 200
        parts.append(f'<rect class="{name}" x="{at:.1f}" y="0" width="{width:.1f}" height="12"/>')
        at += width
    return _bar(f"{line.total} notes", parts)


def _bar(label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="hbar" role="img" aria-label="{escape(label)}" viewBox="0 0 200 12" width="200" height="12" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _svg(label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(most: float, labels: Sequence[str]) -> str:
    parts = []
    for label, share in zip(labels, (0.0, 0.5, 1.0), strict=True):
        y = _HEIGHT - _BOTTOM - _share(most * share, most)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    return "".join(parts)


def _days(days: Sequence[Day], step: float) -> str:
    every = max(1, ceil(len(days) / 8))
    return "".join(
        f'<text class="axis" x="{_LEFT + (i + 0.5) * step:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{_short(day.day)}</text>"
        for i, day in enumerate(days)
        if (len(days) - 1 - i) % every == 0
    )


def _short(day: date) -> str:
    return day.strftime("%-d %b")


def _share(value: float, most: float) -> float:
    return value / most * (_HEIGHT - _TOP - _BOTTOM)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[str]:
    runs: list[list[str]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(f"{point[0]:.1f},{point[1]:.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 …"""
    size = 10 ** int(log10(value)) if value >= 1 else 10 ** (int(log10(value)) - 1)
    return next(float(size * step) for step in (1, 2, 5, 10) if size * step >= value)


def _round_up_time(seconds: float) -> float:
    """The same in the unit that ``duration`` writes it in."""
    unit = 3600.0 if seconds > 3600 else 60.0 if seconds > 60 else 1.0
    return unit * _round_up(seconds / unit)

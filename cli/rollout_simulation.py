"""``clincode rollout simulate``: the runs, their table and their picture."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

from gateway.rollout.ab_test import AbPlan
from gateway.rollout.canary import CanaryPlan
from gateway.rollout.measures import power_of, sample_size
from gateway.rollout.simulate import Candidate, Site, power_points, runner, spread, summarise

CANDIDATES: Mapping[str, Candidate] = {
    "better": Candidate(f1=0.02),
    "equal": Candidate(),
    "worse": Candidate(f1=-0.02),
    "much worse": Candidate(f1=-0.05),
    "half as fast": Candidate(f1=0.02, latency=2.0),
    "failing": Candidate(f1=0.02, errors=15.0),
    "overconfident": Candidate(f1=0.0, confidence=1.13),
}
MAIN = ("better", "equal", "worse")
SIZES = [200, 400, 600, 1000, 1500, 2000]
_POWER_RUNS = 200
_FEWER = 4
"""The candidates beside the main three get a fraction of the seeds."""


def simulated(seeds: int, only: str | None = None) -> dict[str, Any]:
    """All figures, with how they were made."""
    from tqdm import tqdm

    start, site = process_time(), Site()
    plans: dict[str, CanaryPlan | AbPlan] = {"canary": CanaryPlan(), "ab": AbPlan()}
    figures: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "site": asdict(site),
        "sd": round(spread(site), 4),
    }
    for kind, plan in plans.items():
        if only not in {None, kind}:
            continue
        run, rows = runner(site, plan), {}
        for name, candidate in CANDIDATES.items():
            count = seeds if name in MAIN else max(1, seeds // _FEWER)
            outcomes = [run(seed, candidate) for seed in tqdm(range(count), desc=f"{kind}, {name}", disable=None)]
            rows[name] = {"candidate": asdict(candidate), **summarise(outcomes)}
        figures[kind] = {"plan": plan.to_dict(), "candidates": rows}
    if only != "canary":
        points = tqdm(
            power_points(SIZES, 0.02, site=site, runs=_POWER_RUNS), total=len(SIZES), desc="power", disable=None
        )
        figures["power"] = {"points": list(points), "curve": _curve(figures["sd"])}
    return figures | {"cpu_seconds": round(process_time() - start, 1)}


def print_figures(figures: Mapping[str, Any]) -> None:
    from rich.console import Console

    from cli.rollout import _table

    console = Console()
    for kind in ("canary", "ab"):
        if kind not in figures:
            continue
        rows = [
            (
                name,
                row["seeds"],
                ", ".join(f"{action} {count}" for action, count in row["actions"].items()),
                row["early"],
                row["missing_evidence"],
                f"{row['days']['median']:g} ({row['days']['least']:g} to {row['days']['most']:g})",
                f"{row['reviewed_of_candidate']:g}",
            )
            for name, row in figures[kind]["candidates"].items()
        ]
        header = ("candidate", "seeds", "decisions", "early", "no evidence", "days", "reviewed")
        console.print(_table(kind, *header, rows=rows))
    if "power" in figures:
        points = [(p["n"], p["runs"], f"{p['found']:.3f}", f"{p['formula']:.3f}") for p in _with_formula(figures)]
        console.print(_table("2 points found at 0.05", "notes of each", "runs", "found", "formula", rows=points))
    console.print(f"sd of a note {figures['sd']}, {figures['cpu_seconds']} s of a core")


def draw(figures: Mapping[str, Any], out: Path) -> None:
    """Decisions, days and power, side by side.

    Raises:
        ValueError: matplotlib is not installed, or a part was not simulated.
    """
    from training.plots import BLUE, GREY, RED, canvas, saved

    if not {"canary", "ab", "power"} <= figures.keys():
        raise ValueError("the picture needs canary, experiment and power: leave --only away")
    figure, (shares, days, power) = canvas(15, 4.6, columns=3)
    bars = [(kind, name) for kind in ("canary", "ab") for name in figures[kind]["candidates"]]
    for row, (kind, name) in enumerate(bars):
        found = figures[kind]["candidates"][name]
        good = sum(found["actions"].get(action, 0) for action in ("promote", "accept")) / found["seeds"]
        shares.barh(row, good, color=BLUE, label="promoted or accepted" if not row else None)
        shares.barh(row, 1 - good, left=good, color=RED, alpha=0.75, label=None if row else "rolled back or rejected")
        shares.text(1.02, row, f"{good:.0%} of {found['seeds']}", va="center", fontsize=8)
        span = found["days"]
        days.plot([span["least"], span["most"]], [row, row], color=GREY, linewidth=3, solid_capstyle="round")
        days.plot(span["median"], row, "o", color=BLUE)
    names = [f"{'canary' if kind == 'canary' else 'A/B'}: {name}" for kind, name in bars]
    for axis, title in ((shares, "decisions"), (days, "days to the decision (median, range)")):
        axis.set(yticks=range(len(bars)), yticklabels=names if axis is shares else [], title=title)
        axis.set_ylim(len(bars) - 0.5, -0.5)
    shares.set(xlim=(0, 1.3), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel="share of seeds")
    shares.legend(loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=2, frameon=False, fontsize=8)
    days.set(xlabel="days", xlim=(0, None))
    days.grid(axis="x", color="#e3e8ee")
    curve = figures["power"]["curve"]
    power.plot([each["n"] for each in curve], [each["power"] for each in curve], color=GREY, label="formula")
    for point in figures["power"]["points"]:
        error = 1.96 * (point["found"] * (1 - point["found"]) / point["runs"]) ** 0.5
        power.errorbar(point["n"], point["found"], yerr=error, fmt="o", color=BLUE, markersize=5, capsize=2)
    for wanted in (0.8, 0.999):
        n = sample_size(figures["sd"], 0.02, power=wanted)
        power.axvline(n, color=RED, linewidth=0.8, linestyle=":")
        power.annotate(f"power {wanted:.1%}: {n}", (n, 0.1), rotation=90, fontsize=8, ha="right")
    power.set(xlabel="reviewed notes of each variant", ylabel="found", ylim=(0, 1.03))
    power.set_title("power for 2 points of F1, two-sided 0.05")
    power.grid(color="#e3e8ee")
    saved(figure, out)


def _curve(sd: float) -> list[dict[str, float]]:
    return [{"n": n, "power": round(power_of(n, sd, 0.02), 4)} for n in range(50, 2501, 50)]


def _with_formula(figures: Mapping[str, Any]) -> list[dict[str, float]]:
    return [
        {**point, "formula": power_of(int(point["n"]), figures["sd"], 0.02)} for point in figures["power"]["points"]
    ]

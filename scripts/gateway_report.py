"""What scripts/bench_gateway.py found: held against the targets, printed, kept as JSON and drawn."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gateway_load as load
from gateway_load import CLIENTS
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

OVERHEAD_MS = 25.0
URGENT_RATIO = 2.0
OVERLOAD = 4.0
READY_SECONDS = 2.0
Figures = dict[str, Any]


def judged(report: Figures) -> list[Figures]:
    """The targets, what was measured, and whether it meets them."""
    rows = []
    for level in report["cost"]:
        low, high = level.get("interval", (None, None))
        rows.append(
            {
                "what": f"{level['name']}: p95 through the gateway less p95 of TorchServe alone, ms",
                "limit": OVERHEAD_MS,
                "value": level["p95_difference"],
                "interval": level.get("interval"),
                "verdict": load.verdict(level["p95_difference"], OVERHEAD_MS, low, high),
            }
        )
        own = level["gateway"]["own"]["p95"]
        what = f"{level['name']}: the gateway's own time a note, p95, ms"
        rows.append({"what": what, "limit": OVERHEAD_MS, "value": own, "verdict": load.verdict(own, OVERHEAD_MS)})
    flood = report["overload"]
    ratio = round(flood["urgent_flooded"]["p95"] / flood["urgent_alone"]["p95"], 2)
    bad = sum(
        flood[part][name]
        for part in ("urgent_endings", "normal_endings")
        for name in ("over_deadline", "hung", "other")
    )
    lost = flood["urgent_flooded"]["count"] - flood["urgent_endings"]["answered"]
    slowest = max(then["ready_seconds"] for then in flood["after"])
    sound = all(then["ready"] and then["drained"] for then in flood["after"])
    ready = load.verdict(slowest, READY_SECONDS) if sound else "missed"
    return [
        *rows,
        {"what": "overload: urgent p95 over its value alone", "limit": URGENT_RATIO, "value": ratio,
         "verdict": load.verdict(ratio, URGENT_RATIO)},
        {"what": "overload: urgent notes without an answer", "limit": 0, "value": lost,
         "verdict": load.verdict(lost, 0)},
        {"what": "overload: requests that ended in no allowed way", "limit": 0, "value": bad,
         "verdict": load.verdict(bad, 0)},
        {"what": "overload: ready, s after the last note", "limit": READY_SECONDS, "value": slowest, "verdict": ready},
    ]  # fmt: skip


def circumstances() -> Figures:
    """Where and with what it was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}",
        "command": " ".join(["python", "scripts/bench_gateway.py", *sys.argv[1:]]),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("clincode", "torch", "torchserve", "fastapi", "uvicorn", "sqlalchemy")},
        },
        "load_average_before": [round(x, 2) for x in os.getloadavg()],
    }


def saved(out: Path, part: str, figures: Figures) -> None:
    """Put a part into the JSON, leave the other as it is, and draw both."""
    path = out.with_suffix(".json")
    figures["circumstances"]["load_average_after"] = [round(x, 2) for x in os.getloadavg()]
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    content[part] = figures
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    drawn(content, out.with_suffix(".png"))
    tqdm.write(f"{path}, {out.with_suffix('.png')}")


def drawn(content: Figures, path: Path) -> None:
    """What there is of: latency alone and through the gateway, urgent notes under overload, slots, batching."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    if "run" in content:
        _draw_cost(axes[0][0], content["run"]["cost"])
        _draw_flood(axes[0][1], content["run"]["overload"])
        where = content["run"]["circumstances"]
        figure.suptitle(f"Gateway with {CLIENTS} clients, {where['machine']}, {where['date'][:10]}")
    if "slots" in content:
        _draw_slots(axes[1][0], content["slots"]["choices"])
    if "batches" in content:
        _draw_batching(axes[1][1], content["batches"]["variants"])
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_cost(axes: Any, levels: Sequence[Figures]) -> None:
    for place, side in enumerate(("alone", "gateway")):
        for shade, quantile in ((1.0, "p50"), (0.45, "p95")):
            bars = axes.bar(
                [x + 0.2 * (2 * place + (quantile == "p95")) for x in range(len(levels))],
                [level[side][quantile] for level in levels],
                0.19, color=f"C{place}", alpha=shade, label=f"{side}, {quantile}",
            )  # fmt: skip
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set(yscale="log", ylabel="ms from arrival to answer", title="TorchServe alone and through the gateway")
    axes.set_xticks([x + 0.3 for x in range(len(levels))], [level["name"] for level in levels])
    axes.legend(fontsize=8)


def _draw_flood(axes: Any, flood: Figures) -> None:
    for name, latencies in flood["latencies"].items():
        share = [(rank + 1) / len(latencies) for rank in range(len(latencies))]
        axes.step(latencies, share, where="post", label=f"urgent, {name} (n = {len(latencies)})")
    limit = URGENT_RATIO * flood["urgent_alone"]["p95"]
    axes.axvline(limit, color="grey", ls=":", label=f"{URGENT_RATIO:.0f} × p95 alone")
    axes.axhline(0.95, color="grey", lw=0.5)
    axes.set(
        xlim=(0, None),
        xlabel="ms",
        ylabel="share of urgent notes",
        title=f"Urgent notes in an overload ×{OVERLOAD:.0f}",
    )
    axes.legend(fontsize=8, loc="lower right")


def _draw_slots(axes: Any, rows: Sequence[Figures]) -> None:
    slots = [str(row["slots"]) for row in rows]
    axes.plot(slots, [row["answered_per_second"] for row in rows], "o-", color="C0", label="notes a second")
    axes.set(xlabel="slots + urgent slots", ylabel="notes a second", ylim=(0, None), title="Slots, in an overload")
    right = axes.twinx()
    right.plot(slots, [row["urgent_ratio"] for row in rows], "s--", color="C3", label="urgent p95, overload / alone")
    right.axhline(URGENT_RATIO, color="C3", lw=0.5)
    right.set(ylabel="ratio", ylim=(0, None))
    handles = [*axes.get_lines(), right.get_lines()[0]]
    axes.legend(handles, [line.get_label() for line in handles], fontsize=8, loc="lower right")


def _draw_batching(axes: Any, rows: Sequence[Figures]) -> None:
    for row in rows:
        steps = row["capacity"]
        axes.plot([s["clients"] for s in steps], [s["per_second"] for s in steps], "o-", label=row["name"])
    axes.set(xscale="log", xlabel="clients", ylabel="notes a second", ylim=(0, None), title="TorchServe alone")
    axes.legend(fontsize=8)


def printed(report: Figures) -> None:
    console = Console(width=120)
    columns = ("load", "side", "notes/s", "p50 ms", "p95 ms", "own p50", "own p95", "not 200", "others' cores")
    table = Table(*columns, title="TorchServe alone and through the gateway")
    for level in report["cost"]:
        for side in ("alone", "gateway"):
            row = level[side]
            own = row.get("own", {})
            table.add_row(
                level["name"], side, *(f"{row[name]}" for name in ("per_second", "p50", "p95")),
                str(own.get("p50", "")), str(own.get("p95", "")), str(row["not_200"]), str(row["other_cores"]),
            )  # fmt: skip
    console.print(table)
    table = Table("overload", "answered", "503", "504", "over deadline", "hung", "other", "p50 ms", "p95 ms")
    flood = report["overload"]
    for part, key in (("urgent", "urgent_flooded"), ("normal", "normal_answered")):
        spread = flood[key]
        ends = (str(count) for count in flood[f"{part}_endings"].values())
        table.add_row(part, *ends, str(spread["p50"]), str(spread["p95"]))
    alone = flood["urgent_alone"]
    table.add_row("urgent, alone", str(alone["count"]), *[""] * 5, str(alone["p50"]), str(alone["p95"]))
    console.print(table)
    table = Table("target", "limit", "measured", "95% interval", "verdict")
    for row in report["judged"]:
        low, high = row.get("interval") or ("", "")
        span = f"{low} to {high}" if row.get("interval") else ""
        table.add_row(row["what"], f"{row['limit']:g}", f"{row['value']:g}", span, row["verdict"])
    console.print(table)

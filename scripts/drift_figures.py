"""The picture of scripts/drift_simulation.py's results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.drift.words import WINDOW_NOTES


def draw_figures(results: dict[str, Any], out: Path, *, mixes: Sequence[float], check_every: int) -> None:
    """``mixes`` are the shares of drifted notes, in the order of colours; a curve has a point each ``check_every``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, ((calm, shift), (alarms, rss)) = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
    found = results["words"]
    calm.hist(found["no_drift_values"], bins=40, color="0.4")
    calm.axvline(found["no_drift"][str(WINDOW_NOTES)]["q99"], color="tab:blue", label="99% of windows")
    calm.axvline(found["limit"], color="tab:red", label=f"limit {found['limit']}")
    calm.set(title="nothing has drifted (CodiEsp)", xlabel="KL, nats", ylabel="windows", xscale="log", xlim=(0.01, 0.2))
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2)
    calm.set_xticks(ticks, [str(tick) for tick in ticks])
    calm.minorticks_off()
    calm.legend()
    for stream in found["streams"]:
        style = "-" if stream["to"] == "bc5cdr" else "--"
        at = check_every * (1 + np.arange(len(stream["curve"])))
        colour = f"C{mixes.index(stream['mix'])}"
        shift.plot(at, stream["curve"], style, color=colour, label=f"{stream['mix']:.0%} {stream['to']}")
    shift.axhline(found["limit"], color="0.5", linestyle=":", label=f"limit {found['limit']}")
    shift.set(title="from CodiEsp to other text", xlabel="notes since", ylabel="KL, nats", ylim=(0, None))
    shift.legend(fontsize="small")
    for name, label in (("p", "corrected"), ("p_uncorrected", "Pearson")):
        alarms.plot(np.linspace(0, 1, 101), results["types"]["p_quantiles"][name], label=label)
    alarms.plot([0, 1], [0, 1], color="0.7", label="as it should be")
    alarms.set(title="entity types, nothing has drifted", xlabel="quantile", ylabel="p")
    alarms.legend()
    at, held = np.array(results["memory"]["rss"]).T
    rss.plot(at / 1e6, held / 2**20)
    rss.set(title="resident memory", xlabel="million notes", ylabel="MiB", ylim=(0, 1.3 * held.max() / 2**20))
    figure.savefig(out, dpi=110)

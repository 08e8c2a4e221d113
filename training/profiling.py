"""How long a model takes: by length, by batch, with and without padding to a fixed length."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clincode.model import BertForClinicalNER
from training.plots import BLUE, canvas, saved

SAMPLE_TEXTS = (
    "Crushing substernal pain since this morning, radiating to the jaw, relieved by nitroglycerin.",
    "Continue lisinopril 20 mg daily and start atorvastatin 40 mg at bedtime.",
    "CT of the abdomen without contrast shows no obstruction and no free air.",
    "Known asthma and hypothyroidism; denies fever, cough or weight loss.",
)
LENGTHS = (32, 64, 128, 256, 512)
BATCHES = (1, 2, 4, 8, 16)
BUDGET_MS = 500
"""95th percentile that a note may take."""


def profile_inference(
    model: BertForClinicalNER,
    tokenizer: Any,
    device: torch.device | str,
    sample_texts: Sequence[str] | None = None,
    *,
    runs: int = 100,
    out: Path | None = None,
) -> dict[str, Any]:
    """Wall times of the tokenizer and the network together.

    Returns:
        ``latency_ms`` (``mean``, ``p50``, ``p95``, ``p99`` over ``runs`` single texts), ``meets_budget`` (p95 below 500
        ms), ``by_length`` (sub-tokens → median ms of one full sequence), ``throughput`` (texts a batch → texts a
        second) and ``dynamic_padding_speedup`` (padding to the longest text of a batch against padding to the longest
        length that was measured). With ``out``, ``latency.png`` and ``throughput.png`` are written to that folder.
    """
    texts = list(sample_texts or SAMPLE_TEXTS)
    model = model.to(device).eval()
    longest = int(model.encoder.config.max_position_embeddings)
    lengths = [length for length in LENGTHS if length <= longest]
    repeats = max(1, runs // 10)

    def read(batch: Sequence[str], padding: str, length: int = lengths[-1]) -> None:
        options = {"truncation": True, "max_length": length, "padding": padding, "return_tensors": "pt"}
        encoded = tokenizer(list(batch), **options)
        model(encoded["input_ids"].to(device), encoded["attention_mask"].to(device))

    def median(count: int, run: Callable[[], None]) -> float:
        return float(np.median(_times(run, count, device)))

    turns = cycle(texts)
    with torch.inference_mode():
        single = _times(lambda: read([next(turns)], "longest"), runs, device)
        by_length = {length: median(repeats, partial(read, texts[:1], "max_length", length)) for length in lengths}
        batches = {size: list(islice(cycle(texts), size)) for size in BATCHES}
        throughput = {
            size: 1000 * size / median(repeats, partial(read, batch, "longest")) for size, batch in batches.items()
        }
        fixed, dynamic = (median(repeats, partial(read, texts, padding)) for padding in ("max_length", "longest"))
    figures: dict[str, Any] = {
        "latency_ms": {
            "mean": float(np.mean(single)),
            **{f"p{p}": float(np.percentile(single, p)) for p in (50, 95, 99)},
        },
        "by_length": by_length,
        "throughput": throughput,
        "dynamic_padding_speedup": fixed / dynamic,
    }
    figures["meets_budget"] = figures["latency_ms"]["p95"] < BUDGET_MS
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plot_profile(figures, out)
    return figures


def plot_profile(figures: dict[str, Any], out: Path) -> None:
    """``latency.png``: time by length. ``throughput.png``: texts a second by batch."""
    figure, axis = canvas(6, 3.5)
    axis.plot(list(figures["by_length"]), list(figures["by_length"].values()), "o-", color=BLUE)
    axis.set(title="One sequence", xlabel="sub-tokens", ylabel="median ms", ylim=(0, None))
    saved(figure, out / "latency.png")
    figure, axis = canvas(6, 3.5)
    axis.bar([str(size) for size in figures["throughput"]], list(figures["throughput"].values()), color=BLUE)
    axis.set(title="Throughput", xlabel="texts a batch", ylabel="texts a second")
    saved(figure, out / "throughput.png")


def _times(run: Callable[[], None], count: int, device: torch.device | str) -> list[float]:
    """Milliseconds of each of ``count`` runs, after one that warms up."""
    on_gpu = torch.device(device).type == "cuda"
    run()
    times = []
    for _ in range(count):
        _wait(on_gpu)
        start = time.perf_counter()
        run()
        _wait(on_gpu)
        times.append(1000 * (time.perf_counter() - start))
    return times


def _wait(on_gpu: bool) -> None:
    """A GPU works on after the call returns."""
    if on_gpu:
        torch.cuda.synchronize()

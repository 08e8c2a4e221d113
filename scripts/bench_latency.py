"""Stage times of one note against the latency budget.

    .venv/bin/python scripts/bench_latency.py [--runs 100] [--note FILE] [--model DIR] [--json OUT]

Batch 1, in this process, after a warm-up. Prints p50 and p95 for each stage and for the whole note, request parsing and
serialisation included; TorchServe's own overhead is not in it.
"""

import json
import platform
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from cli.models import ROOT, bundle_of
from clincode.pipeline import Pipeline
from clincode.request import parse_request
from clincode.response import response_body

BUDGET_MS = {"redact": 100.0, "context": 50.0, "model": 400.0, "whole note": 1000.0}
CONTEXT = ("sections", "senses", "assertions", "references")
"""Stages that "context" is the sum of."""


def main(
    runs: Annotated[int, typer.Option(min=1)] = 100,
    note: Annotated[Path, typer.Option()] = ROOT / "docs" / "examples" / "discharge_500_words.txt",
    model: Annotated[Path | None, typer.Option()] = None,
    json_out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure, print, and write the figures where asked."""
    text = note.read_text(encoding="utf-8")
    body = json.dumps(
        {"note_id": "00000000-0000-4000-8000-000000000000", "note_text": text, "note_type": "discharge_summary"}
    )
    pipeline = Pipeline.from_bundle(bundle_of(model))
    for _ in range(5):
        pipeline.analyze(parse_request(body))
    times: dict[str, list[float]] = defaultdict(list)
    for _ in tqdm(range(runs), desc="notes", unit="note"):
        start = time.perf_counter()
        analysis = pipeline.analyze(parse_request(body))
        json.dumps(response_body(analysis, version=pipeline.version, processing_time_ms=0))
        times["whole note"].append((time.perf_counter() - start) * 1000)
        stages = analysis.statistics.stage_ms
        for stage, milliseconds in stages.items():
            times[stage].append(milliseconds)
        times["context"].append(sum(stages[stage] for stage in CONTEXT))
    figures = {stage: {"p50": _percentile(ms, 50), "p95": _percentile(ms, 95)} for stage, ms in times.items()}
    order = [*(stage for stage in figures if stage not in ("context", "whole note")), "context", "whole note"]
    title = f"{pipeline.version}, {pipeline.precision}, {len(text.split())} words, {runs} runs, {date.today()}"
    table = Table("stage", "p50 ms", "p95 ms", "budget ms", "", title=title)
    for stage in order:
        p50, p95 = figures[stage]["p50"], figures[stage]["p95"]
        budget = BUDGET_MS.get(stage)
        verdict = "" if budget is None else "within" if p95 < budget else "OVER"
        table.add_row(stage, f"{p50:.1f}", f"{p95:.1f}", "" if budget is None else f"{budget:.0f}", verdict)
    Console().print(table)
    Console().print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    if json_out is not None:
        json_out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _percentile(values: list[float], q: float) -> float:
    return round(float(np.percentile(values, q)), 2)


if __name__ == "__main__":
    typer.run(main)

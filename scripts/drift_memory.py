"""Whether the drift monitor's memory stays flat, a part of scripts/drift_simulation.py."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from monitoring.drift.monitor import DriftMonitor
from monitoring.drift.reference import Reference, ReferenceBuilder
from monitoring.drift.words import WINDOW_NOTES


def memory(texts: Sequence[str], answered: Sequence[Any], notes: int) -> dict[str, Any]:
    """Resident memory while ``notes`` go by, drawn from ``texts`` with the entities of ``answered``."""
    draw = np.random.default_rng(29)
    answers = [
        ([e["type"] for e in answer["entities"]], [e["confidence"] for e in answer["entities"]]) for answer in answered
    ]
    builder = ReferenceBuilder()
    for text in texts[::2]:
        builder.add_text(text)
    reference = builder.built(datetime.now(UTC))
    held = texts[1::2]
    process, start = psutil.Process(), datetime(2026, 1, 5, tzinfo=UTC)

    def watch(monitor: DriftMonitor, first: int, count: int) -> None:
        for number, note in enumerate(draw.integers(len(held), size=count), first):
            types, confidences = answers[note % len(answers)]
            at = start + timedelta(seconds=30 * number)
            monitor.observe(held[note], types, confidences, "progress_note", at, 0.8)

    monitor = DriftMonitor(reference)
    step = max(1, notes // 50)
    curve = []
    begin = time.process_time()
    for first in tqdm(range(0, notes, step), desc="memory", unit="step"):
        watch(monitor, first, step)
        curve.append([first + step, process.memory_info().rss])
    seconds = time.process_time() - begin
    return {
        "notes": notes,
        "cpu_ms_per_note": 1000 * seconds / notes,
        "words_per_note": float(np.mean([len(text.split()) for text in held])),
        "rss": curve,
        "state_bytes": sum(each.nbytes for each in monitor.state().values()),
        "traced": _traced(reference, watch),
    }


def _traced(reference: Reference, watch: Callable[[DriftMonitor, int, int], None]) -> list[list[int]]:
    """Bytes that Python itself holds more than before, over two windows of notes."""
    tracemalloc.start()
    monitor, found = DriftMonitor(reference), []
    for first in tqdm(range(0, 2 * WINDOW_NOTES, WINDOW_NOTES // 5), desc="traced", unit="step"):
        watch(monitor, first, WINDOW_NOTES // 5)
        found.append([first + WINDOW_NOTES // 5, tracemalloc.get_traced_memory()[0]])
    tracemalloc.stop()
    return found

#!/usr/bin/env python
"""What coding costs: time for a note with many mentions, loading, and memory.

    python scripts/bench_linking.py [--mentions 30] [--runs 50] [--json OUT]

Each run codes a note of that many mentions of diseases that no run before had, so that nothing is remembered; half
are names of the list and half are not, for those cost more. Times are of the codes stage alone: candidates, ranking,
specificity, rules.
"""

import json
import random
import resource
import statistics
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from cli.models import bundle_of
from clincode.config import TERMINOLOGY_FILE
from clincode.icd import Coder, Mention, Terminology
from clincode.icd.synonyms import load_synonyms
from clincode.labels import EntityType
from clincode.pipeline import load_linker
from clincode.sections import split_sentences
from clincode.types import Assertion, NoteType, Sentence, Span
from training.linking_names import misspelt


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def note_of(phrases: list[str]) -> tuple[str, tuple[Sentence, ...], list[Mention]]:
    """A note that says one phrase a sentence, and its mentions."""
    text = "".join(f"Patient with {phrase} on the left side. " for phrase in phrases)
    sentences = split_sentences(text)
    mentions, at = [], 0
    for phrase in phrases:
        start = text.index(phrase, at)
        at = start + len(phrase)
        sentence = next(s for s in sentences if s.start <= start < s.end)
        mentions.append(Mention(Span(start, at, EntityType.DIAGNOSIS, 0.9), phrase, Assertion(), sentence))
    return text, sentences, mentions


def main(
    mentions: Annotated[int, typer.Option(min=1)] = 30,
    runs: Annotated[int, typer.Option(min=2)] = 50,
    model: Annotated[Path | None, typer.Option(help="model folder; the newest release by default")] = None,
    json_out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    folder = bundle_of(model)
    Terminology.load(folder / TERMINOLOGY_FILE)  # parsing warms the allocator; the list itself is let go
    before = resident_mb()
    start = time.perf_counter()
    coder = Coder(load_linker(folder))
    loading = time.perf_counter() - start
    source = random.Random(13)
    terms = [term for term in load_synonyms(coder.terminology) if len(term) > 4 and "." not in term]
    source.shuffle(terms)
    times = []
    for run in range(runs + 1):
        phrases = [terms[(run * mentions + i) % len(terms)] for i in range(mentions)]
        phrases = [misspelt(phrase, source) if i % 2 else phrase for i, phrase in enumerate(phrases)]
        text, sentences, given = note_of(phrases)
        start = time.perf_counter()
        coder.code(text, NoteType.DISCHARGE_SUMMARY, sentences, given)
        times.append((time.perf_counter() - start) * 1000)
    times = sorted(times[1:])  # the first warms up
    figures = {
        "mentions": mentions,
        "runs": runs,
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
        "loading_s": round(loading, 2),
        "memory_mb": round(resident_mb() - before),
        "threads": torch.get_num_threads(),
    }
    for name, value in figures.items():
        typer.echo(f"{name:12} {value}")
    if json_out is not None:
        json_out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

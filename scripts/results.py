"""Measure the releases and write the README's results: everything between its two `results` markers.

    .venv/bin/python scripts/results.py --data DATA [--no-base] [--keep-ner]

DATA is the folder of the public corpora. Figures go to docs/results.json too, with machine and date. The base-size
model takes most of the time (about 8 times the small one's). ``--keep-ner`` takes the entity scores, with the date of
their own, from docs/results.json: for a change that touches neither models nor decoding.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from cli.evaluate import model_tagger, read_corpus
from cli.models import ROOT, bundle_of, newest_release
from clincode.config import SERVING_HEAD
from clincode.icd.sources import DISEASE_ONTOLOGY
from clincode.pipeline import Pipeline, load_linker
from training.baseline import DictionaryTagger
from training.evaluate_assertions import evaluate_assertions
from training.evaluate_coding import cause_counts, code_notes, coding_figures, read_coded_notes
from training.evaluate_icd import evaluate_icd
from training.evaluate_ner import Tagger, evaluate_tagger
from training.rules import RuleTagger

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True, slots=True)
class Task:
    """A corpus scored with a head; ``train`` is what the baselines are made of."""

    title: str
    data: str
    train: str
    corpus: str
    head: str = SERVING_HEAD

    @property
    def command(self) -> str:
        guideline = "" if self.head == SERVING_HEAD else f" --guideline {self.head}"
        return f"--data $DATA/{self.data}{guideline}"


TASKS = (
    Task("MACCROBAT devel, five types", "maccrobat/devel.iob2.tsv", "maccrobat/train.iob2.tsv", "clincode"),
    Task("BC5CDR test, head that serves", "bc5cdr/test.tsv", "bc5cdr/train.tsv", "bc5cdr"),
    Task("BC5CDR test, head of its guideline", "bc5cdr/test.tsv", "bc5cdr/train.tsv", "bc5cdr", "bc5cdr"),
    Task(
        "NCBI devel, head of its guideline",
        "ncbi_disease/devel.tsv",
        "ncbi_disease/train.tsv",
        "ncbi_disease",
        "ncbi_disease",
    ),
)


def measure_ner(data: Path, releases: dict[str, Path]) -> dict[str, Any]:
    """Entity scores: task → tagger → scores."""
    scores: dict[str, dict[str, Any]] = {}
    for task in tqdm(TASKS, desc="tasks"):
        guideline, sentences = read_corpus(data / task.data, "iob2", task.corpus)
        scores[task.title] = {
            name: evaluate_tagger(tagger, sentences, guideline) for name, tagger in _taggers(task, data, releases)
        }
    return {"ner_date": date.today().isoformat(), "ner": scores}


def measure_rest(data: Path, release: Path) -> dict[str, Any]:
    """Figures of assertions, linking and coding."""
    bundle = bundle_of(release)
    ontology = {DISEASE_ONTOLOGY: str(data / "disease_ontology" / "terms.tsv")}
    linkers = {"": load_linker(bundle, environ={}), "_with_ontology": load_linker(bundle, environ=ontology)}
    pipeline = Pipeline.from_bundle(bundle)
    scored = code_notes(read_coded_notes(data / "codiesp_en" / "dev.jsonl"), pipeline)
    coding = coding_figures(scored, pipeline.terminology)
    return {
        "date": date.today().isoformat(),
        "machine": machine(),
        "coding": {**coding, "missed": cause_counts(scored, pipeline.terminology)},
        "assertion": evaluate_assertions(data / "negex" / "devel.tsv"),
        "assertion_baseline": evaluate_assertions(data / "negex" / "devel.tsv", baseline=True),
        "icd": {
            f"{name}{kind}": evaluate_icd(data / "icd_linking" / f"bc5cdr_{name}.jsonl", linker)
            for kind, linker in linkers.items()
            for name in ("devel_unseen", "devel")
        },
    }


def _taggers(task: Task, data: Path, releases: dict[str, Path]) -> Iterator[tuple[str, Tagger]]:
    for name, release in releases.items():
        yield name, model_tagger(release, task.head)
    yield from _baselines(data / task.train, task.corpus).items()


@cache
def _baselines(training: Path, corpus: str) -> dict[str, Tagger]:
    _, sentences = read_corpus(training, "iob2", corpus)
    return {"dictionary": DictionaryTagger.train(sentences), "rules": RuleTagger.train(sentences)}


def machine() -> str:
    """Cores and model of the processor."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return f"{os.cpu_count()} cores of {names[0].strip() if names else platform.machine()}"


def tables(figures: dict[str, Any]) -> str:
    """Markdown of the figures."""
    columns = list(next(iter(figures["ner"].values())))
    lines = [
        f"Strict entity F1 (type and both boundaries) with 95% bootstrap intervals, {figures['machine']}, "
        f"{figures['ner_date']}; `clincode evaluate ner …`:",
        "",
        *_row("corpus", "command's end", *(f"`{c}`" if c.startswith("bert") else c for c in columns)),
        *_row(*["---"] * (len(columns) + 2)),
    ]
    for task in TASKS:
        row = figures["ner"][task.title]
        lines += _row(task.title, f"`{task.command}`", *(_f1(row[column]["micro"]) for column in columns))
        if task.head == "bc5cdr":
            for name in ("MEDICATION", "DIAGNOSIS"):
                lines += _row(f"· {name}", "", *(_f1(row[column]["per_type"][name]) for column in columns))
    lines += ["", *_row("type, MACCROBAT devel", *columns), *_row(*["---"] * (len(columns) + 1))]
    row = figures["ner"][TASKS[0].title]
    for name in row[columns[0]]["per_type"]:
        lines += _row(name, *(_f1(row[column]["per_type"][name]) for column in columns))
    negated, window = (figures[name]["negated"] for name in ("assertion", "assertion_baseline"))
    icd, coding = figures["icd"], figures["coding"]
    lines += [
        "",
        *_row("task", "command", "result"),
        *_row("---", "---", "---"),
        *_row(
            "negation, given concepts, NegEx kit devel",
            "`clincode evaluate assertion --data $DATA/negex/devel.tsv`",
            f"F1 {negated['f1']:.3f}, accuracy {negated['accuracy']:.3f}",
        ),
        *_row(
            "the same, by a window of five words",
            "`clincode evaluate assertion --baseline --data $DATA/negex/devel.tsv`",
            f"F1 {window['f1']:.3f}, accuracy {window['accuracy']:.3f}",
        ),
        *_row(
            f"ICD-10-CM, mentions that training never shows ({icd['devel_unseen']['n']})",
            "`clincode evaluate icd --data $DATA/icd_linking/bc5cdr_devel_unseen.jsonl`",
            _icd(icd["devel_unseen"]),
        ),
        *_row("· with the Disease Ontology's names read", "", _icd(icd["devel_unseen_with_ontology"])),
        *_row(
            f"ICD-10-CM, all devel mentions ({icd['devel']['n']})",
            "`clincode evaluate icd --data $DATA/icd_linking/bc5cdr_devel.jsonl`",
            _icd(icd["devel"]),
        ),
        *_row("· with the Disease Ontology's names read", "", _icd(icd["devel_with_ontology"])),
        *_row(
            f"whole notes, CodiEsp dev ({coding['n']}), categories",
            "`clincode evaluate coding --data $DATA/codiesp_en/dev.jsonl`",
            _coding(coding["category"]),
        ),
        *_row("· whole codes", "", _coding(coding["code"])),
    ]
    return "\n".join(lines)


def _row(*cells: str) -> Sequence[str]:
    return [f"| {' | '.join(cells)} |"]


def _f1(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['f1']:.3f} ({low:.3f} to {high:.3f})"


def _icd(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {row[name]:.3f}" for name in ("code@1", "category@1", "code@5", "ece", "billable@1"))


def _coding(row: dict[str, float]) -> str:
    return f"F1 {row['f1']:.3f} (precision {row['precision']:.3f}, recall {row['recall']:.3f}), MAP {row['map']:.3f}"


def replaced(readme: str, text: str) -> str:
    """The README with ``text`` between the markers."""
    before, found, rest = readme.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise typer.BadParameter(f"README.md lacks '{BEGIN}' or '{END}'")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main(
    data: Annotated[Path, typer.Option(help="folder of the public corpora")],
    base: Annotated[bool, typer.Option(help="measure the base-size release too, where there is one")] = True,
    keep_ner: Annotated[bool, typer.Option(help="take the entity scores from docs/results.json")] = False,
) -> None:
    """Regenerate the README's results."""
    newest = newest_release()
    releases = {newest.name: newest}
    larger = newest.with_name(f"{newest.name}-base")
    if base and larger.is_dir():
        releases[larger.name] = larger
    file = ROOT / "docs" / "results.json"
    known = json.loads(file.read_text(encoding="utf-8")) if keep_ner else {}
    ner = {name: known[name] for name in ("ner_date", "ner")} if keep_ner else measure_ner(data, releases)
    figures = {**ner, **measure_rest(data, newest)}
    file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), tables(figures)), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

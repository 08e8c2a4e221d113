"""Written cases of coding: a short note, the code that must stand first on its list, others that must or must not.

A table is a TSV with the columns ``category``, ``note_type``, ``text`` (``\\\\n`` is a line break), ``first`` (codes
any of which may stand first, ``-`` for an empty list), ``also`` (codes that must stand somewhere), ``never``
(beginnings of codes that must not).
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from clincode.pipeline import Pipeline
from clincode.types import Analysis, Note, NoteType
from training.corpora import CorpusError

COLUMNS = ("category", "note_type", "text", "first", "also", "never")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class CodingCase:
    line: int
    category: str
    note_type: NoteType
    text: str
    first: tuple[str, ...]
    also: tuple[str, ...]
    never: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodingOutcome:
    case: CodingCase
    codes: tuple[str, ...]
    entities: tuple[tuple[str, str], ...]

    @property
    def first_right(self) -> bool:
        return (self.codes[0] if self.codes else NOTHING) in self.case.first

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(code for code in self.case.also if code not in self.codes)

    @property
    def forbidden(self) -> tuple[str, ...]:
        return tuple(code for code in self.codes if code.startswith(self.case.never or ("#",)))


def read_coding_cases(path: Path) -> list[CodingCase]:
    """Raises ``CorpusError`` with file and line for a row of another shape."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)) or [[]]
    if tuple(header) != COLUMNS:
        raise CorpusError(f"{path}:1: the header must be {' '.join(COLUMNS)}")
    cases = []
    for number, cells in enumerate(rows, 2):
        if len(cells) != len(COLUMNS):
            raise CorpusError(f"{path}:{number}: {len(cells)} columns, expected {len(COLUMNS)}")
        category, note_type, text, *codes = cells
        first, also, never = (tuple(code for code in cell.split("|") if code) for cell in codes)
        try:
            kind = NoteType(note_type)
        except ValueError:
            raise CorpusError(f"{path}:{number}: '{note_type}' is no type of note") from None
        cases.append(CodingCase(number, category, kind, text.replace("\\n", "\n"), first, also, never))
    return cases


def run_coding_cases(cases: Sequence[CodingCase], pipeline: Pipeline) -> list[CodingOutcome]:
    outcomes = []
    for case in tqdm(cases, desc="coding cases", unit="case"):
        analysis = pipeline.analyze(Note(f"case-{case.line}", case.text, case.note_type))
        outcomes.append(CodingOutcome(case, tuple(code.code for code in analysis.codes), _shown(analysis)))
    return outcomes


def _shown(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    return tuple(
        (entity.text, entity.icd_codes[0].code if entity.icd_codes else NOTHING) for entity in analysis.entities
    )


def read_tables(folder: Path) -> dict[str, list[CodingCase]]:
    """The cases of every table of a folder, by the table's name."""
    return {path.stem: read_coding_cases(path) for path in sorted(folder.glob("*.tsv"))}


def report(tables: dict[str, list[CodingOutcome]]) -> Iterator[str]:
    """Markdown: how many of each table and category have a right first code, then every case that has not."""
    yield "| table | cases | first code right | share | all of `also` there | none of `never` there |"
    yield "|---|---|---|---|---|---|"
    for name, outcomes in tables.items():
        right = sum(outcome.first_right for outcome in outcomes)
        whole = sum(not outcome.missing for outcome in outcomes)
        clean = sum(not outcome.forbidden for outcome in outcomes)
        yield f"| {name} | {len(outcomes)} | {right} | {right / len(outcomes):.3f} | {whole} | {clean} |"
    every = [outcome for outcomes in tables.values() for outcome in outcomes]
    asked, right_of = Counter(o.case.category for o in every), Counter(o.case.category for o in every if o.first_right)
    yield f"| together | {len(every)} | {sum(right_of.values())} | {sum(right_of.values()) / len(every):.3f} | | |"
    yield "\n| category | cases | first code right |\n|---|---|---|"
    for category, count in asked.items():
        yield f"| {category} | {count} | {right_of[category]} |"
    yield "\n## First codes that are not right\n\n| table, line | note | expected | found |\n|---|---|---|---|"
    for name, outcomes in tables.items():
        for outcome in outcomes:
            if not outcome.first_right:
                note = outcome.case.text.replace("\n", " / ").replace("|", "\\|")
                expected, found = " or ".join(outcome.case.first), " ".join(outcome.codes) or NOTHING
                yield f"| {name}, {outcome.case.line} | {note} | {expected} | {found} |"

"""Tables of sentences written to be hard, and what the system makes of them.

    clincode evaluate challenge --data tests/challenge --report docs/challenge.md

Each table is a TSV; ``[[…]]`` marks a mention and ``{{…}}`` a reference in its notes, ``\\n`` a line break.

``negation.tsv``, ``references.tsv``: one stage, with the mentions given. ``abbreviations.tsv``: the sense alone.
``context_words.tsv``: the whole pipeline; ``expected`` is the type of an entity that holds the word, or ``none``.
"""

import csv
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from clincode.assertions import assert_context
from clincode.labels import EntityType
from clincode.pipeline import Pipeline, informed
from clincode.references import resolve_references
from clincode.sections import split_sentences
from clincode.senses import resolve_abbreviations
from clincode.types import Assertion, Note, Sentence, Span
from training.corpora import CorpusError

_MARK = re.compile(r"\[\[(?P<mention>[^\]|]+)(?:\|(?P<type>[A-Z]+))?(?P<star>\|\*)?\]\]|\{\{(?P<anaphor>[^}]+)\}\}")


@dataclass(frozen=True, slots=True)
class Mark:
    start: int
    end: int
    type: EntityType | None
    is_antecedent: bool
    is_anaphor: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A note without its marks, the marks, and the other columns."""

    line: int
    text: str
    marks: tuple[Mark, ...]
    row: Mapping[str, str]

    @property
    def mention(self) -> Mark:
        return self.marks[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was expected of a case and what was found."""

    case: Case
    expected: str
    found: str

    @property
    def is_right(self) -> bool:
        return self.found in self.expected.split("|")


def read_cases(path: Path) -> list[Case]:
    """Raises ``CorpusError`` with file and line where a row has other columns than the header, or no mark."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    cases = []
    for number, cells in enumerate(rows, 2):
        if len(cells) != len(header):
            raise CorpusError(f"{path}:{number}: {len(cells)} columns, expected {len(header)}")
        row = dict(zip(header, cells, strict=True))
        text, marks = unmarked(row["note"].replace("\\n", "\n"))
        if not marks:
            raise CorpusError(f"{path}:{number}: nothing is marked")
        cases.append(Case(number, text, marks, row))
    return cases


def unmarked(note: str) -> tuple[str, tuple[Mark, ...]]:
    """The note without its marks, and where what they marked stands in it."""
    text, marks, at = "", list[Mark](), 0
    for match in _MARK.finditer(note):
        text += note[at : match.start()]
        words = match["mention"] or match["anaphor"]
        kind = EntityType(match["type"]) if match["type"] else None
        marks.append(Mark(len(text), len(text) + len(words), kind, bool(match["star"]), bool(match["anaphor"])))
        text += words
        at = match.end()
    return text + note[at:], tuple(marks)


def negation(case: Case) -> Outcome:
    """Certainty, temporality and experiencer of the mention, and the cue where the certainty has one."""
    span = Span(case.mention.start, case.mention.end, EntityType.DIAGNOSIS, 1.0)
    sentence = _sentence_of(split_sentences(case.text), span.start)
    (found,) = assert_context(case.text, sentence, (span,))
    expected = " ".join(case.row[column] for column in ("certainty", "temporality", "experiencer"))
    given = f"{found.certainty} {found.temporality} {found.experiencer}"
    triggers = [cue.lower() for cue in case.row["trigger"].split("|") if cue]
    if given == expected and triggers and (found.trigger or "").lower() not in triggers:
        return Outcome(case, f"{expected}, by '{triggers[0]}'", f"{given}, by '{found.trigger}'")
    return Outcome(case, expected, given)


def abbreviation(case: Case) -> Outcome:
    """The sense of the marked form, ``-`` for none."""
    place = (case.mention.start, case.mention.end)
    uses = resolve_abbreviations(case.text, split_sentences(case.text))
    found = next((use.sense.expansion for use in uses if (use.start, use.end) == place), "-")
    return Outcome(case, case.row["sense"], found)


def reference(case: Case) -> Outcome:
    """Where the anaphor leads, and what that makes of its antecedent: ``the mass, negated``; ``-`` for nowhere."""
    anaphor = next(mark for mark in case.marks if mark.is_anaphor)
    antecedent = next((mark for mark in case.marks if mark.is_antecedent), None)
    spans = [Span(mark.start, mark.end, mark.type, 1.0) for mark in case.marks if mark.type]
    sentences = split_sentences(case.text)
    references = resolve_references(case.text, sentences, spans)
    found = next((r for r in references if r.start < anaphor.end and anaphor.start < r.end), None)
    own = [(_sentence_of(sentences, span.start), span, Assertion()) for span in spans]
    after = {span: assertion for _, span, assertion in informed(case.text, sentences, own, references)}
    expected = "-" if antecedent is None else case.text[antecedent.start : antecedent.end]
    given = "-" if found is None else case.text[found.antecedent_start : found.antecedent_end]
    if antecedent is not None and found is not None and antecedent.start != found.antecedent_start:
        given += " (another)"
    if antecedent is not None and case.row["outcome"] != "-":
        said = next(a for span, a in after.items() if span.start == antecedent.start)
        expected, given = f"{expected}, {case.row['outcome']}", f"{given}, {_state(said)}"
    return Outcome(case, expected, given)


def _state(assertion: Assertion) -> str:
    states = (assertion.certainty.value, assertion.temporality.value)
    return next((state for state in states if state not in ("affirmed", "current")), "-")


def context_word(pipeline: Pipeline) -> Callable[[Case], Outcome]:
    def run(case: Case) -> Outcome:
        entities = pipeline.analyze(Note("challenge", case.text)).entities
        mention = case.mention
        holding = [e.span.type.value for e in entities if e.span.start < mention.end and mention.start < e.span.end]
        return Outcome(case, case.row["expected"], holding[0] if holding else "none")

    return run


def _sentence_of(sentences: tuple[Sentence, ...], at: int) -> Sentence:
    return sentences[max(0, bisect_right([s.start for s in sentences], at) - 1)]


STAGES: dict[str, Callable[[Case], Outcome]] = {
    "negation": negation,
    "abbreviations": abbreviation,
    "references": reference,
}


def run_table(folder: Path, name: str, pipeline: Pipeline | None = None) -> list[Outcome]:
    """The outcome of every case of a table; ``context_words`` needs a pipeline."""
    stage = context_word(pipeline) if pipeline and name not in STAGES else STAGES[name]
    return [stage(case) for case in tqdm(read_cases(folder / f"{name}.tsv"), desc=name, unit="case", leave=False)]


def report(tables: Mapping[str, list[Outcome]]) -> Iterator[str]:
    """Markdown: how many of each table were right, then every miss."""
    yield "| table | cases | right | share |\n|---|---|---|---|"
    for name, outcomes in tables.items():
        right = sum(outcome.is_right for outcome in outcomes)
        yield f"| {name} | {len(outcomes)} | {right} | {right / len(outcomes):.3f} |"
    for name, outcomes in tables.items():
        yield f"\n## Misses of {name}\n\n| line | note | expected | found |\n|---|---|---|---|"
        for outcome in outcomes:
            if not outcome.is_right:
                cells = (outcome.case.row["note"], outcome.expected, outcome.found)
                yield f"| {outcome.case.line} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def run_tables(folder: Path, pipeline: Pipeline) -> dict[str, list[Outcome]]:
    """The outcomes of all tables of a folder."""
    return {name: run_table(folder, name, pipeline) for name in (*STAGES, "context_words")}

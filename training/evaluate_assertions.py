"""Scores of the context stage on concepts that are given, as in the NegEx test kit's files."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from clincode.assertions import assert_context
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.types import Assertion, Certainty, Experiencer, Span, Temporality
from training.corpora import CorpusError
from training.rules import window_negated
from training.scoring import Scores, prf

_WORD = re.compile(r"\w+|[^\w\s]")
COLUMNS = ("concept", "sentence", "negation", "temporality", "experiencer")


@dataclass(frozen=True, slots=True)
class AssertionRecord:
    """A concept in its sentence, and whether it is negated, historical and of the family.

    ``start`` is -1 where the sentence was cut before the concept, as a few of the kit's are: nothing can be said there.
    """

    sentence: str
    start: int
    end: int
    negated: bool
    historical: bool
    family: bool


def read_assertions(path: Path) -> Iterator[AssertionRecord]:
    """Rows of a TSV with the columns concept, sentence, negation, temporality, experiencer.

    Raises:
        CorpusError: with file and line, where a row is malformed.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(next(rows, ())) != COLUMNS:
            raise CorpusError(f"{path}:1: the header must be {' '.join(COLUMNS)}")
        for number, row in enumerate(rows, 2):
            if len(row) != len(COLUMNS):
                raise CorpusError(f"{path}:{number}: {len(row)} columns, expected {len(COLUMNS)}")
            concept, sentence, negation, temporality, experiencer = row
            start = find_concept(concept, sentence)
            yield AssertionRecord(
                sentence,
                start,
                start + len(concept.strip()),
                negation.strip().lower() == "negated",
                temporality.strip().lower() == "historical",
                experiencer.strip().lower() not in ("patient", ""),
            )


def find_concept(concept: str, sentence: str) -> int:
    """Where the concept begins: where it is written in capitals, as these files mark it, else its first mention; -1."""
    concept = concept.strip()
    capitals = sentence.find(concept.upper())
    return capitals if capitals >= 0 else sentence.lower().find(concept.lower())


def assertion_of(record: AssertionRecord) -> Assertion:
    """What the pipeline's context stage says of the concept in its text."""
    if record.start < 0:
        return Assertion()
    mention = Span(record.start, record.end, EntityType.DIAGNOSIS, 1.0)
    holding = [s for s in split_sentences(record.sentence) if s.start < record.end and record.start < s.end]
    return assert_context(record.sentence, holding[0], [mention])[0]


def negated_by_baseline(record: AssertionRecord) -> bool:
    """What the baseline's window of words says of the concept in its text."""
    if record.start < 0:
        return False
    words = list(_WORD.finditer(record.sentence))
    mention = [i for i, word in enumerate(words) if word.start() < record.end and record.start < word.end()]
    return window_negated([word.group() for word in words], mention[0], mention[-1] + 1)


def evaluate_assertions(path: Path, *, baseline: bool = False) -> dict[str, Scores]:
    """``{"negated": {precision, recall, f1, accuracy}, "historical": {…}, "family": {…}}``.

    With ``baseline``, the figures are ``window_negated``'s, which knows of negation alone: ``{"negated": {…}}``.
    """
    records = list(read_assertions(path))
    if baseline:
        return {"negated": _scores([(record.negated, negated_by_baseline(record)) for record in records])}
    found = [assertion_of(record) for record in tqdm(records, desc="assertions", unit="concept", leave=False)]
    pairs = {
        "negated": [(r.negated, a.certainty is Certainty.NEGATED) for r, a in zip(records, found, strict=True)],
        "historical": [
            (r.historical, a.temporality is Temporality.HISTORICAL) for r, a in zip(records, found, strict=True)
        ],
        "family": [(r.family, a.experiencer is not Experiencer.PATIENT) for r, a in zip(records, found, strict=True)],
    }
    return {name: _scores(rows) for name, rows in pairs.items()}


def _scores(pairs: list[tuple[bool, bool]]) -> Scores:
    correct = sum(gold and predicted for gold, predicted in pairs)
    scores = prf(correct, sum(predicted for _, predicted in pairs), sum(gold for gold, _ in pairs))
    agreeing = sum(gold == predicted for gold, predicted in pairs)
    return {**scores, "accuracy": agreeing / len(pairs) if pairs else 0.0}

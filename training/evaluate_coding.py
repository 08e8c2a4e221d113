"""How well whole notes are coded, on notes with their gold ICD-10-CM codes.

    clincode evaluate coding --data DATA/codiesp_en/dev.jsonl [--report FILE.html] [--json OUT]

A record is a JSON object a line with ``id``, ``text`` and ``diagnosis_codes``. Codes are compared as sets of a note,
without regard to case: micro precision, recall and F1, and the mean over notes of the average precision of the ranked
list (MAP), each for whole codes and for categories (the first three characters). A gold code that the loaded year
does not have can not be found; how many there are is told.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clincode.errors import AnalysisError
from clincode.icd import Terminology
from clincode.icd.said import meaning
from clincode.pipeline import Pipeline
from clincode.sections import split_sentences
from clincode.types import Analysis, Note, NoteType
from training.corpora import CorpusError

NOTES_TOGETHER = 4


@dataclass(frozen=True, slots=True)
class CodedNote:
    """A note with the codes that coders gave it."""

    note_id: str
    text: str
    gold: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A note, what was found in it, and its list, best first."""

    note: CodedNote
    analysis: Analysis
    codes: tuple[str, ...]


class Cause(StrEnum):
    """Why a gold code is not on the list."""

    NOT_IN_YEAR = "not in the loaded year"
    CONTEXT = "wrong context"
    """A mention leads to it, but is taken for denied, possible, past or another's."""
    UNSURE = "held back"
    """It is the first of a mention's suggestions, but too unsure or not of the kind that coders take."""
    CANDIDATE = "wrong candidate"
    """It is among a mention's suggestions, but not the first."""
    SIBLING = "wrong sibling"
    """The list has another code of its category."""
    MISSED = "entity missed or not linked"
    """The words of one of its names stand together in a sentence."""
    ABSENT = "not in text"
    """No sentence has the words of any of its names: implied, or said otherwise."""


def read_coded_notes(path: Path) -> list[CodedNote]:
    """Raises ``CorpusError`` naming file and line where a line is no such record."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a text may hold other separators of lines
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not a readable text file ({type(error).__name__})") from error
    notes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"{path}:{number}: not a JSON object ({error})") from error
        fields = data if isinstance(data, dict) else {}
        note_id, text, codes = (fields.get(name) for name in ("id", "text", "diagnosis_codes"))
        if not (
            isinstance(note_id, str | int)
            and isinstance(text, str)
            and isinstance(codes, list)
            and all(isinstance(code, str) for code in codes)
        ):
            raise CorpusError(f"{path}:{number}: needs 'id', 'text' and 'diagnosis_codes', a list of codes")
        notes.append(CodedNote(str(note_id), text, tuple(dict.fromkeys(code.upper() for code in codes))))
    if not notes:
        raise CorpusError(f"{path}: no records")
    return notes


def code_notes(
    notes: Sequence[CodedNote], pipeline: Pipeline, note_type: NoteType = NoteType.DISCHARGE_SUMMARY
) -> list[Scored]:
    """Every note through the pipeline. A note that fails has no codes, and its error is raised: it would hide in the
    figures."""
    scored = []
    with tqdm(total=len(notes), desc="coding notes", unit="note") as progress:
        for start in range(0, len(notes), NOTES_TOGETHER):
            batch = notes[start : start + NOTES_TOGETHER]
            results = pipeline.analyze_batch([Note(note.note_id, note.text, note_type) for note in batch])
            for note, result in zip(batch, results, strict=True):
                if isinstance(result, AnalysisError):
                    raise result
                scored.append(Scored(note, result, tuple(code.code for code in result.codes)))
            progress.update(len(batch))
    return scored


def coding_figures(scored: Sequence[Scored], terminology: Terminology) -> dict[str, Any]:
    """``code`` and ``category``: precision, recall, f1, map; ``n`` notes; ``gold`` codes and how many of them are not
    in the loaded year."""
    gold = [code for each in scored for code in each.note.gold]
    return {
        "code": _figures([(each.codes, each.note.gold) for each in scored]),
        "category": _figures([(_categories(each.codes), _categories(each.note.gold)) for each in scored]),
        "n": len(scored),
        "gold": len(gold),
        "not_in_year": sum(code not in terminology for code in gold),
        "not_billable_in_year": sum(code in terminology and not terminology.is_billable(code) for code in gold),
    }


def cause_counts(scored: Sequence[Scored], terminology: Terminology) -> dict[str, int]:
    """How many gold codes were missed for each cause, the most frequent first."""
    counts = Counter(cause for each in scored for _, cause in missed(each, terminology))
    return {cause.value: count for cause, count in counts.most_common()}


def missed(scored: Scored, terminology: Terminology) -> Iterable[tuple[str, Cause]]:
    """Each gold code that is not on the note's list, with the cause."""
    sentences: list[frozenset[str]] | None = None
    suggestions = [[c.code for c in entity.icd_codes] for entity in scored.analysis.entities]
    on_list = {index for code in scored.analysis.codes for index in code.evidence}
    for code in scored.note.gold:
        if code in scored.codes:
            continue
        firsts = [i for i, codes in enumerate(suggestions) if codes and codes[0] == code]
        if code not in terminology:
            yield code, Cause.NOT_IN_YEAR
        elif any(i not in on_list and _is_set_aside(scored.analysis, i) for i in firsts):
            yield code, Cause.CONTEXT
        elif firsts:
            yield code, Cause.UNSURE
        elif any(code in codes for codes in suggestions):
            yield code, Cause.CANDIDATE
        elif code[:3] in _categories(scored.codes):
            yield code, Cause.SIBLING
        else:
            if sentences is None:
                text = scored.note.text
                sentences = [meaning(text[s.start : s.end]) for s in split_sentences(text)]
            names = [meaning(name) for name in (terminology.title(code), *terminology.terms(code))]
            said = any(name and len(name & sentence) >= 0.75 * len(name) for name in names for sentence in sentences)
            yield code, Cause.MISSED if said else Cause.ABSENT


def _is_set_aside(analysis: Analysis, index: int) -> bool:
    assertion = analysis.entities[index].assertion
    return (assertion.certainty, assertion.temporality, assertion.experiencer) != ("affirmed", "current", "patient")


def _categories(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(code[:3] for code in codes))


def _figures(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Mapping[str, float]:
    hits = sum(len(set(found) & set(gold)) for found, gold in pairs)
    given, wanted = (sum(len(set(pair[side])) for pair in pairs) for side in (0, 1))
    precision, recall = (hits / total if total else 0.0 for total in (given, wanted))
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    mean = sum(average_precision(found, set(gold)) for found, gold in pairs) / len(pairs)
    return {"precision": precision, "recall": recall, "f1": f1, "map": mean}


def average_precision(ranked: Sequence[str], gold: set[str]) -> float:
    """Mean, over the gold codes, of the precision at the place where each was found; 0 for those that were not."""
    hits, total = 0, 0.0
    for place, code in enumerate(dict.fromkeys(ranked), 1):
        if code in gold:
            hits += 1
            total += hits / place
    return total / len(gold) if gold else 0.0

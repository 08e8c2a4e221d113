"""Codes of whole notes against gold ones: the figures by hand, and why each code is missed, case by case."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from clincode.errors import AnalysisError
from clincode.icd import Terminology
from clincode.pipeline import Pipeline
from clincode.types import Analysis, Assertion, Certainty, Experiencer, Note, NoteCode, NoteType, Temporality
from training.corpora import CorpusError
from training.evaluate_coding import (
    Cause,
    CodedNote,
    Scored,
    average_precision,
    cause_counts,
    code_notes,
    coding_figures,
    missed,
    read_coded_notes,
)

PLAIN = Assertion()
DENIED = Assertion(Certainty.NEGATED)
POSSIBLE = Assertion(Certainty.POSSIBLE)
PAST = Assertion(temporality=Temporality.HISTORICAL)
OF_FAMILY = Assertion(experiencer=Experiencer.FAMILY)


@pytest.mark.parametrize(
    ("ranked", "gold", "expected"),
    [
        ([], {"a"}, 0.0),
        (["a"], set(), 0.0),
        (["a"], {"a"}, 1.0),
        (["b", "a"], {"a"}, 1 / 2),
        (["a", "b", "c"], {"a", "c"}, (1 + 2 / 3) / 2),
        (["a"], {"a", "b", "c", "d"}, 1 / 4),
        (["b", "b", "a"], {"a"}, 1 / 2),  # the second place: a code is counted once
        (["a", "a"], {"a", "b"}, 1 / 2),
    ],
)
def test_average_precision(ranked: list[str], gold: set[str], expected: float) -> None:
    assert average_precision(ranked, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("notes", "code", "category"),
    [
        # (gold, list) of each note; precision, recall, f1, map
        ([("I10", "I10")], (1, 1, 1, 1), (1, 1, 1, 1)),
        ([("I10", "")], (0, 0, 0, 0), (0, 0, 0, 0)),
        ([("", "I10")], (0, 0, 0, 0), (0, 0, 0, 0)),
        # the code is wrong, its category right
        ([("I21.9", "I21.4")], (0, 0, 0, 0), (1, 1, 1, 1)),
        # two codes of one category are one category
        ([("I21.9 I10", "I21.4 I21.9")], (1 / 2, 1 / 2, 1 / 2, 1 / 4), (1, 1 / 2, 2 / 3, 1 / 2)),
        # micro: codes of all notes are one heap; MAP: each note weighs the same
        (
            [("I10 I50.9 E11.9", "I50.9 I10 E11.9"), ("I10", "I21.9")],
            (3 / 4, 3 / 4, 3 / 4, 1 / 2),
            (3 / 4, 3 / 4, 3 / 4, 1 / 2),
        ),
    ],
)
def test_figures(
    coded_as: Callable[..., Scored],
    small: Terminology,
    notes: list[tuple[str, str]],
    code: tuple[float, ...],
    category: tuple[float, ...],
) -> None:
    figures = coding_figures([coded_as(gold.split(), found.split()) for gold, found in notes], small)
    for level, expected in (("code", code), ("category", category)):
        assert tuple(figures[level].values()) == pytest.approx(expected), level
    assert tuple(figures["code"]) == ("precision", "recall", "f1", "map")
    assert figures["n"] == len(notes)


def test_codes_that_cannot_be_found_are_counted(coded_as: Callable[..., Scored], small: Terminology) -> None:
    figures = coding_figures(
        [coded_as(["I21", "Z99.9", "I10"], []), coded_as(["Z99.9", "S52.5", "S52.501A"], [])], small
    )
    assert (figures["gold"], figures["not_in_year"], figures["not_billable_in_year"]) == (6, 3, 2)


CAUSES = [
    # gold code, list, mentions, text → cause
    ("Z99.9", "", [("dialysis", ["Z99.9"], DENIED)], "Dialysis.", Cause.NOT_IN_YEAR),
    ("I50.9", "", [("CHF", ["I50.9"], DENIED)], "Heart failure.", Cause.CONTEXT),
    ("I50.9", "", [("CHF", ["I50.9"], POSSIBLE)], "He fell.", Cause.CONTEXT),
    ("I50.9", "", [("CHF", ["I50.9"], PAST)], "He fell.", Cause.CONTEXT),
    ("I50.9", "", [("CHF", ["I50.9"], OF_FAMILY)], "He fell.", Cause.CONTEXT),
    ("I50.9", "", [("CHF", ["I50.9"], PLAIN), ("CHF", ["I50.9"], DENIED)], "He fell.", Cause.CONTEXT),
    ("I50.9", "I50", [("CHF", ["I50.9"], PLAIN)], "Heart failure.", Cause.UNSURE),
    ("I50.9", "", [("CHF", ["I10", "I50.9"], PLAIN), ("CHF", ["I50.9"], PLAIN)], "He fell.", Cause.UNSURE),
    ("I50.9", "I10", [("CHF", ["I10", "I50.9"], PLAIN)], "Heart failure.", Cause.CANDIDATE),
    ("I50.9", "I50", [("CHF", ["I10", "I50.9"], DENIED)], "He fell.", Cause.CANDIDATE),
    ("I21.9", "I21.4", [("NSTEMI", ["I21.4"], PLAIN)], "Acute myocardial infarction.", Cause.SIBLING),
    ("I21.9", "", [], "Had an ACUTE myocardial infarction today.", Cause.MISSED),
    ("I21.9", "", [], "The infarction, myocardial, was acute.", Cause.MISSED),
    ("I50.9", "", [("x", [], PLAIN)], "In cardiac failure.", Cause.MISSED),  # by an inclusion term
    ("S52.5", "", [], "Fracture of the lower radius.", Cause.MISSED),  # three of four words
    ("S52.5", "", [], "Fracture of the radius.", Cause.ABSENT),
    ("I21.9", "", [], "Acute pain. No myocardial disease. Infarction of bone.", Cause.ABSENT),  # not in one sentence
    ("I50.9", "I10", [("high blood pressure", ["I10"], PLAIN)], "He fell.", Cause.ABSENT),
]


@pytest.mark.parametrize(("gold", "codes", "found", "text", "cause"), CAUSES)
def test_causes(
    coded_as: Callable[..., Scored],
    small: Terminology,
    gold: str,
    codes: str,
    found: list[Any],
    text: str,
    cause: Cause,
) -> None:
    assert list(missed(coded_as([gold], codes.split(), found, text), small)) == [(gold, cause)]


def test_every_cause_is_asked_for() -> None:
    assert {cause for *_, cause in CAUSES} == set(Cause)


def test_a_mention_that_gave_a_listed_code_is_not_set_aside(
    coded_as: Callable[..., Scored], small: Terminology
) -> None:
    """A disease of the past whose mention became a code of history was seen as it is."""
    each = coded_as(["I50.9"], [], [("heart failure", ["I50.9"], PAST)])
    history = Analysis(each.analysis.note, each.analysis.entities, (NoteCode("Z86.79", "", 0.9, (0,)),))
    assert list(missed(Scored(each.note, history, ("Z86.79",)), small)) == [("I50.9", Cause.UNSURE)]


def test_what_is_on_the_list_is_not_missed(coded_as: Callable[..., Scored], small: Terminology) -> None:
    each = coded_as(["I10", "Z99.9", "I50.9"], ["Z99.9", "I10"], text="Cardiac failure.")
    assert list(missed(each, small)) == [("I50.9", Cause.MISSED)]


def test_causes_are_counted_the_most_frequent_first(coded_as: Callable[..., Scored], small: Terminology) -> None:
    notes = [coded_as(["I21.9"], ["I21.4"]), coded_as(["I10", "I50.9"], []), coded_as(["I10"], ["I10"])]
    assert list(cause_counts(notes, small).items()) == [("not in text", 2), ("wrong sibling", 1)]


def record(**changes: object) -> dict[str, object]:
    return {"id": "a", "text": "He fell.", "diagnosis_codes": ["i10"], **changes}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_records_are_read_with_codes_in_capitals_and_once(tmp_path: Path) -> None:
    lines = [
        json.dumps(record(diagnosis_codes=["i10", "s52.501a", "I10"], procedure_codes=["x"])),
        "  ",
        json.dumps(record(id=7, text="A\u2028B\x85C", diagnosis_codes=[]), ensure_ascii=False),
    ]
    assert read_coded_notes(write(tmp_path / "notes.jsonl", *lines)) == [
        CodedNote("a", "He fell.", ("I10", "S52.501A")),
        CodedNote("7", "A\u2028B\x85C", ()),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        json.dumps({"id": "a", "text": "x"}),
        json.dumps({"text": "x", "diagnosis_codes": []}),
        json.dumps(record(id=None)),
        json.dumps(record(text=None)),
        json.dumps(record(text=["x"])),
        json.dumps(record(diagnosis_codes="I10")),
        json.dumps(record(diagnosis_codes=[10])),
    ],
)
def test_a_broken_record_is_named_without_its_text(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "notes.jsonl", json.dumps(record()), "", line)
    with pytest.raises(CorpusError, match=r"notes\.jsonl:3: ") as raised:
        read_coded_notes(path)
    assert "He fell" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "not a readable"), (b"\xff\xfe", "not a readable"), (b"\n", "no records")]
)
def test_a_file_that_holds_nothing_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "notes.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=rf"notes\.jsonl: {message}"):
        read_coded_notes(path)


class FakePipeline:
    """Says what each note is given; a note called "broken" fails."""

    def __init__(self) -> None:
        self.batches: list[list[Note]] = []

    def analyze_batch(self, notes: Sequence[Note]) -> list[Analysis | AnalysisError]:
        self.batches.append(list(notes))
        return [
            AnalysisError("codes", "KeyError at coder.py:1")
            if note.note_id == "broken"
            else Analysis(note, (), (NoteCode(note.text, "", 0.9, ()), NoteCode("I10", "", 0.5, ())))
            for note in notes
        ]


def test_notes_are_coded_in_their_order() -> None:
    notes = [CodedNote(str(i), f"I{i}", ()) for i in range(6)]
    pipeline = FakePipeline()
    scored = code_notes(notes, cast(Pipeline, pipeline), NoteType.OPERATIVE_REPORT)
    assert [each.note for each in scored] == notes
    assert [each.codes for each in scored] == [(f"I{i}", "I10") for i in range(6)]
    assert [len(batch) for batch in pipeline.batches] == [4, 2]
    assert {note.note_type for batch in pipeline.batches for note in batch} == {NoteType.OPERATIVE_REPORT}


def test_a_note_that_fails_is_not_passed_over() -> None:
    with pytest.raises(AnalysisError):
        code_notes([CodedNote("a", "x", ()), CodedNote("broken", "x", ())], cast(Pipeline, FakePipeline()))

"""Tables of written cases: how they are read, and what is asked of each."""

from pathlib import Path
from typing import cast

import pytest

from clincode.labels import EntityType
from clincode.pipeline import Pipeline
from clincode.types import Analysis, Assertion, CodeCandidate, Entity, Note, NoteCode, NoteType, Span
from training.coding_cases import CodingCase, CodingOutcome, read_coding_cases, run_coding_cases
from training.corpora import CorpusError

HEADER = "category\tnote_type\ttext\tfirst\talso\tnever"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "cases.tsv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_cases_are_read(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        'lay\tprogress_note\tSaid "ouch.\\nFell.\tI21.9|I21.4\tI10|Z99.2\tI50|N18',
        "none\toperative_report\tWell.\t-\t\t",
    )
    assert read_coding_cases(path) == [
        CodingCase(
            2, "lay", NoteType.PROGRESS_NOTE, 'Said "ouch.\nFell.', ("I21.9", "I21.4"), ("I10", "Z99.2"), ("I50", "N18")
        ),
        CodingCase(3, "none", NoteType.OPERATIVE_REPORT, "Well.", ("-",), (), ()),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("lay\tprogress_note\tgout\tM10.9\t", "5 columns, expected 6"),
        ("lay\tprogress_note\tgout\tM10.9\t\t\t", "7 columns, expected 6"),
        ("", "0 columns"),
        ("lay\tletter\tgout\tM10.9\t\t", "'letter' is no type of note"),
    ],
)
def test_a_broken_row_is_named_without_its_text(tmp_path: Path, row: str, message: str) -> None:
    path = table(tmp_path, "lay\tprogress_note\tgout\tM10.9\t\t", row, "lay\tprogress_note\tgout\tM10.9\t\t")
    with pytest.raises(CorpusError, match=rf"cases\.tsv:3: {message}") as raised:
        read_coding_cases(path)
    assert "gout" not in str(raised.value)


@pytest.mark.parametrize("header", ["category\tnote_type\ttext\tfirst\talso", f"{HEADER}\tmore", "text", ""])
def test_a_broken_header_is_named(tmp_path: Path, header: str) -> None:
    with pytest.raises(CorpusError, match=r"cases\.tsv:1: the header must be category note_type"):
        read_coding_cases(table(tmp_path, header=header))


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "cases.tsv").touch()
    with pytest.raises(CorpusError, match=r"cases\.tsv:1: "):
        read_coding_cases(tmp_path / "cases.tsv")
    with pytest.raises(OSError, match=r"absent\.tsv"):
        read_coding_cases(tmp_path / "absent.tsv")


def case(first: str, also: str = "", never: str = "") -> CodingCase:
    return CodingCase(
        2, "lay", NoteType.PROGRESS_NOTE, "x", tuple(first.split()), tuple(also.split()), tuple(never.split())
    )


@pytest.mark.parametrize(
    ("asked", "codes", "first_right", "missing", "forbidden"),
    [
        (case("I10 I11.9"), "I11.9 I10", True, "", ""),
        (case("I10"), "I11.9 I10", False, "", ""),
        (case("-"), "", True, "", ""),
        (case("-"), "I10", False, "", ""),
        (case("I10"), "", False, "", ""),
        (case("I10", "I50.9 N18.9"), "I10 N18.9", True, "I50.9", ""),
        (case("I10", never="I50 N18.9"), "I10 I50.9 N18.91 I5", True, "", "I50.9 N18.91"),
    ],
)
def test_outcomes(asked: CodingCase, codes: str, first_right: bool, missing: str, forbidden: str) -> None:
    outcome = CodingOutcome(asked, tuple(codes.split()), ())
    assert outcome.first_right is first_right
    assert outcome.missing == tuple(missing.split())
    assert outcome.forbidden == tuple(forbidden.split())


class FakePipeline:
    def analyze(self, note: Note) -> Analysis:
        suggested = (CodeCandidate("I10", "", 0.9), CodeCandidate("I11.9", "", 0.1))
        entities = tuple(
            Entity(word, Span(0, 1, EntityType.DIAGNOSIS, 1.0), Assertion(), None, suggested if word == "HTN" else ())
            for word in note.text.split()
        )
        return Analysis(
            note, entities, (NoteCode(note.note_type.value, "", 1.0, ()), NoteCode(note.note_id, "", 1.0, ()))
        )


def test_each_case_is_coded_as_its_type_of_note(tmp_path: Path) -> None:
    cases = read_coding_cases(table(tmp_path, "a\tprogress_note\tHTN gout\t-\t\t", "b\toperative_report\t\t-\t\t"))
    first, second = run_coding_cases(cases, cast(Pipeline, FakePipeline()))
    assert first == CodingOutcome(cases[0], ("progress_note", "case-2"), (("HTN", "I10"), ("gout", "-")))
    assert second == CodingOutcome(cases[1], ("operative_report", "case-3"), ())


def test_the_written_cases_can_be_read(root: Path) -> None:
    cases = read_coding_cases(root / "tests" / "coding" / "cases_a.tsv")
    assert len(cases) > 100
    assert all(case.first for case in cases)

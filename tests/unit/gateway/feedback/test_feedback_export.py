"""An export has what was decided and nothing else, and training reads it."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feedback_samples import ACCEPTED, DECISIONS, JOHN, MARIA, TEXT, V1, V2, place

from gateway.feedback import export as module
from gateway.feedback.export import Filters, count_notes, export_examples, read_examples, to_line
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from training.corpora import GUIDELINES, read_jsonl

Add = Callable[..., str]
Decide = Callable[..., None]
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def ids(database: Database, **filters: Any) -> list[int]:
    """The last digits of the ids, in the export's order."""
    return [int(each["id"][-4:]) for each in read_examples(database, Filters(**filters))]


@pytest.fixture
def example(add_note: Add, decide: Decide, database: Database) -> dict[str, Any]:
    decide(add_note(), DECISIONS)
    (only,) = read_examples(database, Filters())
    return only


def test_exactly_the_decisions_in_order(example: dict[str, Any]) -> None:
    made = example["decisions"]
    assert [each["number"] for each in made] == list(range(1, len(DECISIONS) + 1))
    assert {each["by"] for each in made} == {"user:maria"}
    assert [each["kind"] for each in made] == [each["kind"] for each in DECISIONS]
    bodies = [{k: v for k, v in each["body"].items() if k != "known"} for each in made]
    assert bodies[:-1] == list(DECISIONS[:-1])
    assert made[1]["body"]["known"] == {"title": "title of R07.89"}
    assert all(datetime.fromisoformat(each["at"]).tzinfo for each in made)


def test_a_comments_identifiers_are_masked(example: dict[str, Any]) -> None:
    comment = example["decisions"][-1]["body"]["comment"]
    assert len(comment) == len(DECISIONS[-1]["comment"])
    assert "Goldberg" not in comment
    assert "03/04/2026" not in comment


def test_codes_and_their_verdicts(example: dict[str, Any]) -> None:
    names = ("code", "verdict", "replaced_by", "reason", "by")
    assert [tuple(each[name] for name in names) for each in example["codes_suggested"]] == [
        ("E11.9", "accepted", None, None, "user:maria"),
        ("R07.9", "replaced", "R07.89", None, "user:maria"),
        ("Z79.84", "rejected", None, "not_documented", "user:maria"),
    ]
    assert example["codes_added"] == [{"code": "I10", "by": "user:maria"}]
    assert example["codes"] == [
        {"code": "E11.9", "suggested": "E11.9", "evidence": ["0"]},
        {"code": "R07.89", "suggested": "R07.9", "evidence": ["1"]},
        {"code": "I10", "suggested": None, "evidence": ["0"]},
    ]


def test_entities_and_their_verdicts(example: dict[str, Any]) -> None:
    suggested = [(each["key"], each["verdict"]) for each in example["entities_suggested"]]
    assert suggested == [
        ("0", "accepted"),
        ("1", "corrected"),
        ("2", "rejected"),
        ("3", "corrected"),
        ("4", "unreviewed"),
    ]
    assert [TEXT[each["start"] : each["end"]] for each in example["entities_suggested"]] == [
        *("Type 2 diabetes", "chest pain", "Metformin 500 mg", "MRI", "left knee")
    ]
    assert example["entities_suggested"][0]["icd_codes"] == [{"code": "E11.9", "confidence": 0.8}]
    names = ("key", "type", "certainty", "verdict")
    final = [
        (TEXT[each["start"] : each["end"]], *(each[name] for name in names))
        for each in [*example["entities"], *example["entities_overlapping"]]
    ]
    assert final == [
        ("Type 2 diabetes", "0", "DIAGNOSIS", "affirmed", "accepted"),
        ("chest pain", "1", "DIAGNOSIS", "possible", "corrected"),
        ("Metformin", "d9", "MEDICATION", "affirmed", "added"),
        ("MRI of left knee", "3", "TEST", "affirmed", "corrected"),
        ("left knee", "4", "ANATOMY", "affirmed", "unreviewed"),
    ]
    assert len(example["entities_overlapping"]) == 1


def test_the_notes_own_fields(add_note: Add, decide: Decide, database: Database) -> None:
    note_id = add_note(department=None, route="canary")
    decide(note_id, DECISIONS[:2])
    decide(note_id, DECISIONS[2:], by=JOHN, at=NOVEMBER)
    (example,) = read_examples(database, Filters())
    expected = {"id": note_id, "text": TEXT, "note_type": "progress_note", "department": None, "source": "notes"}
    expected |= {"model_version": V1, "route": "canary"}
    assert {name: example[name] for name in expected} == expected
    assert example["reviewers"] == ["user:maria", "user:john"]
    assert datetime.fromisoformat(example["finished_at"]) == NOVEMBER


def test_training_reads_it_as_annotated_notes(example: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "reviewed.jsonl"
    path.write_text(to_line(example) + "\n", encoding="utf-8")
    first, second = read_jsonl(path, GUIDELINES["clincode"])
    assert list(zip(first.words, first.tags, strict=True)) == [
        *(("Type", "B-DIAG"), ("2", "I-DIAG"), ("diabetes", "I-DIAG"), (".", "O")),
        *(("Denies", "O"), ("chest", "B-DIAG"), ("pain", "I-DIAG"), (".", "O")),
        *(("Metformin", "B-MED"), ("500", "O"), ("mg", "O"), ("given", "O"), (".", "O")),
    ]
    assert list(zip(second.words, second.tags, strict=True)) == [
        *(("🩺", "O"), ("MRI", "B-TEST"), ("of", "I-TEST"), ("left", "I-TEST"), ("knee", "I-TEST")),
        *(("normal", "O"), (".", "O")),
    ]


def test_a_coders_short_span_goes_before_a_long_one_that_nobody_saw(
    add_note: Add, decide: Decide, database: Database
) -> None:
    start, end = place("diabetes")
    short = {"kind": "add_entity", "start_char": start, "end_char": end, "type": "ANATOMY"}
    decide(add_note(), [short, *ACCEPTED])
    (example,) = read_examples(database, Filters())
    assert [each["key"] for each in example["entities_overlapping"]] == ["0"]
    assert "d1" in {each["key"] for each in example["entities"]}


def test_what_was_taken_back_is_not_a_verdict(add_note: Add, decide: Decide, database: Database) -> None:
    taken_back = [{"kind": "reject_entity", "entity": "0"}, {"kind": "clear", "target": "entity:0"}, *ACCEPTED]
    decide(add_note(), taken_back)
    (example,) = read_examples(database, Filters())
    assert example["entities_suggested"][0]["verdict"] == "unreviewed"
    assert [each["kind"] for each in example["decisions"][:2]] == ["reject_entity", "clear"]


@pytest.fixture
def four(add_note: Add, decide: Decide) -> None:
    """Finished on the 3rd, the 1st and the 2nd, and one in review, one not opened, one without an answer."""
    for number, day in enumerate((3, 1, 2)):
        note_id = add_note(department=("cardiology", "surgery", None)[number], model_version=(V1, V2, V2)[number])
        decide(note_id, ACCEPTED, at=NOVEMBER + timedelta(days=day - 1))
    decide(add_note(), DECISIONS[:3])
    add_note()
    add_note(state="dead", answer=None, model_version=None)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [2, 3, 1]),
        ({"since": NOVEMBER + timedelta(days=1)}, [3, 1]),
        ({"until": NOVEMBER + timedelta(days=1)}, [2]),
        ({"since": NOVEMBER, "until": NOVEMBER + timedelta(days=2)}, [2, 3]),
        ({"department": "surgery"}, [2]),
        ({"model_version": V2}, [2, 3]),
        ({"model_version": V2, "department": "cardiology"}, []),
        ({"unfinished": True}, [2, 3, 1, 4]),
        ({"complete": True}, []),
    ],
)
def test_filters_and_order(four: None, database: Database, filters: dict[str, Any], expected: list[int]) -> None:
    assert ids(database, **filters) == expected
    assert count_notes(database, Filters(**filters)) >= len(expected)


def test_notes_that_are_decided_whole(add_note: Add, decide: Decide, database: Database) -> None:
    decide(add_note(), ACCEPTED)
    seen = [{"kind": "accept_entity", "entity": str(i)} for i in range(5)]
    decide(add_note(), [*seen, *ACCEPTED])
    assert ids(database, complete=True) == [2]


def test_a_reopened_note_is_unfinished(add_note: Add, decide: Decide, database: Database) -> None:
    decide(add_note(), [*ACCEPTED, {"kind": "reopen"}])
    assert ids(database) == []
    (example,) = read_examples(database, Filters(unfinished=True))
    assert example["finished_at"] is None


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="end after"):
        Filters(since=NOVEMBER, until=NOVEMBER)


def test_notes_at_one_time_come_by_id_over_many_batches(
    add_note: Add, decide: Decide, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for _ in range(5):
        decide(add_note(), ACCEPTED, at=NOVEMBER)
    assert ids(database) == [1, 2, 3, 4, 5]


def test_what_is_decided_meanwhile_is_not_in_it(
    add_note: Add, decide: Decide, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    for _ in range(2):
        decide(add_note(), ACCEPTED)
    with closing(read_examples(database, Filters())) as examples:
        next(examples)
        decide("00000000-0000-0000-0000-000000000002", [{"kind": "reopen"}])
        second = next(examples)
    assert second["finished_at"] is not None
    assert second["decisions"][-1]["kind"] == "finish"


def test_an_export_is_audited(
    four: None, database: Database, audit: Audit, feedback_lines: Callable[[], list[Any]]
) -> None:
    filters = Filters(since=NOVEMBER, model_version=V2)
    assert len(list(export_examples(database, audit, MARIA, filters))) == 2
    asked = {"since": "2026-11-01T00:00:00+00:00", "model_version": V2}
    assert feedback_lines() == [
        ("user:maria", "feedback.export_started", {"filters": asked}),
        ("user:maria", "feedback.exported", {"filters": asked, "notes": 2, "decisions": 8, "whole": True}),
    ]
    with database.reading() as session:
        assert audit.verify(session).broken_at is None


def test_an_export_that_stops_early_is_audited_too(
    four: None, database: Database, audit: Audit, feedback_lines: Callable[[], list[Any]]
) -> None:
    with closing(export_examples(database, audit, "cli", Filters())) as examples:
        next(examples)
    assert feedback_lines()[-1][2] == {"filters": {}, "notes": 1, "decisions": 4, "whole": False}


def test_a_line_is_one_line() -> None:
    record = {"text": "a\nb\r\u2028c 🩺"}
    assert len(to_line(record).split("\n")) == 1
    assert "🩺" in to_line(record)
    assert json.loads(to_line(record)) == record

"""Figures for a supervisor, on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from review_samples import MARIA

from gateway.review.overview import Acceptance, percentile, read_overview
from gateway.review.store import ReviewStore
from gateway.storage.database import Database
from gateway.storage.tables import NoteRow

Add = Callable[..., str]
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([3], 0.95, 3), ([1, 2], 0.5, 1), ([1, 2, 3], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_what_became_of_the_suggestions(store: ReviewStore, add_note: Add, finish: Callable[..., None]) -> None:
    first, second, unfinished = add_note(), add_note(), add_note()
    finish(
        first,
        {"kind": "accept_code", "code": "E11.22"},
        {"kind": "reject_code", "code": "E11.22"},
        {"kind": "replace_code", "code": "N18.9", "new_code": "N18.4"},
        {"kind": "add_code", "code": "I10", "evidence": []},
        {"kind": "add_code", "code": "I48.91", "evidence": []},
        {"kind": "clear", "target": "code:I48.91"},
        {"kind": "accept_entity", "entity": "0"},
        {"kind": "change_type", "entity": "1", "type": "ANATOMY"},
        {"kind": "reject_entity", "entity": "3"},
        {"kind": "add_entity", "start_char": 0, "end_char": 6, "type": "TEST"},
        {"kind": "change_span", "entity": "d10", "start_char": 0, "end_char": 4},
        {"kind": "add_entity", "start_char": 0, "end_char": 6, "type": "TEST"},
        {"kind": "clear", "target": "entity:d12"},
        {"kind": "accept_entity", "entity": "2"},
        {"kind": "clear", "target": "entity:2"},
    )
    finish(second)
    store.open(unfinished, MARIA)
    found = store.overview(7, now=NOW)
    assert found.codes == (
        Acceptance("E11.22", 1, 0, 1, 0),
        Acceptance("N18.9", 1, 1, 0, 0),
        Acceptance("Z80.0", 2, 0, 0, 0),
        Acceptance("I10", 0, 0, 0, 1),
    )
    assert found.all_codes == Acceptance("all codes", 4, 1, 1, 1)
    assert found.entities == (
        Acceptance("DIAGNOSIS", 1, 1, 0, 0),
        Acceptance("MEDICATION", 0, 0, 1, 0),
        Acceptance("TEST", 0, 0, 0, 1),
    )
    assert found.codes[0].rate == 0.5
    assert found.codes[-1].rate is None


def test_days_latencies_and_backlog(database: Database, store: ReviewStore, add_note: Add) -> None:
    noon = NOW.replace(hour=12, minute=0, second=0, microsecond=0)
    for seconds in (1, 3):
        add_note(
            received_at=noon - timedelta(days=1),
            answered_at=noon - timedelta(days=1) + timedelta(seconds=seconds),
            opened_at=noon - timedelta(minutes=10),
            finished_at=noon,
            review_state="finished",
        )
    add_note(received_at=noon - timedelta(hours=1), urgent=True)
    add_note(received_at=noon - timedelta(hours=30), review_state="in_review")
    add_note(received_at=noon - timedelta(days=9), answered_at=noon - timedelta(days=9))
    add_note(received_at=noon, state="queued", answer=None, answered_at=None)
    add_note(received_at=noon, state="dead", answer=None, answered_at=None)
    with database.reading() as session:
        found = read_overview(session, 3, noon)
        assert session.query(NoteRow).count() == 7
    assert [day.day for day in found.days] == [(noon - timedelta(days=i)).date() for i in (2, 1, 0)]
    assert [day.finished for day in found.days] == [0, 0, 2]
    assert [(day.answer_p50, day.answer_p95) for day in found.days][1] == (1, 3)
    assert (found.review.count, found.review.p50) == (2, 600)
    assert [line.total for line in found.backlog] == [1, 0, 1, 1]
    assert found.backlog[0].urgent_open == 1
    assert found.backlog[2].in_review == 1
    assert (found.waiting, found.dead) == (1, 1)

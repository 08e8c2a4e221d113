"""Opening notes, deciding on them and the order in which they come, on SQLite and PostgreSQL."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from review_samples import JOHN, MARIA
from sqlalchemy import select

from gateway.errors import GatewayError
from gateway.review.decisions import parse_decision
from gateway.review.store import ChangedMeanwhileError, ReviewStore
from gateway.review.worklist import PAGE_SIZE, Filters
from gateway.security.permissions import Permission, Principal, Role
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import AuditRow, DecisionRow, NoteRow

Add = Callable[..., str]
ACCEPT = parse_decision({"kind": "accept_code", "code": "E11.22"})
REJECT = parse_decision({"kind": "reject_code", "code": "N18.9", "reason": "integral"})


def _lines(database: Database) -> list[AuditRow]:
    with database.reading() as session:
        return list(session.scalars(select(AuditRow).order_by(AuditRow.number)))


def test_the_first_who_opens_is_the_reviewer(store: ReviewStore, add_note: Add, database: Database) -> None:
    note_id = add_note()
    first, second = store.open(note_id, MARIA), store.open(note_id, JOHN)
    assert (first.note.review_state, first.note.reviewer) == ("in_review", "user:maria")
    assert (second.note.reviewer, second.note.opened_at) == ("user:maria", first.note.opened_at)
    assert [(line.actor, line.action, line.subject) for line in _lines(database)] == [
        ("user:maria", "note.viewed", f"note:{note_id}"),
        ("user:john", "note.viewed", f"note:{note_id}"),
    ]


def test_who_may_not_review_does_not_take_it(store: ReviewStore, add_note: Add) -> None:
    reader = Principal("user:eve", Role.CODER, frozenset({Permission.NOTES_READ}))
    assert store.open(add_note(), reader).note.review_state == "open"


@pytest.mark.parametrize("values", [{"state": "queued", "answer": None}, {"state": "dead", "answer": None}])
def test_a_note_without_an_answer_is_not_there(store: ReviewStore, add_note: Add, values: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        store.open(add_note(**values), MARIA)
    assert caught.value.status == 404


def test_decisions_are_numbered_and_kept(store: ReviewStore, add_note: Add, database: Database) -> None:
    note_id = add_note()
    store.decide(note_id, MARIA, ACCEPT, 0)
    state = store.decide(note_id, JOHN, REJECT, 1)
    assert (state.version, state.last_by) == (2, "user:john")
    assert store.read(note_id).state == state
    with database.reading() as session:
        rows = list(session.scalars(select(DecisionRow).order_by(DecisionRow.number)))
        note = session.get_one(NoteRow, note_id)
    assert [(row.number, row.by, row.kind) for row in rows] == [
        (1, "user:maria", "accept_code"),
        (2, "user:john", "reject_code"),
    ]
    assert (note.review_state, note.review_version, note.reviewer) == ("in_review", 2, "user:john")


def test_an_old_version_is_refused_and_says_who(store: ReviewStore, add_note: Add, database: Database) -> None:
    note_id = add_note()
    store.decide(note_id, MARIA, ACCEPT, 0)
    with pytest.raises(ChangedMeanwhileError) as caught:
        store.decide(note_id, JOHN, REJECT, 0)
    assert (caught.value.status, caught.value.by, caught.value.version) == (409, "user:maria", 1)
    assert [line.actor for line in _lines(database)] == ["user:maria"]


def test_of_two_at_once_one_wins(store: ReviewStore, add_note: Add) -> None:
    note_id = add_note()

    def decide(who: Principal) -> bool:
        try:
            store.decide(note_id, who, ACCEPT, 0)
        except ChangedMeanwhileError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(decide, [MARIA, JOHN] * 4))
    assert sum(done) == 1
    assert store.read(note_id).state.version == 1


def test_a_new_code_is_kept_with_its_title(store: ReviewStore, add_note: Add) -> None:
    note_id = add_note()
    replaced = {"kind": "replace_code", "code": "E11.22", "new_code": "E11.21"}
    store.decide(note_id, MARIA, parse_decision(replaced), 0)
    added = {"kind": "add_code", "code": "I10", "evidence": ["0"]}
    codes = store.decide(note_id, MARIA, parse_decision(added), 1).codes
    assert codes[0].new_description == "Type 2 diabetes mellitus with diabetic nephropathy"
    assert codes[-1].description == "Essential (primary) hypertension"


def test_finish_and_reopen(store: ReviewStore, add_note: Add, finish: Callable[..., None]) -> None:
    note_id = add_note()
    finish(note_id)
    note = store.read(note_id).note
    assert note.review_state == "finished"
    assert note.finished_at is not None
    store.decide(note_id, MARIA, parse_decision({"kind": "reopen"}), note.review_version)
    note = store.read(note_id).note
    assert (note.review_state, note.finished_at) == ("in_review", None)


def test_the_audit_log_knows_codes_and_offsets_and_no_text(
    store: ReviewStore, add_note: Add, database: Database, audit: Audit
) -> None:
    note_id = add_note()
    decisions: list[dict[str, Any]] = [
        {"kind": "accept_code", "code": "E11.22"},
        {"kind": "reject_code", "code": "N18.9", "reason": "integral"},
        {"kind": "replace_code", "code": "Z80.0", "new_code": "Z80.9"},
        {"kind": "change_span", "entity": "0", "start_char": 7, "end_char": 15},
        {"kind": "add_entity", "start_char": 0, "end_char": 6, "type": "TEST"},
        {"kind": "clear", "target": "entity:d5"},
        {"kind": "finish", "comment": "ask Doctor Miller about the Metformin"},
    ]
    for version, decision in enumerate(decisions):
        store.decide(note_id, MARIA, parse_decision(decision), version)
    lines = _lines(database)
    kept = " ".join(f"{line.before} {line.after}" for line in lines)
    for words in ("diabetes", "kidney", "Metformin", "Miller", "colon"):
        assert words not in kept
    before, after = json.loads(lines[3].before or ""), json.loads(lines[3].after or "")
    assert (before["start_char"], after["start_char"], after["decision"]) == (0, 7, 4)
    assert lines[4].before is None
    assert json.loads(lines[4].after or "")["entity"] == "d5"
    assert json.loads(lines[5].before or "")["entity"] == "d5"
    assert lines[6].action == "review.finished"
    assert json.loads(lines[6].after or "") == {
        "decision": 7,
        "kind": "finish",
        "finished": True,
        "codes": ["E11.22", "Z80.9"],
        "has_comment": True,
    }
    with database.reading() as session:
        assert audit.verify(session).broken_at is None


# -- worklist --


def test_urgent_first_then_the_oldest(store: ReviewStore, add_note: Add) -> None:
    plain, late_urgent, last = add_note(), add_note(urgent=True), add_note()
    page = store.worklist(Filters())
    assert [entry.id for entry in page.entries] == [late_urgent, plain, last]
    assert page.entries[0].codes == 3
    assert (page.total, page.pages, page.open) == (3, 1, 3)


FILTERS: list[tuple[Filters, list[int]]] = [
    (Filters(), [1, 2, 3]),
    (Filters(stage="finished"), [0]),
    (Filters(stage="all"), [0, 1, 2, 3]),
    (Filters(stage="open"), [2, 3]),
    (Filters(stage="in_review"), [1]),
    (Filters(department="ICU"), [2]),
    (Filters(department="nowhere"), []),
    (Filters(below=0.5), [2]),
    (Filters(above=0.5), [1]),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_filters(
    store: ReviewStore, add_note: Add, finish: Callable[..., None], filters: Filters, expected: list[int]
) -> None:
    ids = [
        add_note(),
        add_note(),
        add_note(department="ICU", lowest_confidence=0.2),
        add_note(lowest_confidence=None, answer={"entities": [], "codes": []}),
    ]
    add_note(state="queued", answer=None)
    add_note(state="dead", answer=None)
    finish(ids[0])
    store.open(ids[1], MARIA)
    page = store.worklist(filters)
    assert [ids.index(entry.id) for entry in page.entries] == expected
    assert (page.open, page.in_review, page.finished, page.waiting, page.dead) == (2, 1, 1, 1, 1)
    assert store.departments() == ["ICU"]


def test_pages(store: ReviewStore, add_note: Add) -> None:
    ids = [add_note() for _ in range(PAGE_SIZE + 1)]
    second = store.worklist(Filters(), 2)
    assert ([entry.id for entry in second.entries], second.number, second.pages) == ([ids[-1]], 2, 2)
    assert store.worklist(Filters(), 99).number == 2
    assert store.worklist(Filters(), -1).number == 1


def test_the_next_note(store: ReviewStore, add_note: Add, finish: Callable[..., None]) -> None:
    first, second, urgent, done = add_note(), add_note(), add_note(urgent=True), add_note()
    finish(done)
    assert store.next_note(MARIA) == urgent
    assert store.next_note(MARIA, urgent) == first
    assert store.next_note(MARIA, first) == second
    assert store.next_note(MARIA, second) == urgent
    store.open(urgent, JOHN)
    assert store.next_note(MARIA, second) == first
    assert store.next_note(JOHN, second) == urgent
    finish(first)
    finish(second)
    assert store.next_note(MARIA, "no such note") is None
    assert store.next_note(JOHN, urgent) is None

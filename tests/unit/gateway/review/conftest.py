"""A note, an answer to it, decisions on it, and a store on an empty database."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from review_samples import MARIA, RECEIVED, TEXT, make_answer

from gateway.codes import CodePicker
from gateway.review.decisions import Made, parse_decision
from gateway.review.state import ReviewState, review_state
from gateway.review.store import ReviewStore
from gateway.security.permissions import Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import NoteRow


@pytest.fixture
def answer() -> dict[str, Any]:
    return make_answer()


@pytest.fixture
def after(answer: dict[str, Any]) -> Callable[..., ReviewState]:
    """The state after decisions as JSON, numbered from 1."""

    def state(*decisions: dict[str, Any]) -> ReviewState:
        made = [
            Made(i, "user:maria", RECEIVED, parse_decision(each), "a new title") for i, each in enumerate(decisions, 1)
        ]
        return review_state(answer, TEXT, made)

    return state


@pytest.fixture(scope="session")
def codes() -> CodePicker:
    """The classification, built once and before anybody waits for it."""
    picker = CodePicker()
    picker.search("I10")
    return picker


@pytest.fixture
def store(database: Database, audit: Audit, codes: CodePicker) -> ReviewStore:
    return ReviewStore(database, audit, codes)


@pytest.fixture
def add_note(database: Database) -> Callable[..., str]:
    """Puts an answered note into the database; each is received a minute after the one before."""
    added: list[str] = []

    def add(**values: Any) -> str:
        number = len(added) + 1
        note = {
            "id": str(UUID(int=number)),
            "sent_id": str(UUID(int=number)),
            "text": TEXT,
            "text_mac": "0" * 64,
            "redactions": [],
            "note_type": "progress_note",
            "urgent": False,
            "source": "notes",
            "received_at": RECEIVED + timedelta(minutes=number),
            "received_by": "key:ehr",
            "state": "done",
            "answer": make_answer(),
            "answered_at": RECEIVED + timedelta(minutes=number, seconds=2),
            "model_version": "bert-clinical-ner-v1.0.0",
            "lowest_confidence": 0.6,
            **values,
        }
        with database.transaction() as session:
            session.add(NoteRow(**note))
        added.append(note["id"])
        return str(note["id"])

    return add


@pytest.fixture
def finish(store: ReviewStore) -> Callable[..., None]:
    """Makes decisions on a note, accepts the codes that are left, and finishes it."""

    def run(note_id: str, *decisions: dict[str, Any], by: Principal = MARIA) -> None:
        state = store.open(note_id, by).state
        for each in decisions:
            state = store.decide(note_id, by, parse_decision(each), state.version)
        for code in state.undecided_codes:
            accept = parse_decision({"kind": "accept_code", "code": code.code})
            state = store.decide(note_id, by, accept, state.version)
        store.decide(note_id, by, parse_decision({"kind": "finish"}), state.version)

    return run

"""Answered notes on both databases, and decisions on them by the store that coders use."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from feedback_samples import ANSWERED, MARIA, TEXT, V1, make_answer
from sqlalchemy import select, update

from gateway.review.decisions import parse_decision
from gateway.review.store import ReviewStore
from gateway.security.permissions import Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import AuditRow, NoteRow


class Titles:
    """A classification that has every code."""

    def search(self, query: str, *, limit: int = 20) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002
        return []

    def describe(self, code: str) -> str | None:
        return f"title of {code}"

    def is_billable(self, code: str) -> bool:  # noqa: ARG002
        return True


@pytest.fixture
def store(database: Database, audit: Audit) -> ReviewStore:
    return ReviewStore(database, audit, Titles())


@pytest.fixture
def add_note(database: Database) -> Callable[..., str]:
    """Puts an answered note into the database; ids count up, times go on by a minute."""
    added: list[str] = []

    def add(**values: Any) -> str:
        number = len(added) + 1
        at = ANSWERED + timedelta(minutes=number)
        note = {
            "id": str(UUID(int=number)),
            "sent_id": str(UUID(int=number)),
            "text": TEXT,
            "text_mac": "0" * 64,
            "redactions": [],
            "note_type": "progress_note",
            "urgent": False,
            "department": "cardiology",
            "source": "notes",
            "received_at": at,
            "received_by": "key:ehr",
            "state": "done",
            "answer": make_answer(),
            "answered_at": at,
            "model_version": V1,
            "route": "main",
            "lowest_confidence": 0.55,
            **values,
        }
        with database.transaction() as session:
            session.add(NoteRow(**note))
        added.append(note["id"])
        return str(note["id"])

    return add


@pytest.fixture
def decide(store: ReviewStore, database: Database) -> Callable[..., None]:
    """Makes decisions on a note, in order; ``at`` is when it was finished."""

    def run(
        note_id: str, decisions: Sequence[Mapping[str, Any]], by: Principal = MARIA, at: datetime | None = None
    ) -> None:
        state = store.open(note_id, by).state
        for each in decisions:
            state = store.decide(note_id, by, parse_decision(dict(each)), state.version)
        if at is not None:
            with database.transaction() as session:
                session.execute(update(NoteRow).where(NoteRow.id == note_id).values(finished_at=at))

    return run


@pytest.fixture
def feedback_lines(database: Database) -> Callable[[], list[tuple[str, str, dict[str, Any]]]]:
    """Actor, action and what came after, of the audit lines of feedback."""

    def read() -> list[tuple[str, str, dict[str, Any]]]:
        query = select(AuditRow).where(AuditRow.subject == "feedback").order_by(AuditRow.number)
        with database.reading() as session:
            return [(row.actor, row.action, json.loads(row.after or "{}")) for row in session.scalars(query)]

    return read

"""What is past its time is deleted, what waits is not, and the log tells of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text, update

from clincode.types import Note
from gateway.security.permissions import LOCAL
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.notes import Intake, NoteStore
from gateway.storage.retention import Retention
from gateway.storage.tables import DecisionRow, DeliveryRow, NoteRow


def put(notes: NoteStore, database: Database, *, age_days: float, state: str) -> str:
    note = Note(str(uuid4()), "Sarcoidosis, stable.")
    notes.accept(note, Intake("notes", LOCAL, webhook_url="https://ehr.example/hook"))
    with database.transaction() as session:
        received = datetime.now(UTC) - timedelta(days=age_days)
        session.execute(update(NoteRow).where(NoteRow.id == note.note_id).values(state=state, received_at=received))
        session.add(
            DecisionRow(
                note_id=note.note_id, number=1, at=received, by="user:maria", kind="accept_code", body={"code": "D86.9"}
            )
        )
    return note.note_id


@pytest.mark.parametrize("state", ["done", "dead"])
def test_old_notes_go_with_all_that_hangs_on_them(
    notes: NoteStore, database: Database, audit: Audit, state: str
) -> None:
    put(notes, database, age_days=31, state=state)
    kept = put(notes, database, age_days=29, state=state)
    retention = Retention(database, audit, 30)
    assert retention.due() == 1
    assert retention.purge() == 1
    assert notes.get(kept).state == state
    with database.reading() as session:
        for table in (NoteRow, DecisionRow, DeliveryRow):
            assert session.execute(text(f"SELECT count(*) FROM {table.__tablename__}")).scalar() == 1
        assert session.execute(text("SELECT after FROM audit WHERE action = 'notes.purged'")).scalar() is not None
        assert audit.verify(session).broken_at is None


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_note_that_waits_is_kept_however_old(notes: NoteStore, database: Database, audit: Audit, state: str) -> None:
    waiting = put(notes, database, age_days=400, state=state)
    assert Retention(database, audit, 30).purge() == 0
    assert notes.get(waiting).state == state


def test_more_than_one_part(
    notes: NoteStore, database: Database, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.retention._AT_ONCE", 2)
    for _ in range(5):
        put(notes, database, age_days=10, state="done")
    assert Retention(database, audit, 90).purge(days=5) == 5

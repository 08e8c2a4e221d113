"""Notes are stored once, answered once, and kept without what identifies a patient."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text, update

from clincode.types import Note
from gateway.errors import GatewayError
from gateway.security.permissions import LOCAL, PERMISSIONS, Principal, Role
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.cipher import NoteCipher
from gateway.storage.database import Database
from gateway.storage.notes import Intake, Job, NoteStore
from gateway.storage.tables import JobState, NoteRow

EHR = Principal("key:ehr", Role.SERVICE, PERMISSIONS[Role.SERVICE])
INTAKE = Intake("notes", EHR)
TEXT = "Mr. Harold Whitcombe, MRN 4482917, has pneumonia. No pleural effusion."


def note(body: str = TEXT, *, note_id: str | None = None, priority: str = "normal") -> Note:
    return Note(note_id or str(uuid4()), body, priority=priority)


def answer(of: Note) -> dict[str, object]:
    """As the model gives it for a note of ``TEXT``."""
    start = of.text.index("pneumonia")
    entity = {
        "text": "pneumonia", "type": "DIAGNOSIS", "start_char": start, "end_char": start + 9, "confidence": 0.9,
        "icd_codes": [], "is_negated": False, "negation_trigger": None, "certainty": "affirmed",
        "temporality": "current", "experiencer": "patient", "section": None, "expansion": None,
    }  # fmt: skip
    name = of.text.index("Harold")
    return {
        "note_id": of.note_id,
        "entities": [entity],
        "processing_time_ms": 5,
        "model_version": "bert-clinical-ner-v1.0.0",
        "codes": [
            {"code": "J18.9", "description": "Pneumonia", "confidence": 0.8, "evidence": [0], "flags": []},
            {"code": "J90", "description": "Effusion", "confidence": 0.6, "evidence": [0], "flags": []},
        ],
        "references": [],
        "redactions": [{"start_char": name, "end_char": name + len("Harold Whitcombe"), "category": "NAME"}],
        "warnings": [],
    }


def test_what_is_stored_is_masked_and_offsets_fit_it(notes: NoteStore, database: Database) -> None:
    sent = note()
    notes.accept(sent, INTAKE)
    row = notes.get(sent.note_id)
    assert len(row.text) == len(TEXT)
    start = TEXT.index("pneumonia")
    assert row.text[start : start + 9] == "pneumonia"
    for secret in ("Harold", "Whitcombe", "4482917"):
        assert secret not in row.text
    with database.reading() as session:
        whole = str(session.execute(text("SELECT * FROM notes")).all())
    assert "Whitcombe" not in whole
    assert {redaction["category"] for redaction in row.redactions} >= {"NAME"}


@pytest.mark.parametrize("spelling", [str.upper, lambda i: f"{{{i}}}", lambda i: f"urn:uuid:{i}"])
def test_the_same_note_again_is_the_same_row(notes: NoteStore, spelling: Callable[[str], str]) -> None:
    first = note()
    notes.accept(first, INTAKE)
    again = notes.accept(note(note_id=spelling(first.note_id)), INTAKE)
    assert again.id == first.note_id
    assert notes.counts()["queued"] == 1


def test_the_same_id_with_another_text_is_refused(notes: NoteStore) -> None:
    first = note()
    notes.accept(first, INTAKE)
    with pytest.raises(GatewayError) as refusal:
        notes.accept(note("Something else.", note_id=first.note_id), INTAKE)
    assert (refusal.value.status, refusal.value.body.field) == (409, "note_id")


def test_one_note_sent_many_times_at_once_is_stored_once(notes: NoteStore, database: Database) -> None:
    sent = note()
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: notes.accept(sent, INTAKE), range(16)))
    assert {row.id for row in rows} == {sent.note_id}
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM notes")).scalar() == 1
        assert session.execute(text("SELECT count(*) FROM audit")).scalar() == 1


def test_urgent_notes_are_claimed_first_then_the_oldest(notes: NoteStore) -> None:
    sent = [note(), note(), note(priority="urgent"), note()]
    for each in sent:
        notes.accept(each, INTAKE)
    order = [job.note.note_id for _ in range(4) for job in notes.claim(1, 30)]
    assert order == [sent[i].note_id for i in (2, 0, 1, 3)]
    assert notes.claim(1, 30) == []


def test_two_workers_never_hold_the_same_note(notes: NoteStore) -> None:
    for _ in range(40):
        notes.accept(note(), INTAKE)
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda _: notes.claim(5, 30), range(16)))
    held = [job.note.note_id for claim in claims for job in claim]
    assert len(held) == len(set(held)) == 40


def expire(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(NoteRow).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


def test_a_dead_workers_note_is_taken_up_and_its_late_answer_dropped(notes: NoteStore, database: Database) -> None:
    sent = note()
    notes.accept(sent, INTAKE)
    (lost,) = notes.claim(1, 30)
    assert notes.claim(1, 30) == []
    expire(database)
    (taken,) = notes.claim(1, 30)
    assert notes.complete(taken, answer(sent), "production")
    assert not notes.complete(lost, answer(sent), "late")
    assert notes.get(sent.note_id).route == "production"


def test_a_renewed_lease_is_kept(notes: NoteStore, database: Database) -> None:
    notes.accept(note(), INTAKE)
    (job,) = notes.claim(1, 30)
    expire(database)
    notes.renew([job.lease], 30)
    assert notes.claim(1, 30) == []


def test_an_answer_is_kept_with_masked_texts_and_its_lowest_confidence(notes: NoteStore) -> None:
    sent = note()
    notes.accept(sent, INTAKE)
    (job,) = notes.claim(1, 30)
    notes.complete(job, answer(sent), "production")
    row = notes.get(sent.note_id)
    assert (row.state, row.lowest_confidence, row.model_version) == ("done", 0.6, "bert-clinical-ner-v1.0.0")
    assert row.answer is not None
    assert row.answer["entities"][0]["text"] == "pneumonia"
    # All that was masked at intake is told, not only what the model still found in the masked text.
    assert len(row.answer["redactions"]) == len(row.redactions) >= 2


def test_a_synchronous_answer_finishes_a_note_that_waits(notes: NoteStore) -> None:
    sent = note()
    notes.accept(sent, INTAKE)
    (job,) = notes.claim(1, 30)
    row = notes.keep_answer(sent, answer(sent), "production", Intake("predict", EHR))
    assert row.state == JobState.DONE
    assert not notes.complete(job, answer(sent), "late")
    assert notes.counts()["done"] == 1


def put_back(notes: NoteStore, job: Job) -> None:
    notes.put_back(job, "analysis_failed", seconds=0, counts=True)


def test_tries_are_counted_until_a_note_is_given_up_and_requeued(notes: NoteStore) -> None:
    sent = note()
    notes.accept(sent, INTAKE)
    for attempts in range(3):
        (job,) = notes.claim(1, 30)
        assert job.attempts == attempts
        put_back(notes, job)
    (job,) = notes.claim(1, 30)
    notes.give_up(job, "analysis_failed")
    row = notes.get(sent.note_id)
    assert (row.state, row.attempts, row.error) == ("dead", 4, "analysis_failed")
    assert notes.claim(1, 30) == []
    notes.requeue(sent.note_id, LOCAL)
    (job,) = notes.claim(1, 30)
    assert job.attempts == 0
    with pytest.raises(GatewayError) as refusal:
        notes.requeue(sent.note_id, LOCAL)
    assert refusal.value.status == 409


def test_a_note_that_was_put_back_waits_its_time(notes: NoteStore) -> None:
    notes.accept(note(), INTAKE)
    (job,) = notes.claim(1, 30)
    notes.put_back(job, "model_unavailable", seconds=60, counts=False)
    assert notes.claim(1, 30) == []


@pytest.mark.parametrize("unknown", [str(uuid4()), "not-a-uuid", "../../etc/passwd", ""])
def test_an_unknown_note_is_not_found(notes: NoteStore, unknown: str) -> None:
    with pytest.raises(GatewayError) as refusal:
        notes.get(unknown)
    assert refusal.value.status == 404


def test_the_original_is_kept_only_where_a_deployment_says_so(
    database: Database, audit: Audit, settings: Settings, notes: NoteStore
) -> None:
    without = note()
    notes.accept(without, INTAKE)
    with pytest.raises(GatewayError):
        notes.original(without.note_id, LOCAL)
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()

    def store(keys: str) -> NoteStore:
        kept = {**settings.model_dump(), "store_original": True, "note_key": keys}
        return NoteStore(database, audit, NoteCipher(Settings(**kept)))

    sent = note()
    store(old).accept(sent, INTAKE)
    assert "Whitcombe" not in str(notes.get(sent.note_id).original)
    assert store(f"{new},{old}").original(sent.note_id, LOCAL) == TEXT
    with pytest.raises(GatewayError):
        store(new).original(sent.note_id, LOCAL)


def test_a_databases_fault_does_not_quote_the_note(notes: NoteStore, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("ALTER TABLE notes RENAME TO elsewhere"))
    with pytest.raises(Exception) as fault:  # noqa: PT011
        notes.keep_answer(note(), answer(note()), "production", INTAKE)
    assert "pneumonia" not in str(fault.value)
    assert "pneumonia" not in repr(fault.value)

"""Notes that were accepted: stored before they are acknowledged, predicted once, never doubled.

A job goes queued → running → done, back to queued where it is to be tried again, or to dead where it is given up. Who
runs it holds its lease; an answer whose lease has been lost is dropped, so each note is completed exactly once.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clincode.phi import find_identifiers, masked
from clincode.types import Note, NoteType, Redaction
from gateway.errors import conflict, not_found
from gateway.security.permissions import SYSTEM, Principal
from gateway.storage.answers import lowest_confidence, with_texts_of
from gateway.storage.audit import Audit
from gateway.storage.cipher import NoteCipher
from gateway.storage.database import Database
from gateway.storage.tables import DeliveryRow, JobState, NoteRow, ReviewState


@dataclass(frozen=True, slots=True)
class Job:
    """A note to be predicted, and the lease under which this worker holds it. Its text is masked."""

    note: Note
    lease: str
    attempts: int
    waiting_since: datetime


@dataclass(frozen=True, slots=True)
class Intake:
    """How a note came in: ``source`` is its door, ``context`` what the door needs for the answer."""

    source: str
    by: Principal
    context: Mapping[str, Any] | None = None
    webhook_url: str | None = None


def canonical_id(note_id: str) -> str:
    """A UUID in any of its spellings → the one under which the note is kept.

    Raises:
        GatewayError: 404, it is no UUID.
    """
    try:
        return str(UUID(note_id))
    except ValueError:
        raise not_found("note", "note_id") from None


class NoteStore:
    """All that happens to a note but its review. Methods block: call them from a thread."""

    def __init__(self, database: Database, audit: Audit, cipher: NoteCipher) -> None:
        self._database = database
        self._audit = audit
        self._cipher = cipher

    # --- coming in

    def accept(self, note: Note, intake: Intake) -> NoteRow:
        """Store a note to be predicted later; the same note again finds the row that is there, and its webhook is
        told unless another is to be told already.

        Raises:
            GatewayError: 409, the id is taken by another text.
        """
        if (found := self.known(note)) is not None:
            self._tell_too(found.id, intake)
            return found
        redactions = find_identifiers(note.text)
        row = self._row(note, intake, redactions, JobState.QUEUED)
        return self._insert(note, row, intake)

    def keep_answer(self, note: Note, answer: Mapping[str, Any], route: str, intake: Intake) -> NoteRow:
        """Store a note together with the answer that it just got; where the same note came in meanwhile, that row's
        answer stands.

        Raises:
            GatewayError: 409, the id is taken by another text.
        """
        redactions = [Redaction(r["start_char"], r["end_char"], r["category"]) for r in answer["redactions"]]
        row = self._row(note, intake, redactions, JobState.DONE)
        _put_answer(row, answer, route)
        found = self._insert(note, row, intake)
        if found.answer is None:  # accepted for later, and not yet done
            with self._database.transaction() as session:
                found = session.get_one(NoteRow, found.id, with_for_update=True)
                if found.answer is None:
                    self._finish(session, found, answer, route, intake.by)
        return found

    def known(self, note: Note) -> NoteRow | None:
        """The row of this very note, or null where its id is free.

        Raises:
            GatewayError: 409, the id is taken by another text.
        """
        with self._database.reading() as session:
            row = session.get(NoteRow, canonical_id(note.note_id))
        if row is not None and row.text_mac != self._cipher.fingerprint(note.text):
            raise conflict("note_id_taken", "this note_id belongs to a note with another text", "note_id")
        return row

    def get(self, note_id: str) -> NoteRow:
        """Raises GatewayError: 404, there is none."""
        with self._database.reading() as session:
            row = session.get(NoteRow, canonical_id(note_id))
        if row is None:
            raise not_found("note", "note_id")
        return row

    def original(self, note_id: str, by: Principal) -> str:
        """The note as it was sent; that it was read is in the audit log.

        Raises:
            GatewayError: 404, there is no such note, or its original is not kept.
        """
        with self._database.transaction() as session:
            row = session.get(NoteRow, canonical_id(note_id))
            text = self._cipher.decrypted(row.original) if row and row.original else None
            if row is None or text is None:
                raise not_found("original" if row else "note", "note_id")
            self._audit.append(session, by, "note.original_read", row.id)
        return text

    # --- being predicted

    def claim(self, limit: int, lease_seconds: float) -> list[Job]:
        """Take up to ``limit`` notes in hand, urgent first, then oldest, those with an expired lease among them."""
        now = datetime.now(UTC)
        with self._database.transaction() as session:
            waiting = and_(
                NoteRow.state == JobState.QUEUED,
                or_(NoteRow.next_attempt_at.is_(None), NoteRow.next_attempt_at <= now),
            )
            left = and_(NoteRow.state == JobState.RUNNING, NoteRow.lease_until < now)
            rows = session.scalars(
                select(NoteRow)
                .where(or_(waiting, left))
                .order_by(NoteRow.urgent.desc(), NoteRow.received_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            for row in rows:
                row.state = JobState.RUNNING
                row.lease = str(uuid4())
                row.lease_until = now + timedelta(seconds=lease_seconds)
            return [Job(_note(row), row.lease or "", row.attempts, row.requeued_at or row.received_at) for row in rows]

    def renew(self, leases: Sequence[str], lease_seconds: float) -> None:
        """Keep jobs in hand that take long."""
        until = datetime.now(UTC) + timedelta(seconds=lease_seconds)
        with self._database.transaction() as session:
            session.execute(update(NoteRow).where(NoteRow.lease.in_(leases)).values(lease_until=until))

    def complete(self, job: Job, answer: Mapping[str, Any], route: str) -> bool:
        """Keep a job's answer; false where the lease was lost and the answer is dropped."""
        with self._database.transaction() as session:
            row = _held(session, job)
            if row is None:
                return False
            self._finish(session, row, answer, route, SYSTEM)
            return True

    def put_back(self, job: Job, error: str, *, seconds: float, counts: bool) -> None:
        """Try again after ``seconds``. ``counts``: the try is one of those after which a note is given up."""
        with self._database.transaction() as session:
            if (row := _held(session, job)) is not None:
                row.state, row.error = JobState.QUEUED, error
                row.attempts += counts
                row.next_attempt_at = datetime.now(UTC) + timedelta(seconds=seconds)
                row.lease = row.lease_until = None

    def give_up(self, job: Job, error: str) -> None:
        """Set a note aside for a person to look at."""
        with self._database.transaction() as session:
            if (row := _held(session, job)) is not None:
                row.state, row.error = JobState.DEAD, error
                row.attempts += 1
                row.lease = row.lease_until = row.next_attempt_at = None
                _wake_delivery(session, row.id)
                self._audit.append(session, SYSTEM, "note.given_up", row.id, after={"error": error})

    def requeue(self, note_id: str, by: Principal) -> NoteRow:
        """Give a note that was set aside another round.

        Raises:
            GatewayError: 404, there is no such note; 409, it was not set aside.
        """
        with self._database.transaction() as session:
            row = session.get(NoteRow, canonical_id(note_id))
            if row is None:
                raise not_found("note", "note_id")
            if row.state != JobState.DEAD:
                raise conflict("not_dead", "only a note that was given up can be queued again", "note_id")
            row.state, row.attempts, row.next_attempt_at = JobState.QUEUED, 0, None
            row.requeued_at = datetime.now(UTC)
            delivery = update(DeliveryRow).where(DeliveryRow.note_id == row.id)
            session.execute(delivery.values(state="waiting", attempts=0, next_attempt_at=None))
            self._audit.append(session, by, "note.requeued", row.id, before={"error": row.error})
            return row

    # --- looking on

    def counts(self) -> dict[str, int]:
        """How many notes stand where: job states, and of those done the review's states."""
        with self._database.reading() as session:
            jobs = session.execute(select(NoteRow.state, func.count()).group_by(NoteRow.state)).all()
            reviews = session.execute(
                select(NoteRow.review_state, func.count())
                .where(NoteRow.state == JobState.DONE)
                .group_by(NoteRow.review_state)
            ).all()
        empty = {**{str(state): 0 for state in JobState}, **{str(state): 0 for state in ReviewState}}
        return {**empty, **{str(state): count for state, count in [*jobs, *reviews]}}

    def listed(self, state: JobState, *, limit: int, offset: int) -> tuple[list[NoteRow], int]:
        """Notes in a job state, oldest first, and how many there are in all."""
        condition: ColumnElement[bool] = NoteRow.state == state
        with self._database.reading() as session:
            rows = session.scalars(
                select(NoteRow).where(condition).order_by(NoteRow.received_at, NoteRow.id).limit(limit).offset(offset)
            ).all()
            total = session.scalar(select(func.count()).select_from(NoteRow).where(condition)) or 0
        return list(rows), total

    # --- inside

    def _row(self, note: Note, intake: Intake, redactions: Sequence[Redaction], state: JobState) -> NoteRow:
        return NoteRow(
            id=canonical_id(note.note_id),
            sent_id=note.note_id,
            text=masked(note.text, redactions),
            text_mac=self._cipher.fingerprint(note.text),
            original=self._cipher.encrypted(note.text),
            redactions=[{"start_char": r.start, "end_char": r.end, "category": r.category} for r in redactions],
            note_type=note.note_type.value,
            urgent=note.priority == "urgent",
            encounter_id=note.metadata.get("encounter_id"),
            department=note.metadata.get("department"),
            provider_id=note.metadata.get("provider_id"),
            source=intake.source,
            context=dict(intake.context) if intake.context is not None else None,
            received_at=datetime.now(UTC),
            received_by=intake.by.name,
            state=state,
            attempts=0,
            review_state=ReviewState.OPEN,
            review_version=0,
        )

    def _finish(self, session: Session, row: NoteRow, answer: Mapping[str, Any], route: str, by: Principal) -> None:
        """The answer of a note that was accepted for later."""
        row.state, row.error = JobState.DONE, None
        row.lease = row.lease_until = row.next_attempt_at = None
        _put_answer(row, {**answer, "redactions": row.redactions}, route)
        _wake_delivery(session, row.id)
        after = {"model_version": row.model_version, "route": route}
        self._audit.append(session, by, "note.predicted", row.id, after=after)

    def _tell_too(self, note_id: str, intake: Intake) -> None:
        """A webhook for a note that is here already: due at once where it is done or dead."""
        if not intake.webhook_url:
            return
        with suppress(IntegrityError), self._database.transaction() as session:  # two at once: one is told
            row = session.get(NoteRow, note_id, with_for_update=True)
            if row is None or session.get(DeliveryRow, note_id) is not None:
                return
            session.add(DeliveryRow(note_id=note_id, url=intake.webhook_url, state="waiting"))
            session.flush()
            if row.state in {JobState.DONE, JobState.DEAD}:
                _wake_delivery(session, note_id)

    def _insert(self, note: Note, row: NoteRow, intake: Intake) -> NoteRow:
        try:
            with self._database.transaction() as session:
                session.add(row)
                session.flush()
                if intake.webhook_url:
                    session.add(DeliveryRow(note_id=row.id, url=intake.webhook_url))
                after = {"source": row.source, "urgent": row.urgent, "state": row.state}
                self._audit.append(session, intake.by, "note.accepted", row.id, after=after)
            return row
        except IntegrityError:  # the id came in twice at once
            if (found := self.known(note)) is None:
                raise
            self._tell_too(found.id, intake)
            return found


def _note(row: NoteRow) -> Note:
    return Note(row.sent_id, row.text, NoteType(row.note_type), "urgent" if row.urgent else "normal")


def _held(session: Session, job: Job) -> NoteRow | None:
    return session.scalars(
        select(NoteRow).where(NoteRow.lease == job.lease, NoteRow.state == JobState.RUNNING).with_for_update()
    ).one_or_none()


def _put_answer(row: NoteRow, answer: Mapping[str, Any], route: str) -> None:
    row.answer = with_texts_of(row.text, answer)
    row.answered_at = datetime.now(UTC)
    row.model_version = str(answer["model_version"])
    row.route = route
    row.lowest_confidence = lowest_confidence(answer)


def _wake_delivery(session: Session, note_id: str) -> None:
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.note_id == note_id, DeliveryRow.state == "waiting")
        .values(state="due", next_attempt_at=datetime.now(UTC))
    )

"""The tables. Offsets are those of the note as it was sent; they fit the stored text too, for a mask is as long as what
it hides. Times are in UTC."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time; SQLite, which knows no zones, keeps it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)  # type: ignore[no-any-return]


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        str: Text,
    }


class JobState(StrEnum):
    """Of the prediction of a note."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    """Given up; a person must look."""


class ReviewState(StrEnum):
    OPEN = "open"
    IN_REVIEW = "in_review"
    FINISHED = "finished"


class NoteRow(Base):
    """A note that was accepted, its prediction and where its review stands."""

    __tablename__ = "notes"
    __table_args__ = (
        Index("ix_notes_jobs", "state", "urgent", "received_at"),
        Index("ix_notes_worklist", "review_state", "urgent", "received_at"),
        Index("ix_notes_received", "received_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """The note's UUID in its canonical form."""
    sent_id: Mapped[str] = mapped_column(String(64))
    """The same as the client wrote it."""
    text: Mapped[str]
    """With its identifiers masked."""
    text_mac: Mapped[str] = mapped_column(String(64))
    """HMAC-SHA256 of the text as sent, to know it again without keeping it."""
    original: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The text as sent, encrypted, where the deployment keeps it."""
    redactions: Mapped[list[Any]]
    """What was masked, as in the contract."""
    note_type: Mapped[str] = mapped_column(String(32))
    urgent: Mapped[bool]
    encounter_id: Mapped[str | None] = mapped_column(String(256))
    department: Mapped[str | None] = mapped_column(String(256))
    provider_id: Mapped[str | None] = mapped_column(String(256))
    source: Mapped[str] = mapped_column(String(16))
    """Which door it came through: predict, notes, fhir, hl7 or sample."""
    context: Mapped[dict[str, Any] | None]
    """What its door needs for the answer (FHIR references, HL7 ids)."""
    received_at: Mapped[datetime]
    received_by: Mapped[str] = mapped_column(String(128))

    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    requeued_at: Mapped[datetime | None]
    """When a person gave it another round; the time to give it up counts from then."""
    lease: Mapped[str | None] = mapped_column(String(36), index=True)
    """Which worker has it in hand, until ``lease_until``."""
    lease_until: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(64))
    """The code of the last fault; never a text that may quote the note."""

    answer: Mapped[dict[str, Any] | None]
    """The model's answer as in the contract, its entities' texts taken from the masked note."""
    answered_at: Mapped[datetime | None]
    model_version: Mapped[str | None] = mapped_column(String(128))
    route: Mapped[str | None] = mapped_column(String(64))
    """The routing's target that answered."""
    lowest_confidence: Mapped[float | None]
    """Of the note's codes; null where it has none."""

    review_state: Mapped[str] = mapped_column(String(16), default=ReviewState.OPEN)
    review_version: Mapped[int] = mapped_column(default=0)
    """Number of the last decision: who decides on an older one is refused."""
    reviewer: Mapped[str | None] = mapped_column(String(128))
    opened_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    comment: Mapped[str | None]


class DecisionRow(Base):
    """One decision of a coder. Rows are only ever added."""

    __tablename__ = "decisions"

    note_id: Mapped[str] = mapped_column(ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """1, 2, 3 … in a note; two coders cannot write the same."""
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]]


class DeliveryRow(Base):
    """A webhook to be sent when its note is done or dead."""

    __tablename__ = "deliveries"

    note_id: Mapped[str] = mapped_column(ForeignKey("notes.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    """waiting (for the note), due, delivered or dead."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]


class FailureRow(Base):
    """A request of ``/predict`` that the model did not answer while two versions were compared. It left no note behind,
    and without it the version that fails would look no worse than the other."""

    __tablename__ = "failures"

    note_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """As the client wrote it: a note that fails again is counted once."""
    at: Mapped[datetime] = mapped_column(index=True)
    route: Mapped[str] = mapped_column(String(64))
    """The routing's target that was to answer."""
    code: Mapped[str] = mapped_column(String(64))


class AuditRow(Base):
    """One line of the audit log; the database refuses to change or delete it."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    """ISO 8601 in UTC, as text: the very characters are in the digest."""
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(128), index=True)
    before: Mapped[str | None]
    after: Mapped[str | None]
    """Canonical JSON; codes, offsets and settings, never the text of a note."""
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class ApiKeyRow(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    """The part of the key that may be shown; it finds the row."""
    name: Mapped[str] = mapped_column(String(64))
    secret_hash: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class LoginCodeRow(Base):
    """A one-time login for a person, where no identity provider is set up."""

    __tablename__ = "login_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SessionRow(Base):
    """A person's session in a browser; the cookie's value is known here by its hash alone."""

    __tablename__ = "sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str] = mapped_column(String(128), index=True)
    role: Mapped[str] = mapped_column(String(16))
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

"""The review of one note in the database: opening it, deciding on it, and what comes after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gateway.errors import GatewayError, not_found
from gateway.review.checks import check
from gateway.review.decisions import AddCode, AddEntity, Clear, Decision, Finish, Made, Reopen, ReplaceCode
from gateway.review.overview import Overview, read_overview
from gateway.review.state import ReviewedEntity, ReviewState, review_state
from gateway.review.worklist import IN_ORDER, Filters, Page, SetAside, read_departments, read_set_aside, read_worklist
from gateway.security.permissions import Permission, Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import DecisionRow, JobState, NoteRow
from gateway.storage.tables import ReviewState as Stage


class CodePicker(Protocol):
    """The classification as a coder picks from it. May be asked by several threads."""

    def search(self, query: str, *, limit: int = 20) -> Sequence[Mapping[str, Any]]:
        """Best first; each has at least ``code``, ``title`` and ``billable``."""
        ...

    def describe(self, code: str) -> str | None:
        """The code's title; none where the loaded year has no such code."""
        ...

    def is_billable(self, code: str) -> bool:
        """False of a code that does not exist too."""
        ...


class ChangedMeanwhileError(GatewayError):
    """Somebody decided on the note since the page was made. ``version`` is the number of the last decision."""

    def __init__(self, by: str | None, version: int) -> None:
        super().__init__(409, "changed_meanwhile", f"{by or 'somebody'} decided on this note meanwhile", "version")
        self.by = by
        self.version = version


@dataclass(frozen=True, slots=True)
class NoteReview:
    """A note and where its review stands; ``note`` belongs to no session any more and must not be changed."""

    note: NoteRow
    state: ReviewState


class ReviewStore:
    """Everything that is kept of reviews. Safe to share between threads."""

    def __init__(self, database: Database, audit: Audit, codes: CodePicker) -> None:
        self._database = database
        self._audit = audit
        self._codes = codes

    def worklist(self, filters: Filters, page: int = 1) -> Page:
        with self._database.reading() as session:
            return read_worklist(session, filters, page)

    def departments(self) -> list[str]:
        with self._database.reading() as session:
            return read_departments(session)

    def set_aside(self, limit: int = 50) -> list[SetAside]:
        """Notes that the model could not answer, for who may send them on their way again."""
        with self._database.reading() as session:
            return read_set_aside(session, limit)

    def overview(self, days: int = 30, *, now: datetime | None = None) -> Overview:
        with self._database.reading() as session:
            return read_overview(session, days, now or datetime.now(UTC))

    def open(self, note_id: str, principal: Principal) -> NoteReview:
        """The note for somebody's eyes, which the audit log says. The first who may review it becomes its reviewer.

        Raises:
            GatewayError: 404, there is no such note or it has no answer yet.
        """
        with self._database.transaction() as session:
            row = _answered(session, note_id, lock=True)
            self._audit.append(session, principal, "note.viewed", f"note:{row.id}")
            if row.review_state == Stage.OPEN and principal.may(Permission.REVIEW):
                row.review_state = Stage.IN_REVIEW
                row.reviewer = principal.name
                row.opened_at = datetime.now(UTC)
            return NoteReview(row, _state(session, row))

    def read(self, note_id: str) -> NoteReview:
        """The note as ``open`` gives it, for a part of a page that was opened already: not audited again."""
        with self._database.reading() as session:
            row = _answered(session, note_id)
            return NoteReview(row, _state(session, row))

    def decide(self, note_id: str, principal: Principal, decision: Decision, expected_version: int) -> ReviewState:
        """Make a decision on the note as it stood with ``expected_version`` decisions.

        Raises:
            ChangedMeanwhileError: 409, there are more decisions by now.
            GatewayError: 404 as ``open``; 409 as ``checks.check``.
            RequestError: 422, the decision does not fit the note.
        """
        try:
            with self._database.transaction() as session:
                return self._decide(session, note_id, principal, decision, expected_version)
        except IntegrityError:  # two at once where rows cannot be locked: the number was taken
            last = self.read(note_id).state
            raise ChangedMeanwhileError(last.last_by, last.version) from None

    def next_note(self, principal: Principal, after: str | None = None) -> str | None:
        """The id of the note to review next: the first in the worklist's order that nobody has in hand but
        ``principal``, from the place behind ``after`` on and then from the top; none where there is none left."""
        with self._database.reading() as session:
            mine = and_(NoteRow.review_state == Stage.IN_REVIEW, NoteRow.reviewer == principal.name)
            waiting = [NoteRow.state == JobState.DONE, or_(NoteRow.review_state == Stage.OPEN, mine)]
            query = select(NoteRow.id).order_by(*IN_ORDER).limit(1)
            row = session.get(NoteRow, after) if after else None
            if row is not None:
                waiting.append(NoteRow.id != row.id)
                behind = session.scalar(query.where(*waiting, _behind(row)))
                if behind is not None:
                    return behind
            return session.scalar(query.where(*waiting))

    def _decide(
        self, session: Session, note_id: str, principal: Principal, decision: Decision, expected: int
    ) -> ReviewState:
        row = _answered(session, note_id, lock=True)
        decisions = _decisions(session, row.id)
        assert row.answer is not None
        before = review_state(row.answer, row.text, decisions)
        if expected != row.review_version:
            raise ChangedMeanwhileError(before.last_by, row.review_version)
        check(decision, before, row.text, self._codes.is_billable)
        now = datetime.now(UTC)
        made = Made(
            number=row.review_version + 1,
            by=principal.name,
            at=now,
            decision=decision,
            title=self._title(decision),
            target_type=_target_type(decision, before),
        )
        session.add(made.to_row(row.id))
        session.flush()
        row.review_version = made.number
        row.reviewer = principal.name
        row.opened_at = row.opened_at or now
        row.review_state = Stage.FINISHED if isinstance(decision, Finish) else Stage.IN_REVIEW
        row.finished_at = now if isinstance(decision, Finish) else None
        if isinstance(decision, Finish):
            row.comment = decision.comment
        after = review_state(row.answer, row.text, [*decisions, made])
        self._audit.append(
            *(session, principal, _action(decision), f"note:{row.id}"),
            before=_audited(decision, before, None),
            after={"decision": made.number, "kind": decision.kind} | (_audited(decision, after, made.number) or {}),
        )
        return after

    def _title(self, decision: Decision) -> str | None:
        match decision:
            case AddCode(code=code) | ReplaceCode(new_code=code):
                return self._codes.describe(code)
        return None


def _answered(session: Session, note_id: str, *, lock: bool = False) -> NoteRow:
    # PostgreSQL takes no NUL. SQLite's transaction has the lock already.
    row = session.get(NoteRow, note_id, with_for_update=lock) if "\x00" not in note_id else None
    if row is None or row.state != JobState.DONE or row.answer is None:
        raise not_found("note", "note_id")
    return row


def _decisions(session: Session, note_id: str) -> list[Made]:
    rows = session.scalars(select(DecisionRow).where(DecisionRow.note_id == note_id).order_by(DecisionRow.number))
    return [Made.from_row(row) for row in rows]


def _state(session: Session, row: NoteRow) -> ReviewState:
    assert row.answer is not None
    return review_state(row.answer, row.text, _decisions(session, row.id))


def _behind(row: NoteRow) -> ColumnElement[bool]:
    """Behind ``row`` in the worklist's order."""
    same = NoteRow.urgent == row.urgent
    later = or_(
        NoteRow.received_at > row.received_at, and_(NoteRow.received_at == row.received_at, NoteRow.id > row.id)
    )
    return or_(and_(same, later), NoteRow.urgent.is_(False)) if row.urgent else and_(same, later)


def _target_type(decision: Decision, before: ReviewState) -> str | None:
    if isinstance(decision, AddEntity):
        return decision.type
    key = getattr(decision, "entity", None)
    entity = before.entity(key) if isinstance(key, str) else None
    return entity.suggested.type if entity else None


# -- what the audit log may know --


def _action(decision: Decision) -> str:
    if isinstance(decision, Finish):
        return "review.finished"
    return "review.reopened" if isinstance(decision, Reopen) else "review.decided"


def _audited(decision: Decision, state: ReviewState, number: int | None) -> dict[str, Any] | None:
    """Codes, offsets and words of fixed lists: never the note's text, nor the comment's."""
    match decision:
        case Finish() | Reopen():
            codes = [code.code for code in state.final_codes]
            return {"finished": state.finished, "codes": codes, "has_comment": bool(state.comment)}
        case AddEntity():
            return _audited_entity(state.entity(f"d{number}")) if number else None
        case Clear() if decision.entity is not None:
            return _audited_entity(state.entity(decision.entity))
    key = getattr(decision, "entity", None)
    if isinstance(key, str):
        return _audited_entity(state.entity(key))
    code = state.code(getattr(decision, "code", None) or "")
    if code is None:
        return None
    known = {"code": code.code, "verdict": code.verdict, "replaced_by": code.replaced_by, "reason": code.reason}
    return {name: value for name, value in known.items() if value is not None}


def _audited_entity(entity: ReviewedEntity | None) -> dict[str, Any] | None:
    if entity is None:
        return None
    return {
        "entity": entity.key,
        "start_char": entity.start,
        "end_char": entity.end,
        "type": entity.type,
        "certainty": entity.certainty,
        "temporality": entity.temporality,
        "experiencer": entity.experiencer,
        "verdict": entity.verdict,
    }

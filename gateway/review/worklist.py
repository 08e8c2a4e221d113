"""The list of notes that wait for a coder: urgent first, then by the time they came."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from gateway.storage.tables import JobState, NoteRow, ReviewState

PAGE_SIZE = 50
_MOST_DEPARTMENTS = 200

Stage = Literal["todo", "open", "in_review", "finished", "all"]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notes; none is "all" of it. ``below`` and ``above`` are of the lowest confidence among a note's codes: a
    note without codes has none and is left out by either."""

    stage: Stage = "todo"
    """``todo``: open or in review."""
    department: str | None = None
    below: float | None = None
    above: float | None = None


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """A line of the list; nothing of the note's text."""

    id: str
    urgent: bool
    received_at: datetime
    department: str | None
    note_type: str
    codes: int
    lowest_confidence: float | None
    review_state: str
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A note that the model could not answer; ``error`` is the code of its last fault."""

    id: str
    received_at: datetime
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """``number`` counts from 1 and is the nearest page that exists. ``open`` … ``finished`` are of all answered notes,
    whatever the filters; ``waiting`` are not answered yet, ``dead`` never will be without a person."""

    entries: tuple[WorklistEntry, ...]
    number: int
    pages: int
    total: int
    open: int
    in_review: int
    finished: int
    waiting: int
    dead: int


IN_ORDER = (NoteRow.urgent.desc(), NoteRow.received_at, NoteRow.id)


def read_worklist(session: Session, filters: Filters, page: int = 1) -> Page:
    """One page. Finished notes alone are listed with the last finished first."""
    wanted = _wanted(filters)
    total = session.scalar(select(func.count()).select_from(NoteRow).where(*wanted)) or 0
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(page, 1), pages)
    query = select(
        NoteRow.id,
        NoteRow.urgent,
        NoteRow.received_at,
        NoteRow.department,
        NoteRow.note_type,
        func.coalesce(func.json_array_length(NoteRow.answer["codes"]), 0),
        NoteRow.lowest_confidence,
        NoteRow.review_state,
        NoteRow.reviewer,
    ).where(*wanted)
    order = (NoteRow.finished_at.desc(), NoteRow.id) if filters.stage == "finished" else IN_ORDER
    query = query.order_by(*order)
    rows = session.execute(query.offset((number - 1) * PAGE_SIZE).limit(PAGE_SIZE))
    entries = tuple(WorklistEntry(*row) for row in rows)
    return Page(entries, number, pages, total, **_counts(session))


def read_departments(session: Session) -> list[str]:
    query = select(NoteRow.department).where(NoteRow.department.is_not(None)).distinct()
    found = session.scalars(query.order_by(NoteRow.department).limit(_MOST_DEPARTMENTS))
    return [department for department in found if department]


def read_set_aside(session: Session, limit: int) -> list[SetAside]:
    """The oldest first."""
    columns = NoteRow.id, NoteRow.received_at, NoteRow.attempts, NoteRow.error
    query = select(*columns).where(NoteRow.state == JobState.DEAD).order_by(NoteRow.received_at).limit(limit)
    return [SetAside(*row) for row in session.execute(query)]


def _wanted(filters: Filters) -> list[ColumnElement[bool]]:
    wanted = [NoteRow.state == JobState.DONE]
    if filters.stage == "todo":
        wanted.append(NoteRow.review_state.in_([ReviewState.OPEN, ReviewState.IN_REVIEW]))
    elif filters.stage != "all":
        wanted.append(NoteRow.review_state == filters.stage)
    if filters.department is not None:
        wanted.append(NoteRow.department == filters.department)
    if filters.below is not None:
        wanted.append(NoteRow.lowest_confidence < filters.below)
    if filters.above is not None:
        wanted.append(NoteRow.lowest_confidence >= filters.above)
    return wanted


def _counts(session: Session) -> dict[str, int]:
    counts = dict.fromkeys(("open", "in_review", "finished", "waiting", "dead"), 0)
    query = select(NoteRow.state, NoteRow.review_state, func.count()).group_by(NoteRow.state, NoteRow.review_state)
    for state, stage, count in session.execute(query):
        name = stage if state == JobState.DONE else "dead" if state == JobState.DEAD else "waiting"
        counts[name] += count
    return counts

"""Reviewed notes → JSON lines: annotated notes as ``training`` reads them, with everything that was decided beside.

What each field means is in ``docs/feedback.md``.
"""

import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from clincode.phi import find_identifiers, masked
from gateway.review.decisions import Made
from gateway.review.state import ReviewedCode, ReviewedEntity, review_state
from gateway.review.state import ReviewState as State
from gateway.security.permissions import Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import DecisionRow, JobState, NoteRow, ReviewState

BATCH = 200
"""Notes that are in memory at once."""
UNREVIEWED = "unreviewed"
Example = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notes; none is "all" of it. The period is half-open and of the time a note was finished; a note that is not
    finished counts by the time it was opened.

    Raises:
        ValueError: the period ends before it begins.
    """

    since: datetime | None = None
    until: datetime | None = None
    department: str | None = None
    model_version: str | None = None
    unfinished: bool = False
    """With notes in review on which something was decided: for a look at the decisions, not to train on."""
    complete: bool = False
    """Only notes of which a coder decided every suggested entity."""

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("the period must end after it begins")

    def to_dict(self) -> dict[str, Any]:
        """What is set, for the audit log."""
        times = {"since": self.since, "until": self.until}
        set_times = {name: at.astimezone(UTC).isoformat() for name, at in times.items() if at is not None}
        words = {"department": self.department, "model_version": self.model_version}
        flags = {"unfinished": self.unfinished, "complete": self.complete}
        return set_times | {name: value for name, value in (words | flags).items() if value}


@contextmanager
def snapshot(database: Database) -> Iterator[Session]:
    """A session all of whose queries see one moment, on PostgreSQL too."""
    with database.reading() as session:
        if not database.is_sqlite:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def count_notes(database: Database, filters: Filters) -> int:
    """How many there are before ``complete`` is looked at: for a progress bar."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(NoteRow).where(*_wanted(filters))) or 0


def read_examples(database: Database, filters: Filters) -> Generator[Example, None, None]:
    """Examples by the time they were finished, then by id; the unfinished come last. All are of one moment, however
    long the reader takes, and few are in memory at once."""
    when = func.coalesce(NoteRow.finished_at, NoteRow.opened_at)
    ids = select(NoteRow.id).where(*_wanted(filters)).order_by(NoteRow.finished_at.is_(None), when, NoteRow.id)
    with snapshot(database) as session:
        # Ids alone are sorted: the database would sort the texts with them, on disk.
        for part in session.scalars(ids, execution_options={"yield_per": BATCH}).partitions():
            for each in _batch(session, part):
                if not filters.complete or is_complete(each):
                    yield each


def export_examples(
    database: Database, audit: Audit, by: Principal | str, filters: Filters
) -> Generator[Example, None, None]:
    """``read_examples``, audited: a line before the first example is handed out, and one that says how many were, also
    where the reader stopped early (``whole`` is false then)."""
    asked = filters.to_dict()
    with database.transaction() as session:
        audit.append(session, by, "feedback.export_started", "feedback", after={"filters": asked})
    notes = decisions = 0
    whole = False
    try:
        for each in read_examples(database, filters):
            notes, decisions = notes + 1, decisions + len(each["decisions"])
            yield each
        whole = True
    finally:
        after = {"filters": asked, "notes": notes, "decisions": decisions, "whole": whole}
        with database.transaction() as session:
            audit.append(session, by, "feedback.exported", "feedback", after=after)


def to_line(record: Mapping[str, Any]) -> str:
    """A record as a line of its own, without the line's end."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def is_complete(example: Mapping[str, Any]) -> bool:
    """Whether a coder decided every suggested entity."""
    return all(entity["verdict"] != UNREVIEWED for entity in example["entities_suggested"])


def _wanted(filters: Filters) -> list[ColumnElement[bool]]:
    wanted = [NoteRow.state == JobState.DONE, NoteRow.answer.is_not(None)]
    if filters.unfinished:
        wanted.append(NoteRow.review_version > 0)
    else:
        wanted.append(NoteRow.review_state == ReviewState.FINISHED)
    when = func.coalesce(NoteRow.finished_at, NoteRow.opened_at)
    if filters.since is not None:
        wanted.append(when >= filters.since)
    if filters.until is not None:
        wanted.append(when < filters.until)
    if filters.department is not None:
        wanted.append(NoteRow.department == filters.department)
    if filters.model_version is not None:
        wanted.append(NoteRow.model_version == filters.model_version)
    return wanted


def _batch(session: Session, ids: Sequence[str]) -> Iterator[Example]:
    notes = {row.id: row for row in session.execute(_COLUMNS.where(NoteRow.id.in_(ids)))}
    made: defaultdict[str, list[DecisionRow]] = defaultdict(list)
    for row in session.scalars(select(DecisionRow).where(DecisionRow.note_id.in_(ids)).order_by(DecisionRow.number)):
        made[row.note_id].append(row)
    for note_id in ids:
        yield _example(notes[note_id], made[note_id])


_COLUMNS: Select[Any] = select(
    NoteRow.id,
    NoteRow.text,
    NoteRow.answer,
    NoteRow.note_type,
    NoteRow.department,
    NoteRow.source,
    NoteRow.model_version,
    NoteRow.route,
    NoteRow.answered_at,
    NoteRow.finished_at,
)


def _example(note: Row[Any], decisions: Sequence[DecisionRow]) -> Example:
    state = review_state(note.answer, note.text, [Made.from_row(row) for row in decisions])
    flat, overlapping = _flattened(state.final_entities)
    return {
        "id": note.id,
        "text": note.text,
        "entities": [_final(entity) for entity in flat],
        "entities_overlapping": [_final(entity) for entity in overlapping],
        "entities_suggested": [_suggested(entity) for entity in state.entities if entity.origin == "suggested"],
        "codes": _final_codes(state),
        "codes_suggested": [_code(code) for code in state.codes if code.origin == "suggested"],
        "codes_added": [{"code": code.code, "by": code.decided_by} for code in state.codes if code.origin == "added"],
        "note_type": note.note_type,
        "department": note.department,
        "source": note.source,
        "model_version": note.model_version,
        "route": note.route,
        "reviewers": list(dict.fromkeys(row.by for row in decisions)),
        "answered_at": _time(note.answered_at),
        "finished_at": _time(note.finished_at),
        "decisions": [_decision(row) for row in decisions],
    }


def _flattened(entities: Sequence[ReviewedEntity]) -> tuple[list[ReviewedEntity], list[ReviewedEntity]]:
    """Those without overlap, as annotated notes must be, and the others. What a coder decided goes before what nobody
    looked at, then the longest, then the earliest."""
    kept: list[ReviewedEntity] = []
    left: list[ReviewedEntity] = []
    for each in sorted(entities, key=lambda e: (e.verdict == "undecided", e.start - e.end, e.start)):
        is_free = all(each.end <= other.start or other.end <= each.start for other in kept)
        (kept if is_free else left).append(each)
    return sorted(kept, key=lambda e: e.start), sorted(left, key=lambda e: e.start)


def _verdict(entity: ReviewedEntity) -> str:
    if entity.origin == "added":
        return "added"
    return UNREVIEWED if entity.verdict == "undecided" else entity.verdict


def _final(entity: ReviewedEntity) -> dict[str, Any]:
    values = entity.values
    return {
        "start": values.start,
        "end": values.end,
        "type": values.type,
        "certainty": values.certainty,
        "temporality": values.temporality,
        "experiencer": values.experiencer,
        "key": entity.key,
        "verdict": _verdict(entity),
    }


def _suggested(entity: ReviewedEntity) -> dict[str, Any]:
    values = entity.suggested
    return {
        "key": entity.key,
        "start": values.start,
        "end": values.end,
        "type": values.type,
        "certainty": values.certainty,
        "temporality": values.temporality,
        "experiencer": values.experiencer,
        "confidence": entity.confidence,
        "icd_codes": [{"code": each.code, "confidence": each.confidence} for each in entity.icd_codes],
        "verdict": _verdict(entity),
        "by": entity.decided_by,
    }


def _code(code: ReviewedCode) -> dict[str, Any]:
    return {
        "code": code.code,
        "confidence": code.confidence,
        "flags": list(code.flags),
        "verdict": UNREVIEWED if code.verdict == "undecided" else code.verdict,
        "replaced_by": code.replaced_by,
        "reason": code.reason,
        "by": code.decided_by,
    }


def _final_codes(state: State) -> list[dict[str, Any]]:
    return [
        {"code": code.code, "suggested": code.suggested, "evidence": list(code.evidence)} for code in state.final_codes
    ]


def _decision(row: DecisionRow) -> dict[str, Any]:
    """As it is kept, but that a comment's identifiers are masked: the coder may have read the note as it was sent."""
    body = dict(row.body)
    if comment := body.get("comment"):
        body["comment"] = masked(comment, find_identifiers(comment))
    return {"number": row.number, "kind": row.kind, "by": row.by, "at": _time(row.at), "body": body}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None

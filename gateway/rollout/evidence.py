"""What the database knows of two arms since a rollout began.

A note belongs to the arm whose target *was to* answer it, which follows from its id alone. Errors are counted by that
(a note that the candidate lost to production is the candidate's failure); F1, latency and confidence are of the notes
that the arm's own target did answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.feedback.export import BATCH, Filters, read_examples, snapshot
from gateway.feedback.score import entity_counts, tally, undecided
from gateway.rollout.measures import Arm
from gateway.serving.routing import Routing
from gateway.storage.database import Database
from gateway.storage.tables import FailureRow, JobState, NoteRow

SETTLE = timedelta(seconds=10)
"""After a change of the routing file, until every gateway has read it and what was in hand is answered."""
_COLUMNS = (
    NoteRow.id,
    NoteRow.sent_id,
    NoteRow.state,
    NoteRow.attempts,
    NoteRow.route,
    NoteRow.answer,
    NoteRow.received_at,
)
Counted = tuple[int, int, int]


@dataclass(slots=True)
class Seen:
    """What is known of one note: numbers alone."""

    at: datetime
    is_candidate: bool
    failed: bool = False
    latency_ms: float | None = None
    confidence: float | None = None
    finished: bool = False
    counts: Counted | None = None
    """True and false positives and false negatives, where the note was reviewed whole."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Every note of a rollout; ``arms`` of those that came in before a time."""

    notes: tuple[Seen, ...]

    def arms(self, until: datetime | None = None) -> tuple[Arm, Arm]:
        """Control and candidate."""
        notes = [each for each in self.notes if until is None or each.at < until]
        return _arm([n for n in notes if not n.is_candidate]), _arm([n for n in notes if n.is_candidate])


def gather(database: Database, routing: Routing, since: datetime, until: datetime) -> Gathered:
    """``routing`` is the rollout's: its canary or its experiment names the candidate, its production is control. Notes
    that still wait without having failed are left out, and so are those of any third target."""
    with snapshot(database) as session:
        by_id = dict(_notes(session, routing, since + SETTLE, until))
        by_sent_id = _failed_requests(session, routing, since + SETTLE, until)
    sent = {}
    for sent_id, (note_id, seen) in by_id.items():
        seen.failed |= by_sent_id.pop(sent_id, None) is not None
        sent[note_id] = seen
    for example in read_examples(database, Filters(since=since)):
        note = tally(example)
        seen_note = sent.get(note.note_id)
        if seen_note is None or seen_note.latency_ms is None:
            continue
        seen_note.finished = True
        if not undecided(note):
            correct, predicted, gold = entity_counts(note)
            seen_note.counts = (correct, predicted - correct, gold - correct)
    return Gathered((*sent.values(), *by_sent_id.values()))


def candidate_of(routing: Routing) -> str:
    """Raises ValueError: the routing has no candidate, or two."""
    if routing.canary and routing.experiment:
        raise ValueError("a canary and an experiment are on at once: one of them must end first")
    if (chosen := routing.canary or routing.experiment) is None:
        raise ValueError("neither a canary nor an experiment is on")
    return chosen.target


def _notes(
    session: Session, routing: Routing, since: datetime, until: datetime
) -> Iterator[tuple[str, tuple[str, Seen]]]:
    candidate = candidate_of(routing)
    query = select(*_COLUMNS).where(NoteRow.received_at >= since, NoteRow.received_at < until)
    for row in session.execute(query, execution_options={"yield_per": BATCH}):
        meant = routing.target_for(row.sent_id)
        is_done = row.state == JobState.DONE and row.answer is not None
        failed = row.state == JobState.DEAD or row.attempts > 0 or (is_done and row.route != meant)
        if not (is_done or failed):
            continue
        seen = Seen(row.received_at.astimezone(UTC), meant == candidate, failed=failed)
        if is_done and row.route == meant:
            seen.latency_ms = _latency(row.answer)
            seen.confidence = _confidence(row.answer)
        yield row.sent_id, (row.id, seen)


def _failed_requests(session: Session, routing: Routing, since: datetime, until: datetime) -> dict[str, Seen]:
    candidate = candidate_of(routing)
    query = select(FailureRow).where(FailureRow.at >= since, FailureRow.at < until)
    return {
        row.note_id: Seen(row.at, row.route == candidate, failed=True)
        for row in session.scalars(query)
        if row.route in {candidate, routing.production}
    }


def _latency(answer: Mapping[str, Any]) -> float:
    """Of the model alone: how long a note waited for its turn says nothing of the version."""
    return float(answer.get("processing_time_ms", 0.0))


def _confidence(answer: Mapping[str, Any]) -> float | None:
    found = [float(each["confidence"]) for each in answer["entities"]]
    return sum(found) / len(found) if found else None


def _arm(notes: list[Seen]) -> Arm:
    counts = [note.counts for note in notes if note.counts is not None]
    return Arm(
        counts=np.array(counts, dtype=np.int64).reshape(-1, 3),
        latencies_ms=np.array([note.latency_ms for note in notes if note.latency_ms is not None], dtype=np.float64),
        confidences=np.array([note.confidence for note in notes if note.confidence is not None], dtype=np.float64),
        assigned=len(notes),
        failed=sum(note.failed for note in notes),
        finished=sum(note.finished for note in notes),
    )

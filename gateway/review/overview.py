"""Figures for a supervisor: how much is done, how fast, how often the suggestions were right, and what waits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from gateway.storage.tables import DecisionRow, JobState, NoteRow, ReviewState

TOP_CODES = 15
_MOST_ROWS = 20_000
"""The newest that latencies are taken from."""
AGES: tuple[tuple[str, float | None], ...] = (
    ("under 4 h", 4),
    ("4 to 24 h", 24),
    ("1 to 3 days", 72),
    ("over 3 days", None),
)
_CODE_KINDS = ("accept_code", "reject_code", "replace_code", "add_code")
_ENTITY_KINDS = ("accept_entity", "reject_entity", "change_span", "change_type", "change_context", "add_entity")


@dataclass(frozen=True, slots=True)
class Day:
    """Seconds; null where nothing was answered or finished on that day (UTC)."""

    day: date
    received: int
    finished: int
    answer_p50: float | None
    answer_p95: float | None
    review_p50: float | None
    review_p95: float | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of suggestions: of one code, or of the entities of one type. ``changed`` are those replaced or
    corrected, ``added`` those that the model had not found, which the rate leaves out."""

    name: str
    accepted: int
    changed: int
    rejected: int
    added: int

    @property
    def suggested(self) -> int:
        return self.accepted + self.changed + self.rejected

    @property
    def rate(self) -> float | None:
        return self.accepted / self.suggested if self.suggested else None


@dataclass(frozen=True, slots=True)
class Latency:
    """Of all the days together, in seconds."""

    count: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Notes not finished, of one age since they came."""

    age: str
    urgent_open: int
    urgent_in_review: int
    open: int
    in_review: int

    @property
    def total(self) -> int:
        return self.urgent_open + self.urgent_in_review + self.open + self.in_review


@dataclass(frozen=True, slots=True)
class Overview:
    days: tuple[Day, ...]
    codes: tuple[Acceptance, ...]
    """The most decided first; of notes finished in these days."""
    all_codes: Acceptance
    entities: tuple[Acceptance, ...]
    answer: Latency
    """Received to answered."""
    review: Latency
    """Opened to finished."""
    backlog: tuple[Backlog, ...]
    waiting: int
    dead: int


def read_overview(session: Session, days: int, now: datetime) -> Overview:
    """``days`` back from today, today included."""
    first = now.date() - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=now.tzinfo)
    answers = _durations(session, NoteRow.received_at, NoteRow.answered_at, since)
    reviews = _durations(session, NoteRow.opened_at, NoteRow.finished_at, since)
    received = _per_day(session, NoteRow.received_at, since)
    finished = _per_day(session, NoteRow.finished_at, since)
    lines = []
    for day in (first + timedelta(days=i) for i in range(days)):
        answer, review = _latency(answers.get(day, ())), _latency(reviews.get(day, ()))
        counts = received.get(day, 0), finished.get(day, 0)
        lines.append(Day(day, *counts, answer.p50, answer.p95, review.p50, review.p95))
    codes = _code_acceptance(session, since)
    return Overview(
        days=tuple(lines),
        codes=tuple(codes[:TOP_CODES]),
        all_codes=_sum("all codes", codes),
        entities=tuple(_entity_acceptance(session, since)),
        answer=_latency([seconds for each in answers.values() for seconds in each]),
        review=_latency([seconds for each in reviews.values() for seconds in each]),
        backlog=tuple(_backlog(session, now)),
        waiting=_count(session, NoteRow.state.in_([JobState.QUEUED, JobState.RUNNING])),
        dead=_count(session, NoteRow.state == JobState.DEAD),
    )


def _count(session: Session, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(NoteRow).where(condition)) or 0


def _per_day(session: Session, column: InstrumentedAttribute[Any], since: datetime) -> dict[date, int]:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    day: Any = func.date(column) if is_sqlite else func.date(func.timezone("UTC", column))
    found = session.execute(select(day, func.count()).where(column >= since).group_by(day))
    return {each if isinstance(each, date) else date.fromisoformat(each): count for each, count in found}


def _durations(
    session: Session,
    start: InstrumentedAttribute[Any],
    end: InstrumentedAttribute[Any],
    since: datetime,
) -> dict[date, list[float]]:
    """Seconds, by the day of the end."""
    query = select(start, end).where(end >= since, start.is_not(None)).order_by(end.desc()).limit(_MOST_ROWS)
    found: defaultdict[date, list[float]] = defaultdict(list)
    for begun, ended in session.execute(query):
        found[ended.date()].append(max(0.0, (ended - begun).total_seconds()))
    return found


def _latency(seconds: Sequence[float]) -> Latency:
    ordered = sorted(seconds)
    return Latency(len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.95))


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest rank: a value that was measured."""
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)] if ordered else None


# -- acceptance --


def _standing(
    session: Session, since: datetime, target: ColumnElement[Any], group: ColumnElement[Any], prefix: str
) -> Iterable[tuple[str | None, str, int]]:
    """(group, kind, count) of the decisions that stand: the last on each target of the notes finished in these days.
    One that was cleared has none."""
    kinds = _CODE_KINDS if prefix == "code:" else _ENTITY_KINDS
    place = func.row_number().over(partition_by=(DecisionRow.note_id, target), order_by=DecisionRow.number.desc())
    # What a coder added stays added, however it was corrected after.
    kind = case((target.like("d%"), "add_entity"), else_=DecisionRow.kind) if prefix == "entity:" else DecisionRow.kind
    kind = case((DecisionRow.kind == "clear", "clear"), else_=kind)
    ranked = (
        select(kind.label("kind"), group.label("name"), place.label("place"))
        .join(NoteRow, NoteRow.id == DecisionRow.note_id)
        .where(NoteRow.review_state == ReviewState.FINISHED, NoteRow.finished_at >= since)
        .where(
            DecisionRow.kind.in_(kinds)
            | ((DecisionRow.kind == "clear") & DecisionRow.body["target"].as_string().startswith(prefix))
        )
        .subquery()
    )
    query = (
        select(ranked.c.name, ranked.c.kind, func.count())
        .where(ranked.c.place == 1, ranked.c.kind != "clear")
        .group_by(ranked.c.name, ranked.c.kind)
    )
    return [(name, kind, count) for name, kind, count in session.execute(query)]


def _target(name: str, prefix: str) -> ColumnElement[Any]:
    cleared = func.substr(DecisionRow.body["target"].as_string(), len(prefix) + 1)
    return case((DecisionRow.kind == "clear", cleared), else_=DecisionRow.body[name].as_string())


def _code_acceptance(session: Session, since: datetime) -> list[Acceptance]:
    code = _target("code", "code:")
    found = _tally(_standing(session, since, code, code, "code:"))
    return sorted(found, key=lambda each: (-each.suggested - each.added, each.name))


def _entity_acceptance(session: Session, since: datetime) -> list[Acceptance]:
    # One that was added has no key in its own decision; its number is the key that later ones have.
    added = literal("d") + cast(DecisionRow.number, Text)
    target = case((DecisionRow.kind == "add_entity", added), else_=_target("entity", "entity:"))
    group = DecisionRow.body["known"]["type"].as_string()
    return sorted(_tally(_standing(session, since, target, group, "entity:")), key=lambda each: each.name)


def _tally(found: Iterable[tuple[str | None, str, int]]) -> list[Acceptance]:
    counts: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_FIELDS, 0))
    for name, kind, count in found:
        if name:
            counts[name][_FIELD_OF.get(kind.partition("_")[0], "changed")] += count
    return [Acceptance(name, **each) for name, each in counts.items()]


def _sum(name: str, each: Sequence[Acceptance]) -> Acceptance:
    return Acceptance(name, *(sum(getattr(one, field) for one in each) for field in _FIELDS))


_FIELDS = ("accepted", "changed", "rejected", "added")
_FIELD_OF = {"accept": "accepted", "reject": "rejected", "replace": "changed", "change": "changed", "add": "added"}


# -- backlog --


def _backlog(session: Session, now: datetime) -> list[Backlog]:
    bounds = [(NoteRow.received_at > now - timedelta(hours=hours), i) for i, (_, hours) in enumerate(AGES) if hours]
    age = case(*bounds, else_=len(AGES) - 1)
    query = (
        select(age, NoteRow.urgent, NoteRow.review_state, func.count())
        .where(NoteRow.state == JobState.DONE, NoteRow.review_state != ReviewState.FINISHED)
        .group_by(age, NoteRow.urgent, NoteRow.review_state)
    )
    counts = {(place, urgent, stage): count for place, urgent, stage, count in session.execute(query)}
    return [
        Backlog(
            name,
            *(
                counts.get((i, urgent, stage), 0)
                for urgent in (True, False)
                for stage in (ReviewState.OPEN, ReviewState.IN_REVIEW)
            ),
        )
        for i, (name, _) in enumerate(AGES)
    ]

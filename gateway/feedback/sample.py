"""The weekly sample of predictions that coders review whole, to see whether labels drift.

Which notes are drawn follows from the seed and the notes alone, not from the order in which the database gives them:
in each stratum those whose SHA-256 with the seed is smallest. The file of the sample is its record.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.feedback.export import BATCH, snapshot
from gateway.security.permissions import Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import JobState, NoteRow

SIZE = 200
DAYS = 7
BANDS: tuple[tuple[str, float], ...] = (("under 0.5", 0.5), ("0.5 to 0.8", 0.8), ("0.8 and over", float("inf")))
"""Of the lowest confidence among a note's codes."""
NO_CODES = "no codes"


class Stratum(NamedTuple):
    note_type: str
    department: str | None
    band: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sample is drawn from. The period is half-open and of the time a note was answered."""

    since: datetime
    until: datetime
    seed: str
    size: int = SIZE

    @classmethod
    def of_week(cls, week: str, *, seed: str | None = None, size: int = SIZE) -> "Plan":
        """Monday to Monday in UTC of an ISO week such as ``2026-W48``, which is the seed where none is given.

        Raises:
            ValueError: there is no such week.
        """
        fits = re.fullmatch(r"(\d{4})-W(\d{2})", week)
        try:
            monday = date.fromisocalendar(int(fits[1]), int(fits[2]), 1) if fits else None
        except ValueError:
            monday = None
        if monday is None:
            raise ValueError(f"'{week}' is no ISO week: write it as in 2026-W48")
        since = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
        return cls(since, since + timedelta(days=7), seed or week, size)

    @classmethod
    def of_last_days(cls, now: datetime, *, days: int = DAYS, seed: str | None = None, size: int = SIZE) -> "Plan":
        """The days before ``now``, whose ISO week is the seed where none is given."""
        year, week, _ = now.astimezone(UTC).isocalendar()
        return cls(now - timedelta(days=days), now, seed or f"{year}-W{week:02d}", size)


@dataclass(frozen=True, slots=True)
class StratumCount:
    stratum: Stratum
    notes: int
    sampled: int


@dataclass(frozen=True, slots=True)
class Sample:
    """``lines`` are the sample's records in the order of their ids; no text of a note is in them."""

    lines: tuple[dict[str, Any], ...]
    strata: tuple[StratumCount, ...]

    @property
    def notes(self) -> int:
        """That it was drawn from."""
        return sum(each.notes for each in self.strata)


def draw_sample(database: Database, audit: Audit, by: Principal | str, plan: Plan) -> Sample:
    """Draw, and write a line to the audit log with the digest of the ids drawn, by which the file can be known."""
    with snapshot(database) as session:
        ids = _strata(session, plan)
        sizes = allocate({stratum: len(each) for stratum, each in ids.items()}, plan.size, plan.seed)
        drawn = {note_id: s for s, each in ids.items() for note_id in choose(each, sizes[s], plan.seed)}
        lines = _lines(session, plan, drawn, {s: (len(each), sizes[s]) for s, each in ids.items()})
    in_order = sorted(ids, key=_stratum_order)
    sample = Sample(tuple(lines), tuple(StratumCount(s, len(ids[s]), sizes[s]) for s in in_order))
    after = {
        "seed": plan.seed,
        "since": plan.since.astimezone(UTC).isoformat(),
        "until": plan.until.astimezone(UTC).isoformat(),
        "notes": sample.notes,
        "sampled": len(lines),
        "digest": hashlib.sha256("\n".join(sorted(drawn)).encode()).hexdigest(),
    }
    with database.transaction() as session:
        audit.append(session, by, "feedback.sampled", "feedback", after=after)
    return sample


def read_sample(path: Path) -> set[str]:
    """The note ids of a sample's file.

    Raises:
        ValueError: names the line that is none of a sample.
    """
    ids = set()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    ids.add(str(json.loads(line)["note_id"]))
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{path}:{number}: not a line of a sample") from None
    return ids


def band(lowest_confidence: float | None) -> str:
    if lowest_confidence is None:
        return NO_CODES
    return next(name for name, end in BANDS if lowest_confidence < end)


def allocate(sizes: Mapping[Stratum, int], total: int, seed: str) -> dict[Stratum, int]:
    """How many to draw of each stratum: in proportion, by largest remainder, and at least one of each where there are
    no more strata than places. The strata that are lifted to one so take their places from all others in proportion.

    Never more than a stratum has; all of it where ``total`` is more than all there is.
    """
    left = {stratum: size for stratum, size in sizes.items() if size > 0}
    places = min(total, sum(left.values()))
    found = dict.fromkeys(sizes, 0)
    if len(left) <= places:
        while small := [s for s, size in left.items() if size * places < sum(left.values())]:
            found |= dict.fromkeys(small, 1)
            places -= len(small)
            left = {s: size for s, size in left.items() if s not in small}
    whole = sum(left.values())
    remainders = {}
    for stratum, size in left.items():
        found[stratum], remainders[stratum] = divmod(size * places, whole)
    missing = places - sum(found[stratum] for stratum in left)
    by_remainder = sorted(left, key=lambda s: (-remainders[s], _rank(seed, repr(tuple(s)))))
    for stratum in by_remainder[:missing]:
        found[stratum] += 1
    return found


def choose(ids: Iterable[str], count: int, seed: str) -> list[str]:
    """``count`` of them, whatever their order."""
    return sorted(ids, key=lambda note_id: _rank(seed, note_id))[:count]


def _rank(seed: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _stratum_order(stratum: Stratum) -> tuple[str, str, str]:
    return stratum.note_type, stratum.department or "", stratum.band


def _strata(session: Session, plan: Plan) -> dict[Stratum, list[str]]:
    query = select(NoteRow.id, NoteRow.note_type, NoteRow.department, NoteRow.lowest_confidence).where(
        NoteRow.state == JobState.DONE,
        NoteRow.answer.is_not(None),
        NoteRow.answered_at >= plan.since,
        NoteRow.answered_at < plan.until,
    )
    ids: defaultdict[Stratum, list[str]] = defaultdict(list)
    for note_id, note_type, department, confidence in session.execute(query, execution_options={"yield_per": 1000}):
        ids[Stratum(note_type, department, band(confidence))].append(note_id)
    return dict(ids)


def _lines(
    session: Session, plan: Plan, drawn: Mapping[str, Stratum], counts: Mapping[Stratum, tuple[int, int]]
) -> list[dict[str, Any]]:
    columns = NoteRow.id, NoteRow.answer, NoteRow.answered_at, NoteRow.model_version, NoteRow.route
    ids = sorted(drawn)
    lines = []
    for part in (ids[i : i + BATCH] for i in range(0, len(ids), BATCH)):
        query = select(*columns).where(NoteRow.id.in_(part)).order_by(NoteRow.id)
        for note_id, answer, at, model_version, route in session.execute(query):
            notes, sampled = counts[drawn[note_id]]
            lines.append(
                {
                    "note_id": note_id,
                    "seed": plan.seed,
                    "stratum": drawn[note_id]._asdict(),
                    "weight": notes / sampled,
                    "answered_at": at.isoformat(),
                    "model_version": model_version,
                    "route": route,
                    **_suggestions(answer),
                }
            )
    return lines


def _suggestions(answer: Mapping[str, Any]) -> dict[str, Sequence[Mapping[str, Any]]]:
    context = ("certainty", "temporality", "experiencer")
    entities = [
        {"start": each["start_char"], "end": each["end_char"], "type": each["type"], "confidence": each["confidence"]}
        | {name: each.get(name) for name in context}
        for each in answer["entities"]
    ]
    codes = [{name: each[name] for name in ("code", "confidence")} for each in answer.get("codes") or ()]
    return {"entities": entities, "codes": codes}

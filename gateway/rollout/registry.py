"""Every decision of a rollout with its reasons and figures, who made it, and the routing before and after it.

The registry is the audit chain itself: lines whose subject is ``rollout``. They can only be added to, and one that is
changed or left out breaks the chain. What is on at the moment follows from them, so there is no state beside them that
could say otherwise.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.rollout.decision import NOT_LOOKED, Looked
from gateway.security.permissions import Principal
from gateway.storage.audit import Audit
from gateway.storage.tables import AuditRow

SUBJECT = "rollout"
Kind = Literal["canary", "ab"]
STARTS = {"rollout.canary_started": "canary", "rollout.ab_started": "ab"}
LOOKS = {"rollout.canary_waited", "rollout.ab_continued"}
"""After which all stays as it was."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the registry. ``before`` and ``after`` hold ``routing``; ``after`` also ``reasons`` and, of a
    decision on evidence, ``figures`` and ``looked``."""

    number: int
    at: str
    actor: str
    action: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def reasons(self) -> list[str]:
        return [str(each) for each in self.after.get("reasons", [])]

    def to_dict(self) -> dict[str, Any]:
        names = ("number", "at", "actor", "action", "before", "after")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Running:
    """A rollout that has begun and not ended: its plan is the one that it was started with."""

    kind: Kind
    since: datetime
    routing: dict[str, Any]
    plan: dict[str, Any]
    looked: Looked
    reasons: list[str]
    """Of the last look."""


class Registry:
    """Writes and reads the lines. Pass a session of ``Database.transaction`` to write."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def record(
        self,
        session: Session,
        by: Principal | str,
        action: str,
        *,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        reasons: Sequence[str],
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """``before`` and ``after`` are routings."""
        self._audit.append(
            session,
            by,
            f"rollout.{action}",
            SUBJECT,
            before={"routing": dict(before)},
            after={"routing": dict(after), "reasons": list(reasons), **(details or {})},
        )

    def lines(self, session: Session, *, limit: int | None = None, looks: bool = True) -> list[Line]:
        """The newest ``limit``, oldest first; without ``looks`` those after which all stayed as it was are left out."""
        query = select(AuditRow).where(AuditRow.subject == SUBJECT).order_by(AuditRow.number.desc())
        if not looks:
            query = query.where(AuditRow.action.not_in(LOOKS))
        rows = session.scalars(query.limit(limit) if limit is not None else query).all()
        return [_line(row) for row in reversed(rows)]

    def running(self, session: Session) -> Running | None:
        """What is on, by the lines alone."""
        last = self.lines(session, limit=1, looks=False)
        if not last or last[0].action not in STARTS:
            return None
        start = last[0]
        looks = [line for line in self.lines(session, limit=1) if line.action in LOOKS]
        return Running(
            kind="canary" if STARTS[start.action] == "canary" else "ab",
            since=datetime.fromisoformat(start.after["since"]),
            routing=start.after["routing"],
            plan=start.after["plan"],
            looked=Looked.from_dict(looks[0].after["looked"]) if looks else NOT_LOOKED,
            reasons=looks[0].reasons if looks else [],
        )


def _line(row: AuditRow) -> Line:
    before, after = (json.loads(each) if each else {} for each in (row.before, row.after))
    return Line(row.number, row.at, row.actor, row.action, before, after)

"""The audit log: who did what to which thing, when, and what it was before and after. Only ever added to, and chained.

Each line's digest is an HMAC-SHA256 of its content and of the digest before it, so a line that is changed, left out or
put in later breaks every digest after it. What a chain alone cannot show is that its end was cut off: keep the head
that ``verify`` returns somewhere else, and hand it to the next ``verify``.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from gateway.security.permissions import Principal
from gateway.storage.tables import AuditRow

GENESIS = "0" * 64
_CHAIN_LOCK = 7253002


@dataclass(frozen=True, slots=True)
class ChainReport:
    """``broken_at`` is the number of the first line that does not fit, null for a sound chain; ``head`` is the last
    line's number and digest ("12:9f…")."""

    lines: int
    head: str
    broken_at: int | None
    reason: str | None = None


class Audit:
    """The log, with the deployment's key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def append(
        self,
        session: Session,
        actor: Principal | str,
        action: str,
        subject: str,
        *,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        """Add a line in the caller's transaction: the deed and its line stand or fall together.

        Nothing of a note's text may be handed over: codes, offsets, states and settings only.
        """
        if session.get_bind().dialect.name == "postgresql":  # on SQLite the transaction has the write lock
            session.execute(text(f"SELECT pg_advisory_xact_lock({_CHAIN_LOCK})"))
        session.flush()
        last = session.execute(
            select(AuditRow.number, AuditRow.digest).order_by(AuditRow.number.desc()).limit(1)
        ).one_or_none()
        row = AuditRow(
            number=last.number + 1 if last else 1,
            at=datetime.now(UTC).isoformat(timespec="microseconds"),
            actor=actor if isinstance(actor, str) else actor.name,
            action=action,
            subject=subject,
            before=_canonical(before),
            after=_canonical(after),
            previous=last.digest if last else GENESIS,
        )
        row.digest = self._digest(row)
        session.add(row)
        session.flush()

    def verify(self, session: Session, *, known_head: str | None = None) -> ChainReport:
        """Walk the whole chain; ``known_head`` is a head that an earlier walk returned."""
        number, previous = 0, GENESIS
        seen = known_head is None or known_head == f"0:{GENESIS}"
        for row in session.scalars(select(AuditRow).order_by(AuditRow.number)).yield_per(1000):
            if row.number != number + 1:
                return ChainReport(number, f"{number}:{previous}", number + 1, "a line is missing")
            if row.previous != previous or not hmac.compare_digest(row.digest, self._digest(row)):
                return ChainReport(number, f"{number}:{previous}", row.number, "a line was changed")
            number, previous = row.number, row.digest
            seen = seen or known_head == f"{number}:{previous}"
        head = f"{number}:{previous}"
        return ChainReport(number, head, None) if seen else ChainReport(number, head, number, "the known head is gone")

    def _digest(self, row: AuditRow) -> str:
        content = [row.number, row.at, row.actor, row.action, row.subject, row.before, row.after, row.previous]
        return hmac.new(self._key, json.dumps(content).encode(), hashlib.sha256).hexdigest()


def _canonical(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"))

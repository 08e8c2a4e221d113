"""Notes older than a deployment keeps them are deleted, with their decisions; the audit log says how many."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, or_, select, text

from gateway.security.permissions import SYSTEM, Principal
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import FailureRow, JobState, LoginCodeRow, NoteRow, SessionRow

_AT_ONCE = 500
_EVERY_SECONDS = 3600.0
log = structlog.get_logger(__name__)


class Retention:
    """Deletes what is past its time. Notes that still wait for their prediction are never deleted."""

    def __init__(self, database: Database, audit: Audit, days: int) -> None:
        self._database = database
        self._audit = audit
        self._days = days

    def due(self, days: int | None = None) -> int:
        """How many notes a purge would delete now."""
        with self._database.reading() as session:
            return session.scalar(select(func.count()).select_from(NoteRow).where(_is_over(self._cutoff(days)))) or 0

    def purge(self, by: Principal = SYSTEM, days: int | None = None) -> int:
        """Delete notes received more than ``days`` ago (default: the deployment's), logins that are over and
        failures of that age; returns the number of notes. In parts, so that others get their turn between them."""
        cutoff, total = self._cutoff(days), 0
        while True:
            with self._database.transaction() as session:
                ids = session.scalars(select(NoteRow.id).where(_is_over(cutoff)).limit(_AT_ONCE)).all()
                if ids:
                    session.execute(delete(NoteRow).where(NoteRow.id.in_(ids)))
                    after = {"notes": len(ids), "received_before": cutoff.isoformat()}
                    self._audit.append(session, by, "notes.purged", "notes", after=after)
            total += len(ids)
            if len(ids) < _AT_ONCE:
                break
        self._purge_rest(cutoff)
        if total and self._database.is_sqlite:  # deleted pages are overwritten; so is what the log still holds of them
            with self._database.engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return total

    async def run(self) -> None:
        """Purge every hour until cancelled."""
        while True:
            try:
                if count := await asyncio.to_thread(self.purge):
                    log.info("purged", notes=count)
            except Exception as error:
                log.error("purge_failed", error=type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    def _cutoff(self, days: int | None) -> datetime:
        return datetime.now(UTC) - timedelta(days=self._days if days is None else days)

    def _purge_rest(self, cutoff: datetime) -> None:
        now = datetime.now(UTC)
        with self._database.transaction() as session:
            session.execute(delete(SessionRow).where(SessionRow.expires_at < now))
            used = or_(LoginCodeRow.expires_at < now, LoginCodeRow.used_at.is_not(None))
            session.execute(delete(LoginCodeRow).where(used))
            session.execute(delete(FailureRow).where(FailureRow.at < cutoff))


def _is_over(cutoff: datetime) -> ColumnElement[bool]:
    return and_(NoteRow.received_at < cutoff, NoteRow.state.in_([JobState.DONE, JobState.DEAD]))

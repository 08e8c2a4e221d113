"""Sessions of people in browsers, kept in the database: the cookie holds a random value and nothing else."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session as Transaction

from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.security.secrets import mac, new_secret, now
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import SessionRow

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Session:
    """``csrf_token`` goes into every form of the session's pages."""

    user: str
    role: Role
    csrf_token: str = field(repr=False)
    expires_at: datetime

    @property
    def principal(self) -> Principal:
        return Principal(f"user:{self.user}", self.role, PERMISSIONS[self.role])


class SessionStore:
    """Who is logged in. Nothing is cached: a session that is ended is ended for the next request."""

    def __init__(self, database: Database, audit: Audit, settings: Settings) -> None:
        self._database = database
        self._audit = audit
        self._mac_key = settings.derived_key("sessions")
        self._longest = timedelta(hours=settings.session_hours)
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self._touch_after = min(timedelta(minutes=1), self._idle / 10)
        self.secure = settings.url.startswith("https://")
        """Whether people come over https: cookies then have the ``__Host-`` prefix and ``Secure``."""
        self.cookie = "__Host-clincode" if self.secure else "clincode_session"
        self.cookie_seconds = int(self._longest.total_seconds())

    def open(self, transaction: Transaction, user: str, role: Role, *, method: str, replaces: str | None = None) -> str:
        """A new session in the caller's transaction, and its line in the audit log; returns the cookie's value.

        The value is always new, so one that was planted in the browser before is worth nothing. ``replaces`` is the
        cookie that the browser came with: that session ends.
        """
        value, at = new_secret(), now()
        if replaces is not None:
            transaction.execute(delete(SessionRow).where(SessionRow.id_hash == mac(self._mac_key, replaces)))
        transaction.add(
            SessionRow(
                id_hash=mac(self._mac_key, value),
                user=user,
                role=role.value,
                csrf_token=new_secret(),
                created_at=at,
                last_seen_at=at,
                expires_at=at + self._longest,
            )
        )
        subject = f"user:{user}"
        after = {"method": method, "role": role.value}
        self._audit.append(transaction, subject, "login.succeeded", subject, after=after)
        return value

    def start(self, user: str, role: Role, *, method: str, replaces: str | None = None) -> str:
        """``open`` in a transaction of its own."""
        with self._database.transaction() as transaction:
            return self.open(transaction, user, role, method=method, replaces=replaces)

    def note_failure(self, method: str, reason: str) -> None:
        """A login that failed, for the audit log; nobody's name, for nobody has shown that it is theirs."""
        with self._database.transaction() as transaction:
            after = {"method": method, "reason": reason}
            self._audit.append(transaction, "anonymous", "login.failed", "login", after=after)

    def find(self, value: str) -> Session | None:
        """The session of a cookie; None where it is unknown, was left idle or is over."""
        if not _VALUE.fullmatch(value):
            return None
        digest, at = mac(self._mac_key, value), now()
        with self._database.reading() as transaction:
            row = transaction.get(SessionRow, digest)
        if row is None or row.expires_at <= at or row.last_seen_at + self._idle <= at:
            return None
        if row.last_seen_at + self._touch_after <= at:
            with self._database.transaction() as transaction:
                transaction.execute(update(SessionRow).where(SessionRow.id_hash == digest).values(last_seen_at=at))
        return Session(row.user, Role(row.role), row.csrf_token, row.expires_at)

    def end(self, value: str) -> None:
        """Log out."""
        with self._database.transaction() as transaction:
            row = transaction.get(SessionRow, mac(self._mac_key, value))
            if row is not None:
                subject = f"user:{row.user}"
                transaction.delete(row)
                self._audit.append(transaction, subject, "logout", subject)

    def end_all(self, user: str, ended_by: Principal | str) -> int:
        """Throw a person out everywhere; returns how many sessions that were."""
        with self._database.transaction() as transaction:
            hashes = transaction.scalars(select(SessionRow.id_hash).where(SessionRow.user == user)).all()
            transaction.execute(delete(SessionRow).where(SessionRow.user == user))
            self._audit.append(transaction, ended_by, "sessions.ended", f"user:{user}", after={"sessions": len(hashes)})
        return len(hashes)

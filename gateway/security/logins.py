"""One-time login codes, for people where no identity provider is set up."""

from datetime import timedelta

from sqlalchemy import CursorResult, select, update

from gateway.errors import GatewayError
from gateway.security.permissions import Principal, Role
from gateway.security.secrets import checked_user_name, mac, new_secret, now
from gateway.security.sessions import SessionStore
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import LoginCodeRow

LIFETIME = timedelta(hours=1)
LONGEST = timedelta(days=7)


class LoginCodes:
    """Codes that were handed to people; each opens one session, once."""

    def __init__(self, database: Database, audit: Audit, settings: Settings, sessions: SessionStore) -> None:
        self._database = database
        self._audit = audit
        self._sessions = sessions
        self._mac_key = settings.derived_key("login codes")

    def create(self, user: str, role: Role, created_by: Principal | str, lifetime: timedelta = LIFETIME) -> str:
        """A code for a person, shown once.

        Raises:
            GatewayError: 422 for a name that cannot stand in the audit log, a role that is not a person's or a
                lifetime that is none or over a week.
        """
        checked_user_name(user)
        if role is Role.SERVICE:
            raise GatewayError(422, "bad_role", "a person is a coder, a supervisor or an admin", "role")
        if not timedelta(0) < lifetime <= LONGEST:
            raise GatewayError(422, "bad_lifetime", "a login code lives for a minute to a week", "minutes")
        code, at = new_secret(24), now()
        with self._database.transaction() as session:
            session.add(
                LoginCodeRow(
                    code_hash=mac(self._mac_key, code),
                    user=user,
                    role=role.value,
                    created_at=at,
                    expires_at=at + lifetime,
                )
            )
            after = {"role": role.value, "minutes": round(lifetime.total_seconds() / 60)}
            self._audit.append(session, created_by, "login.created", f"user:{user}", after=after)
        return code

    def redeem(self, code: str, *, replaces: str | None = None) -> str | None:
        """Log in: the value of the new session's cookie, or None for a code that is unknown, over or used.

        Of two that come with the same code at once, one gets in: the code is marked as used and the session opened in
        one transaction. ``replaces`` is the cookie that the browser came with; that session ends.
        """
        digest, at = mac(self._mac_key, code.strip()), now()
        fresh = (LoginCodeRow.code_hash == digest, LoginCodeRow.used_at.is_(None), LoginCodeRow.expires_at > at)
        with self._database.transaction() as session:
            taken = session.execute(update(LoginCodeRow).where(*fresh).values(used_at=at))
            if not isinstance(taken, CursorResult) or taken.rowcount != 1:
                self._audit.append(session, "anonymous", "login.failed", "login", after={"method": "code"})
                return None
            row = session.scalars(select(LoginCodeRow).where(LoginCodeRow.code_hash == digest)).one()
            return self._sessions.open(session, row.user, Role(row.role), method="code", replaces=replaces)

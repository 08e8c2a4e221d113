"""Everything that access control stands on, put together once at start."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from gateway.security.keys import KeyStore
from gateway.security.limits import RateLimits
from gateway.security.logins import LoginCodes
from gateway.security.oidc import Provider
from gateway.security.permissions import Role
from gateway.security.sessions import Session, SessionStore
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class Security:
    """The stores of people and programs, found by the routes as ``request.app.state.services.security``."""

    settings: Settings
    database: Database
    audit: Audit
    keys: KeyStore
    sessions: SessionStore
    logins: LoginCodes
    limits: RateLimits
    oidc: Provider | None
    """None where no issuer is set."""
    local_session: Session
    """What pages find as their session where authentication is off."""

    @classmethod
    def build(cls, settings: Settings, database: Database, audit: Audit) -> Self:
        """Opens no connection, to the database or to the identity provider.

        Raises:
            ValueError: the rate limit or the issuer does not fit.
        """
        sessions = SessionStore(database, audit, settings)
        return cls(
            settings=settings,
            database=database,
            audit=audit,
            keys=KeyStore(database, audit, settings.derived_key("api keys")),
            sessions=sessions,
            logins=LoginCodes(database, audit, settings, sessions),
            limits=RateLimits(settings.rate_limit),
            oidc=Provider(settings) if settings.oidc_issuer else None,
            local_session=Session("local", Role.ADMIN, secrets.token_urlsafe(32), datetime.max.replace(tzinfo=UTC)),
        )

"""API keys: ``cc_<id>_<secret>``. The id may be shown and logged; of the secret only its HMAC is stored."""

import re
import secrets
import string
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import GatewayError, conflict, not_found
from gateway.security.permissions import PERMISSIONS, Permission, Principal, Role
from gateway.security.secrets import mac, new_secret, now, same
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import ApiKeyRow

PREFIX = "cc_"
CACHE_SECONDS = 1.0
"""How long a key that was found good is taken to be so: the longest that a revocation in another process, or an expiry,
goes unnoticed."""
_USE_NOTED_EVERY = timedelta(minutes=1)
_ID_LETTERS = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"cc_([a-z0-9]{12})_([A-Za-z0-9_-]{32,128})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; its secret is not."""

    id: str
    name: str
    role: Role
    scopes: frozenset[Permission]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def state(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now() else "active"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is made; ``token`` is shown to a person once and is not kept."""

    key: ApiKey
    token: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.id})"


class KeyStore:
    """The keys of a deployment. Safe to share between threads; all methods block on the database."""

    def __init__(self, database: Database, audit: Audit, mac_key: bytes) -> None:
        self._database = database
        self._audit = audit
        self._mac_key = mac_key
        self._good: dict[str, tuple[Principal, float, str]] = {}
        """By the MAC of the whole key: whose it is, until when that stands unasked, the key's id."""
        self._noted: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        role: Role,
        scopes: Collection[Permission],
        created_by: Principal | str,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """A new key; ``scopes`` are what it may do of what its role may.

        Raises:
            GatewayError: 422 for a bad name, an empty or too wide scope or an expiry that is past; 409 where an active
                key has the name, for the audit log tells keys apart by it.
        """
        if not _NAME.fullmatch(name):
            raise GatewayError(422, "bad_name", "a key's name has 1 to 64 letters, digits, '.', '_' or '-'", "name")
        if not scopes:
            raise GatewayError(422, "no_scopes", "a key needs a scope", "scopes")
        if beyond := sorted(set(scopes) - PERMISSIONS[role]):
            raise GatewayError(422, "scope_beyond_role", f"the role '{role}' has no '{beyond[0]}'", "scopes")
        at = now()
        if expires_at is not None and expires_at <= at:
            raise GatewayError(422, "bad_expiry", "the expiry is in the past", "expires_at")
        actor = created_by if isinstance(created_by, str) else created_by.name
        identity, secret = "".join(secrets.choice(_ID_LETTERS) for _ in range(12)), new_secret()
        row = ApiKeyRow(
            id=identity,
            name=name,
            secret_hash=mac(self._mac_key, secret),
            role=role.value,
            scopes=sorted(scope.value for scope in scopes),
            created_at=at,
            created_by=actor,
            expires_at=expires_at,
        )
        with self._database.transaction() as session:
            taken = select(ApiKeyRow.id).where(
                ApiKeyRow.name == name,
                ApiKeyRow.revoked_at.is_(None),
                or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > at),
            )
            if session.scalars(taken).first() is not None:
                raise conflict("name_taken", "an active key has this name", "name")
            session.add(row)
            after = {"name": name, "role": row.role, "scopes": row.scopes, "expires_at": _iso(expires_at)}
            self._audit.append(session, actor, "key.created", f"key:{identity}", after=after)
        return NewKey(_public(row), f"{PREFIX}{identity}_{secret}")

    def list(self) -> list[ApiKey]:
        """Every key that there ever was, the newest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id))
            return [_public(row) for row in rows]

    def revoke(self, identity: str, revoked_by: Principal | str) -> None:
        """End a key: at once in this process, within ``CACHE_SECONDS`` in others. Again is no fault and no new line.

        Raises:
            GatewayError: 404 where there is no such key.
        """
        with self._database.transaction() as session:
            row = session.get(ApiKeyRow, identity)
            if row is None:
                raise not_found("key", "id")
            if row.revoked_at is None:
                row.revoked_at = now()
                self._audit.append(session, revoked_by, "key.revoked", f"key:{identity}", after={"name": row.name})
        with self._lock:
            self._good = {whole: good for whole, good in self._good.items() if good[2] != identity}

    def cached(self, token: str) -> Principal | None:
        """Whose key it is, where that was looked up within ``CACHE_SECONDS``; does not block."""
        found = self._good.get(mac(self._mac_key, token))
        return found[0] if found is not None and time.monotonic() < found[1] else None

    def was_good(self, token: str) -> bool:
        """Whether this process once found it good; it may have been revoked or have expired since. Does not block."""
        return mac(self._mac_key, token) in self._good

    def authenticate(self, token: str) -> Principal | None:
        """Whose key it is; None for one that is malformed, unknown, revoked or expired."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        if found := self.cached(token):
            return found
        digest = mac(self._mac_key, parts[2])
        with self._database.reading() as session:
            row = session.get(ApiKeyRow, parts[1])
            key = _public(row) if row else None
            stored = row.secret_hash if row else "0" * 64
        right = same(digest, stored)
        whole = mac(self._mac_key, token)
        if key is None or not right or key.state != "active":
            with self._lock:
                self._good.pop(whole, None)
            return None
        principal = Principal(f"key:{key.name}", key.role, key.scopes & PERMISSIONS[key.role])
        with self._lock:
            self._good[whole] = (principal, time.monotonic() + CACHE_SECONDS, key.id)
        self._note_use(key)
        return principal

    def _note_use(self, key: ApiKey) -> None:
        at = now()
        before = at - _USE_NOTED_EVERY
        with self._lock:
            noted = self._noted.get(key.id) or key.last_used_at
            if noted is not None and noted > before:
                return
            self._noted[key.id] = at
        # A database that is busy does not make a good key a bad one.
        with suppress(SQLAlchemyError), self._database.transaction() as session:
            stale = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= before)
            session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key.id, stale).values(last_used_at=at))


def _public(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        row.id,
        row.name,
        Role(row.role),
        frozenset(Permission(scope) for scope in row.scopes),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None

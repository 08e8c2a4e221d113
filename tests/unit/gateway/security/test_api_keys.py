"""API keys: shown once, stored as a MAC, ended at once. On SQLite and PostgreSQL."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update

from gateway.errors import GatewayError
from gateway.security import keys as keys_module
from gateway.security.build import Security
from gateway.security.keys import KeyStore
from gateway.security.permissions import PERMISSIONS, Permission, Principal, Role
from gateway.storage.tables import ApiKeyRow

PREDICT = [Permission.PREDICT]


def age_key(security: Security, identity: str, **values: Any) -> None:
    with security.database.transaction() as session:
        session.execute(update(ApiKeyRow).where(ApiKeyRow.id == identity).values(**values))


def another_process(security: Security) -> KeyStore:
    return KeyStore(security.database, security.audit, security.settings.derived_key("api keys"))


def test_a_key_is_known_by_its_token(security: Security) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    _, identity, secret = new.token.split("_", 2)
    assert new.token.startswith("cc_")
    assert (identity, len(identity), len(secret)) == (new.key.id, 12, 43)
    assert security.keys.authenticate(new.token) == Principal("key:ehr", Role.SERVICE, frozenset(PREDICT))


def test_nothing_stored_or_printed_tells_the_secret(security: Security) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    secret = new.token.split("_", 2)[2]
    security.keys.authenticate(new.token)
    with security.database.reading() as session:
        stored = [str(session.execute(text(f"SELECT * FROM {table}")).all()) for table in ("api_keys", "audit")]
    assert not any(secret in told for told in [*stored, repr(new), repr(security.keys.list())])
    assert another_process(security).authenticate(new.token) is not None
    other = KeyStore(security.database, security.audit, b"another deployment's key")
    assert other.authenticate(new.token) is None


def test_a_token_that_is_not_quite_right_is_nobodys(security: Security) -> None:
    token = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root").token
    other = security.keys.create("lab", Role.SERVICE, PREDICT, "cli:root").token
    prefix, identity, secret = token.split("_", 2)
    wrong = [
        "", "cc_", "cc__", "cc_é_\ud800", token[:-1], token + "A", token + "\n", token.swapcase(),
        f"xx_{identity}_{secret}", f"{prefix}_{identity}_{other.split('_', 2)[2]}", f"{prefix}_{'a' * 12}_{secret}",
        f"{prefix}_{identity}_{'A' * 43}",
    ]  # fmt: skip
    assert [security.keys.authenticate(each) for each in wrong] == [None] * len(wrong)


@pytest.mark.parametrize(
    ("name", "role", "scopes", "expiry", "code"),
    [
        ("", Role.SERVICE, PREDICT, None, "bad_name"),
        ("two words", Role.SERVICE, PREDICT, None, "bad_name"),
        ("x" * 65, Role.SERVICE, PREDICT, None, "bad_name"),
        ("ehr\n", Role.SERVICE, PREDICT, None, "bad_name"),
        ("ehr", Role.SERVICE, [], None, "no_scopes"),
        ("ehr", Role.SERVICE, [Permission.PREDICT, Permission.ADMIN], None, "scope_beyond_role"),
        ("ehr", Role.CODER, [Permission.ORIGINAL], None, "scope_beyond_role"),
        ("ehr", Role.SERVICE, PREDICT, datetime(2020, 1, 1, tzinfo=UTC), "bad_expiry"),
    ],
)
def test_a_key_that_should_not_be_is_not_made(
    security: Security, name: str, role: Role, scopes: list[Permission], expiry: datetime | None, code: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        security.keys.create(name, role, scopes, "cli:root", expiry)
    assert (caught.value.body.code, caught.value.status, security.keys.list()) == (code, 422, [])


def test_a_name_is_one_active_keys_at_a_time(security: Security) -> None:
    first = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    with pytest.raises(GatewayError, match="name_taken"):
        security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    security.keys.revoke(first.key.id, "cli:root")
    second = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    age_key(security, second.key.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    assert sorted(key.state for key in security.keys.list()) == ["active", "expired", "revoked"]


def test_revoked_here_is_refused_at_once_and_elsewhere_within_a_second(security: Security) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    kept = security.keys.create("lab", Role.SERVICE, PREDICT, "cli:root")
    elsewhere = another_process(security)
    for store in (security.keys, elsewhere):
        assert store.authenticate(new.token) is not None
        assert store.authenticate(kept.token) is not None
    security.keys.revoke(new.key.id, "user:root")
    assert security.keys.cached(new.token) is None
    assert security.keys.authenticate(new.token) is None
    assert security.keys.cached(kept.token) is not None
    deadline = time.monotonic() + 1.05
    while elsewhere.authenticate(new.token) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert elsewhere.authenticate(kept.token) is not None


def test_an_expired_key_is_refused(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    expiry = datetime.now(UTC) + timedelta(minutes=5)
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root", expiry)
    store = another_process(security)
    assert store.authenticate(new.token) is not None
    age_key(security, new.key.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    monkeypatch.setattr(keys_module, "CACHE_SECONDS", 0.0)
    assert another_process(security).authenticate(new.token) is None


def test_scopes_that_the_role_has_lost_are_lost(security: Security) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PERMISSIONS[Role.SERVICE], "cli:root")
    age_key(security, new.key.id, role=Role.CODER.value)
    found = security.keys.authenticate(new.token)
    assert found is not None
    assert found.permissions == {Permission.CODES, Permission.HEALTH}


def test_a_good_key_is_looked_up_once_a_second(security: Security) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    statements: list[str] = []
    event.listen(security.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for _ in range(50):
        security.keys.authenticate(new.token)
    assert sum("FROM api_keys" in statement for statement in statements) <= 2


def test_last_use_is_written_at_most_once_a_minute(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    assert security.keys.list()[0].last_used_at is None
    monkeypatch.setattr(keys_module, "CACHE_SECONDS", 0.0)
    security.keys.authenticate(new.token)
    first = security.keys.list()[0].last_used_at
    assert first is not None
    statements: list[str] = []
    event.listen(security.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    security.keys.authenticate(new.token)
    another_process(security).authenticate(new.token)
    assert not any("UPDATE" in statement for statement in statements)  # nor waits for the write lock
    assert security.keys.list()[0].last_used_at == first
    age_key(security, new.key.id, last_used_at=first - timedelta(minutes=2))
    another_process(security).authenticate(new.token)
    assert security.keys.list()[0].last_used_at >= first


def test_making_and_revoking_is_audited_once(security: Security, audited: Callable[[Security], Any]) -> None:
    new = security.keys.create("ehr", Role.SERVICE, PREDICT, "cli:root")
    security.keys.revoke(new.key.id, "user:admin")
    security.keys.revoke(new.key.id, "user:admin")
    with pytest.raises(GatewayError, match="no such key"):
        security.keys.revoke("000000000000", "user:admin")
    made, revoked = audited(security)
    assert made[:3] == ("cli:root", "key.created", f"key:{new.key.id}")
    assert made[3] == '{"expires_at":null,"name":"ehr","role":"service","scopes":["predict"]}'
    assert revoked[:3] == ("user:admin", "key.revoked", f"key:{new.key.id}")

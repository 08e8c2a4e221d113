"""Sessions: random, stored by their MAC, over when idle, old or ended. On SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from gateway.security.build import Security
from gateway.security.permissions import PERMISSIONS, Role
from gateway.security.sessions import SessionStore
from gateway.settings import Settings
from gateway.storage.tables import SessionRow


def start(security: Security, user: str = "maria", **more: str) -> str:
    return security.sessions.start(user, Role.CODER, method="tests", **more)


def age_sessions(security: Security, **values: Any) -> None:
    with security.database.transaction() as session:
        session.execute(update(SessionRow).values(**values))


def test_a_session_is_found_by_its_cookie_alone(security: Security) -> None:
    cookie = start(security)
    found = security.sessions.find(cookie)
    assert found is not None
    assert found.principal.permissions == PERMISSIONS[Role.CODER]
    assert len(cookie) == len(found.csrf_token) == 43
    assert cookie != found.csrf_token
    with security.database.reading() as session:
        assert cookie not in str(session.execute(text("SELECT * FROM sessions")).all())
    assert [security.sessions.find(each) for each in ("", "x" * 43, cookie[:-1], cookie + "\n")] == [None] * 4


def test_a_login_gives_a_new_cookie_and_ends_the_old_session(security: Security) -> None:
    planted = "p" * 43
    first = start(security, replaces=planted)
    second = start(security, replaces=first)
    assert len({planted, first, second}) == 3
    assert [security.sessions.find(each) is not None for each in (planted, first, second)] == [False, False, True]


@pytest.mark.parametrize(("idle", "is_over"), [(59, False), (61, True)])
def test_an_idle_session_ends(security: Security, idle: int, is_over: bool) -> None:
    cookie = start(security)
    age_sessions(security, last_seen_at=datetime.now(UTC) - timedelta(minutes=idle))
    assert (security.sessions.find(cookie) is None) is is_over


def test_being_there_keeps_a_session_until_its_end(security: Security) -> None:
    cookie = start(security)
    for _ in range(3):
        age_sessions(security, last_seen_at=datetime.now(UTC) - timedelta(minutes=50))
        assert security.sessions.find(cookie) is not None
    with security.database.reading() as session:
        assert session.query(SessionRow).one().last_seen_at > datetime.now(UTC) - timedelta(minutes=1)
    age_sessions(security, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert security.sessions.find(cookie) is None


def test_its_length_is_the_settings(security: Security) -> None:
    start(security)
    with security.database.reading() as session:
        row = session.query(SessionRow).one()
    assert row.expires_at - row.created_at == timedelta(hours=10)


def test_log_out_and_throw_out(security: Security, audited: Callable[[Security], Any]) -> None:
    first, second, other = start(security), start(security), start(security, "noor")
    security.sessions.end(first)
    security.sessions.end(first)
    assert security.sessions.find(first) is None
    assert security.sessions.find(second) is not None
    start(security)
    assert security.sessions.end_all("maria", "cli:root") == 2
    assert [security.sessions.find(each) is not None for each in (second, other)] == [False, True]
    actions = [(actor, action) for actor, action, *_ in audited(security) if action != "login.succeeded"]
    assert actions == [("user:maria", "logout"), ("cli:root", "sessions.ended")]


@pytest.mark.parametrize(
    ("public_url", "name", "secure"),
    [
        (None, "clincode_session", False),
        ("https://coding.hospital.example", "__Host-clincode", True),
        ("http://coding.hospital.example", "clincode_session", False),
    ],
)
def test_the_cookie_is_bound_to_the_host_where_there_is_tls(
    settings: Settings, public_url: str | None, name: str, secure: bool
) -> None:
    changed = Settings(secret_key=settings.secret_key, public_url=public_url)  # type: ignore[arg-type]
    store = SessionStore(None, None, changed)  # type: ignore[arg-type]
    assert (store.cookie, store.secure) == (name, secure)

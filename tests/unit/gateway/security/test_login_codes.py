"""One-time login codes: one session each. On SQLite and PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text, update

from gateway.errors import GatewayError
from gateway.security.build import Security
from gateway.security.permissions import Role
from gateway.storage.tables import LoginCodeRow


def test_a_code_opens_a_session_once(security: Security, audited: Callable[[Security], Any]) -> None:
    code = security.logins.create("maria", Role.CODER, "cli:root")
    cookie = security.logins.redeem(f" {code}\n")
    assert cookie is not None
    session = security.sessions.find(cookie)
    assert session is not None
    assert (session.user, session.role, session.principal.name) == ("maria", Role.CODER, "user:maria")
    assert security.logins.redeem(code) is None
    lines = audited(security)
    assert [line[:3] for line in lines] == [
        ("cli:root", "login.created", "user:maria"),
        ("user:maria", "login.succeeded", "user:maria"),
        ("anonymous", "login.failed", "login"),
    ]
    assert code not in str(lines)


def test_of_many_at_once_one_gets_in(security: Security) -> None:
    for _ in range(5):
        code = security.logins.create("maria", Role.CODER, "cli:root")
        together = Barrier(4)

        def redeem(_: int, code: str = code, together: Barrier = together) -> str | None:
            together.wait()
            return security.logins.redeem(code)

        with ThreadPoolExecutor(4) as pool:
            cookies = [cookie for cookie in pool.map(redeem, range(4)) if cookie is not None]
        assert len(cookies) == 1
        assert security.sessions.find(cookies[0]) is not None


def test_a_code_that_is_over_or_made_up_opens_nothing(security: Security) -> None:
    code = security.logins.create("maria", Role.CODER, "cli:root", timedelta(minutes=5))
    with security.database.transaction() as session:
        session.execute(update(LoginCodeRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert [security.logins.redeem(each) for each in (code, "", "x", code.swapcase(), "\ud800")] == [None] * 5


def test_codes_are_stored_as_macs(security: Security) -> None:
    code = security.logins.create("maria", Role.CODER, "cli:root")
    with security.database.reading() as session:
        assert code not in str(session.execute(text("SELECT * FROM login_codes")).all())


@pytest.mark.parametrize(
    ("user", "role", "minutes", "code"),
    [
        ("", Role.CODER, 60, "bad_user"),
        ("two words", Role.CODER, 60, "bad_user"),
        ("ma\x00ria", Role.CODER, 60, "bad_user"),
        ("ma\u202eria", Role.CODER, 60, "bad_user"),
        ("m" * 121, Role.CODER, 60, "bad_user"),
        ("ehr", Role.SERVICE, 60, "bad_role"),
        ("maria", Role.CODER, 0, "bad_lifetime"),
        ("maria", Role.CODER, 7 * 24 * 60 + 1, "bad_lifetime"),
    ],
)
def test_a_code_that_should_not_be_is_not_made(
    security: Security, user: str, role: Role, minutes: int, code: str
) -> None:
    with pytest.raises(GatewayError, match=code):
        security.logins.create(user, role, "cli:root", timedelta(minutes=minutes))

"""Stores on both databases, and a site on SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_issuer import FakeIssuer, running_issuer
from security_site import Site, make_site

from gateway.security.build import Security
from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.database import Database
from gateway.storage.tables import AuditRow

SECRET = "a secret of the tests, which is long enough"
Audited = Callable[[], list[tuple[str, str, str, str | None]]]


@pytest.fixture
def security(settings: Settings, database: Database, audit: Audit) -> Security:
    return Security.build(settings, database, audit)


@pytest.fixture
def audited() -> Callable[[Security], list[tuple[str, str, str, str | None]]]:
    """Actor, action, subject and what came after, of every line; the chain is sound."""

    def lines(security: Security) -> list[tuple[str, str, str, str | None]]:
        with security.database.reading() as session:
            assert security.audit.verify(session).broken_at is None
            rows = session.query(AuditRow).order_by(AuditRow.number)
            return [(row.actor, row.action, row.subject, row.after) for row in rows]

    return lines


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Builds a site of its own settings."""
    databases: list[Database] = []

    def build(**changes: Any) -> Site:
        url = f"sqlite:///{tmp_path}/site{len(databases)}.db"
        settings = Settings(**{"secret_key": SECRET, "database_url": url} | changes)
        databases.append(Database(url))
        databases[-1].migrate()
        return make_site(Security.build(settings, databases[-1], Audit(settings.derived_key("audit"))))

    yield build
    for database in databases:
        database.close()


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    return make()


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with running_issuer() as issuer:
        yield issuer

"""Settings and databases for the gateway's tests: SQLite in a file, and a PostgreSQL that really runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgresql_server import PostgreSql, running_postgresql

from gateway.settings import Settings
from gateway.storage.audit import Audit
from gateway.storage.cipher import NoteCipher
from gateway.storage.database import Database
from gateway.storage.notes import NoteStore

SECRET = "a secret of the tests, which is long enough"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database: each test that takes it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(secret_key=SECRET, database_url=database_url)  # type: ignore[arg-type]


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url.get_secret_value())
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def audit(settings: Settings) -> Audit:
    return Audit(settings.derived_key("audit"))


@pytest.fixture
def notes(database: Database, audit: Audit, settings: Settings) -> NoteStore:
    return NoteStore(database, audit, NoteCipher(settings))

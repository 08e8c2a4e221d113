"""One database, SQLite or PostgreSQL: engine, transactions, migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session, sessionmaker

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30.0
_QUIET: dict[str, Any] = {"hide_parameters": True}
"""An error's text would quote the statement's parameters, and a note is among them."""


class Database:
    """Connections to one database. Safe to share between threads; a session is not."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self) if self.is_sqlite else _postgresql(self)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end, or not at all. On SQLite it holds the write lock throughout, so
        that what it has read still stands when it writes."""
        with self._sessions() as session, session.begin():
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE"))
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads: one snapshot on SQLite, and no lock that a writer would wait for."""
        with self._sessions() as session, session.begin():
            if self.is_sqlite:
                session.execute(text("BEGIN"))
            yield session

    def migrate(self) -> None:
        """Bring the tables to this version of the code."""
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.begin() as connection:
            if self.is_sqlite:
                connection.execute(text("BEGIN IMMEDIATE"))
            else:  # two gateways that start together
                connection.execute(text("SELECT pg_advisory_xact_lock(7253001)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def is_current(self) -> bool:
        """Whether the database answers and its tables are those of this code."""
        with self.engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
        return found == ScriptDirectory(str(MIGRATIONS)).get_current_head()

    def close(self) -> None:
        self.engine.dispose()


def _sqlite(database: Database) -> Engine:
    engine = create_engine(database.url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, **_QUIET)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver is to leave BEGIN to us
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(database: Database) -> Engine:
    url = database.url
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url, pool_size=8, max_overflow=16, pool_pre_ping=True, **_QUIET)

"""Settings and databases for the gateway's tests: SQLite in a file, and a PostgreSQL that really runs; and the whole
gateway in front of a stand-in for TorchServe."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_site import GatewaySite, open_gateway
from postgresql_server import PostgreSql, running_postgresql
from torchserve_stand_in import StandIn, running_stand_in

from gateway.codes import CodePicker
from gateway.serving import webhooks, worker
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


@pytest.fixture(scope="session")
def code_picker() -> CodePicker:
    """The classification, built once."""
    picker = CodePicker()
    picker.search("I10")
    return picker


@pytest.fixture
def torchserve(tmp_path: Path) -> Iterator[StandIn]:
    with running_stand_in(tmp_path) as stand_in:
        yield stand_in


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Background work looks round and tries again without long pauses."""
    monkeypatch.setattr(worker, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(worker, "_SHORTEST_PAUSE", 0.02)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(worker, "_LONGEST_BACKOFF", 0.05)
    monkeypatch.setattr(webhooks, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(webhooks, "_LONGEST_BACKOFF", 0.02)


@pytest.fixture
def open_site(
    tmp_path: Path, torchserve: StandIn, code_picker: CodePicker, hurry: None
) -> Iterator[Callable[..., GatewaySite]]:
    """Starts a gateway of its own settings."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(open_gateway(tmp_path, torchserve, code_picker, **changes))


@pytest.fixture
def gateway_site(open_site: Callable[..., GatewaySite]) -> GatewaySite:
    return open_site()


@pytest.fixture(scope="module")
def refusing_site(tmp_path_factory: pytest.TempPathFactory, code_picker: CodePicker) -> Iterator[GatewaySite]:
    """One gateway for the many requests of a module that are refused and leave nothing behind."""
    folder = tmp_path_factory.mktemp("refusing")
    with running_stand_in(folder) as stand_in, open_gateway(folder, stand_in, code_picker, batch_limit=4) as site:
        yield site

"""``clincode gateway``: keys, logins and the audit log from the command line."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import Result
from security_site import Site
from sqlalchemy import text
from typer.testing import CliRunner

from cli.gateway import gateway_app

Run = Callable[..., Result]


@pytest.fixture
def run(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CLINCODE_DATABASE_URL", site.security.settings.database_url.get_secret_value())
    monkeypatch.setenv("CLINCODE_SECRET_KEY", site.security.settings.secret_key.get_secret_value())
    monkeypatch.setenv("COLUMNS", "240")
    return lambda *arguments: CliRunner().invoke(gateway_app, list(arguments))


def test_a_key_is_made_listed_and_revoked(site: Site, run: Run) -> None:
    made = run("key", "create", "--name", "ehr", "--scope", "predict", "--scope", "codes", "--expires-days", "30")
    assert made.exit_code == 0
    token = made.stdout.strip()
    found = site.security.keys.authenticate(token)
    assert found is not None
    assert (found.name, sorted(found.permissions)) == ("key:ehr", ["codes", "predict"])
    identity = token.split("_")[1]
    listed = run("key", "list").stdout
    assert identity in listed
    assert "codes, predict" in listed
    assert "active" in listed
    assert token.split("_", 2)[2] not in listed
    assert run("key", "revoke", identity).exit_code == 0
    assert "revoked" in run("key", "list").stdout


def test_a_login_is_an_address_that_works_once(site: Site, run: Run) -> None:
    made = run("login", "--user", "maria", "--role", "supervisor", "--minutes", "5")
    url = urlsplit(made.stdout.strip())
    assert (f"{url.scheme}://{url.netloc}", url.path) == (site.security.settings.url, "/login")
    [code] = parse_qs(url.query)["code"]
    cookie = site.security.logins.redeem(code)
    assert cookie is not None
    session = site.security.sessions.find(cookie)
    assert session is not None
    assert (session.user, session.role) == ("maria", "supervisor")


def test_a_person_is_thrown_out(site: Site, run: Run) -> None:
    site.log_in(site.client)
    assert run("logout", "--user", "maria").stdout == "1 sessions of maria ended\n"
    assert site.client.get("/review").status_code == 303


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("key", "create", "--name", "two words"), "a key's name has"),
        (("key", "create", "--name", "x", "--scope", "admin"), "has no 'admin'"),
        (("key", "revoke", "000000000000"), "there is no such key"),
        (("login", "--user", "maria", "--role", "service"), "a person is a coder"),
        (("login", "--user", "two words"), "a user name has"),
        (("login", "--user", "maria", "--minutes", "99999"), "a minute to a week"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLINCODE_SECRET_KEY", None, "CLINCODE_SECRET_KEY: is not set"),
        ("CLINCODE_SECRET_KEY", "short-secret", "CLINCODE_SECRET_KEY: must have at least 32 characters"),
        ("CLINCODE_GATEWAY_PORT", "secret-port", "CLINCODE_GATEWAY_PORT: "),
        ("CLINCODE_DATABASE_URL", "sqlite:////nowhere/x.db", "does not answer"),
        ("CLINCODE_RATE_LIMIT", "many", "CLINCODE_RATE_LIMIT"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, said: str
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    result = run("key", "list")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert value is None or value == "many" or value not in result.stderr


def test_tables_of_another_version_are_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINCODE_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    result = run("key", "list")
    assert (result.exit_code, "clincode gateway migrate" in result.stderr) == (2, True)


def test_the_audit_log_is_listed_and_verified(site: Site, run: Run) -> None:
    for user in ("maria", "noor"):
        run("login", "--user", user)
    listed = run("audit", "list", "--limit", "1").stdout
    assert ("user:noor" in listed, "user:maria" in listed) == (True, False)
    assert "user:maria" in run("audit", "list", "--subject", "user:maria").stdout
    sound = run("audit", "verify")
    assert sound.exit_code == 0
    assert "sound: 2 lines" in sound.stdout
    head = sound.stdout.split("head ")[1].strip()
    run("login", "--user", "ines")
    assert run("audit", "verify", "--head", head).exit_code == 0
    with site.security.database.transaction() as session:
        session.execute(text("DROP TRIGGER IF EXISTS audit_no_delete"))
        names = session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for name in names:
            session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text("DELETE FROM audit WHERE number > 1"))
    assert run("audit", "verify").exit_code == 0
    cut = run("audit", "verify", "--head", head)
    assert (cut.exit_code, "BROKEN" in cut.stderr) == (1, True)

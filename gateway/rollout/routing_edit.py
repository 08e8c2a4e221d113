"""Changes of the routing file: whole or not at all, never to something that a gateway would refuse, one at a time."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gateway.serving.routing import Routing, read_routing

LOCK_SECONDS = 10.0


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Nobody else on this machine changes the file meanwhile; the lock is a file beside it, which stays.

    Raises:
        ValueError: somebody else has it all the time.
    """
    lock = path.with_name(f"{path.name}.lock")
    end = time.monotonic() + seconds
    with lock.open("a", encoding="utf-8") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise ValueError(f"another rollout command is at work on {path}") from None
                time.sleep(0.05)
        yield  # closing gives the lock back


def changed_text(path: Path, changes: Mapping[str, Any]) -> str:
    """The file with top-level keys set, or taken out where the value is null. Comments at its beginning are kept,
    others are lost."""
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    for key, value in changes.items():
        if value is None:
            content.pop(key, None)
        else:
            content[key] = value
    return _head(text) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def replace_text(path: Path, text: str) -> Routing:
    """Put ``text`` in the file's place at once, with the file's mode, and return the routing that it says.

    Raises:
        ValueError: it is no routing; the file is as it was.
    """
    target = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        routing = read_routing(temporary)
        shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return routing


def summary(routing: Routing) -> dict[str, Any]:
    """What a rollout changes, without addresses and key files."""
    return {
        "production": routing.production,
        "canary": routing.canary.model_dump() if routing.canary else None,
        "experiment": routing.experiment.model_dump() if routing.experiment else None,
    }


def _head(text: str) -> str:
    lines = []
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        lines.append(line)
    return "".join(lines)

"""What a run has done so far, in ``state.json`` of its folder, and the lock that keeps a second run out.

The file is replaced whole after every change: a run that is killed leaves the state of its last step's beginning.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

STATE_FILE = "state.json"
LOCK_FILE = "lock"
_FORMAT = 1


class Status(StrEnum):
    """``stopped``: the step did its work, and its verdict ends the run. ``failed``: it could not do its work.
    ``stale``: done once, and since then a step before it ran again; what it made counts for nothing until it is looked
    at."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    STALE = "stale"


class Trigger(StrEnum):
    HAND = "hand"
    SCHEDULE = "schedule"
    DRIFT = "drift"


class RunError(RuntimeError):
    """The run's folder is in use, or is another run's."""


@dataclass(slots=True)
class StepState:
    """``inputs`` and ``outputs`` map what a step read and wrote to SHA-256; ``attempts`` counts how often it began."""

    status: Status = Status.PENDING
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    started: str | None = None
    seconds: float | None = None
    attempts: int = 0
    message: str = ""


@dataclass(slots=True)
class RunState:
    """``facts`` are what the first start settled for the whole run: the previous model, the new version. ``starts`` has
    a line for each time the command was given."""

    name: str
    facts: dict[str, str] = field(default_factory=dict)
    starts: list[dict[str, str]] = field(default_factory=list)
    steps: dict[str, StepState] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, name: str) -> "RunState":
        """The state of a run's folder, or that of one that has not begun.

        Raises:
            RunError: the folder's state is of another pipeline, or cannot be read.
        """
        path = folder / STATE_FILE
        if not path.exists():
            return cls(name)
        state = read_state(folder)
        if state.name != name:
            raise RunError(f"{folder} is a run of '{state.name}', not of '{name}'; give another --out")
        return state

    def step(self, name: str) -> StepState:
        return self.steps.setdefault(name, StepState())

    def save(self, folder: Path) -> None:
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"
        new = folder / f"{STATE_FILE}.new"
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, folder / STATE_FILE)


def read_state(folder: Path) -> RunState:
    """Raises ``RunError`` where there is none, or none that can be read."""
    path = folder / STATE_FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("it is of another format")
        steps = {n: StepState(**{**s, "status": Status(s["status"])}) for n, s in data.pop("steps").items()}
        return RunState(**data, steps=steps)
    except FileNotFoundError:
        raise RunError(f"{path}: there is no run") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the lock goes with the process, however that ends.

    Raises:
        RunError: another process has it; names that one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(f"{folder}: a run is at work in it (process {file.read().strip() or 'unknown'})") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names; ``absent`` where there is neither."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        return "absent"
    lines = (f"{digest_of(file)}  {file.relative_to(path)}\n" for file in sorted(path.rglob("*")) if file.is_file())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_of_values(values: Mapping[str, Any] | list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def digests(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """By name relative to ``root`` where they are below it."""
    return {str(p.relative_to(root) if p.is_relative_to(root) else p): digest_of(p) for p in paths}

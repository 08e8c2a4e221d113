"""A monitor's state on disk, and the weekly scores that are laid beside it."""

import io
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from monitoring.drift.labels import LabelWeek, label_week
from monitoring.drift.monitor import State

_WEEK_FILE = re.compile(r"(\d{4}-W\d{2})\.json")


def write_state(path: Path, state: State) -> None:
    """The file is there whole, readable by its owner alone, or as it was before, whatever happens meanwhile."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **state)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_state(path: Path) -> State | None:
    """Null where there is no file yet.

    Raises:
        ValueError: it is none of ``write_state``.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays.items())
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError, TypeError):
        raise ValueError(f"{path}: not a state of a drift monitor") from None


def read_label_weeks(folder: Path) -> list[LabelWeek]:
    """Of the files ``2026-W48.json`` that ``clincode feedback score --json`` wrote into a folder; others are passed
    over.

    Raises:
        ValueError: such a file has other content.
    """
    weeks = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if named := _WEEK_FILE.fullmatch(path.name):
            try:
                figures = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                raise ValueError(f"{path}: not figures of 'clincode feedback score --json'") from None
            weeks.append(label_week(named[1], figures))
    return weeks

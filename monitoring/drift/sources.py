"""Files of notes, as a reference is learnt from them.

A folder stands for the files in it. ``.txt`` is one note; ``.tsv`` is IOB2, a word and a tag a line, each sentence
taken as a text of its own; ``.jsonl`` has a note a line, under ``text`` or ``note_text``, and the model's entities
where it has them: ``entities_suggested`` (``clincode feedback export``), or the ``answer`` to it (a line of the API's
response).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clincode.types import NoteType

_SUFFIXES = (".txt", ".tsv", ".jsonl")


@dataclass(frozen=True, slots=True)
class SourceNote:
    """``entities`` as the API has them; null where only the text is known."""

    text: str
    note_type: str = NoteType.PROGRESS_NOTE
    entities: Sequence[Mapping[str, Any]] | None = None


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files that are meant, in order of their names within a folder.

    Raises:
        ValueError: one is of no kind that can be read; OSError: it is not there.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file())
        elif path.suffix not in _SUFFIXES:
            raise ValueError(f"{path}: neither of {', '.join(_SUFFIXES)} nor a folder")
        else:
            path.stat()
            found.append(path)
    return found


def read_notes(path: Path) -> Iterator[SourceNote]:
    """The notes of one file.

    Raises:
        ValueError: names the line that is none; nothing is quoted.
    """
    if path.suffix == ".jsonl":
        yield from _lines(path)
    elif path.suffix == ".tsv":
        for block in path.read_text(encoding="utf-8").split("\n\n"):
            if block.strip():
                yield SourceNote(" ".join(line.split("\t")[0] for line in block.splitlines()))
    else:
        yield SourceNote(path.read_text(encoding="utf-8"))


def _lines(path: Path) -> Iterator[SourceNote]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _note(json.loads(line))
                except (KeyError, TypeError, ValueError, AttributeError):
                    raise ValueError(f"{path}:{number}: not a note") from None


def _note(content: Mapping[str, Any]) -> SourceNote:
    text = content["text"] if "text" in content else content["note_text"]
    if not isinstance(text, str):
        raise TypeError
    note_type = NoteType(content.get("note_type", NoteType.PROGRESS_NOTE))
    entities = None
    if "entities_suggested" in content:
        entities = [
            {
                "type": each["type"],
                "start_char": each["start"],
                "end_char": each["end"],
                "confidence": each["confidence"],
            }
            for each in content["entities_suggested"]
        ]
    elif "answer" in content:
        entities = list(content["answer"]["entities"])
    return SourceNote(text, note_type, entities)

"""Annotated notes line by line, each with everything that is wrong with it.

What is said of a note is its file, line and id, never its text.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from clincode.labels import EntityType
from clincode.types import Certainty

TYPES = tuple(kind.value for kind in EntityType)
_CERTAINTIES = {certainty.value for certainty in Certainty}
_LONGEST_ID = 80


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one sample; ``check`` is the kind of it."""

    file: str
    line: int
    id: str
    check: str
    reason: str


@dataclass(slots=True)
class Sample:
    """A line of a file. ``digest`` is that of its text, in lower case and with its white space as one; None where there
    is no text."""

    file: str
    line: int
    raw: bytes
    id: str = ""
    digest: str | None = None
    types: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    def blame(self, check: str, reason: str) -> None:
        self.faults.append(Fault(self.file, self.line, self.id, check, reason))


def read_samples(path: Path) -> Iterator[Sample]:
    """Every line that is not blank, in order; none stops the reading.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            if raw.strip():
                yield check_line(raw.rstrip(b"\r\n"), path.name, number)


def check_line(raw: bytes, file: str, line: int) -> Sample:
    """The sample of a line, with its faults."""
    sample = Sample(file, line, raw)
    try:
        note: Any = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        sample.blame("schema", f"not UTF-8 at byte {error.start}")
        return sample
    except (ValueError, RecursionError):
        sample.blame("schema", "no JSON")
        return sample
    if not isinstance(note, dict):
        sample.blame("schema", "no JSON object")
        return sample
    found = note.get("id")
    sample.id = found[:_LONGEST_ID] if isinstance(found, str) else ""
    for name, kind in (("id", str), ("text", str), ("entities", list)):
        if name not in note or note[name] is None:
            sample.blame("missing", f"no '{name}'")
        elif not isinstance(note[name], kind):
            sample.blame("schema", f"'{name}' is no {'string' if kind is str else 'list'}")
        elif kind is str and not note[name].strip():
            sample.blame("missing", f"'{name}' is empty")
    if isinstance(note.get("text"), str) and isinstance(note.get("entities"), list):
        _check_entities(sample, note["text"], note["entities"])
    if isinstance(note.get("text"), str) and note["text"].strip():
        # A lone surrogate is legal JSON and no text.
        if any("\ud800" <= letter <= "\udfff" for letter in note["text"]):
            sample.blame("schema", "'text' holds half a character (a lone surrogate)")
        else:
            sample.digest = text_digest(note["text"])
    return sample


def text_digest(text: str) -> str:
    """Equal for texts that differ in case and white space alone."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()


def _check_entities(sample: Sample, text: str, entities: list[Any]) -> None:
    spans: list[tuple[int, int, int]] = []
    for index, entity in enumerate(entities):
        place = f"entities[{index}]"
        if not isinstance(entity, dict):
            sample.blame("schema", f"{place} is no object")
            continue
        missing = [name for name in ("start", "end", "type") if entity.get(name) is None]
        if missing:
            sample.blame("missing", f"{place} has no {', '.join(missing)}")
            continue
        _check_values(sample, place, entity)
        start, end = entity["start"], entity["end"]
        if any(isinstance(number, bool) or not isinstance(number, int) for number in (start, end)):
            sample.blame("schema", f"{place}: start and end must be whole numbers")
        elif start >= end:
            sample.blame("span", f"{place} is empty")
        elif start < 0 or end > len(text):
            sample.blame("span", f"{place} does not lie in the text")
        else:
            if text[start].isspace() or text[end - 1].isspace():
                sample.blame("span", f"{place} begins or ends with white space")
            spans.append((start, end, index))
    for before, after in pairwise(sorted(spans)):
        if before[1] > after[0]:
            sample.blame("span", f"entities[{before[2]}] and entities[{after[2]}] overlap")


def _check_values(sample: Sample, place: str, entity: Mapping[str, Any]) -> None:
    kind = entity["type"]
    if isinstance(kind, str) and kind in TYPES:
        sample.types[kind] += 1
    else:
        sample.blame("type", f"{place}.type is none of {', '.join(TYPES)}")
    certainty = entity.get("certainty")
    if certainty is not None and certainty not in _CERTAINTIES:
        sample.blame("schema", f"{place}.certainty is none of {', '.join(sorted(_CERTAINTIES))}")

"""Notes with identifiers whose places are known: real notes, with invented identifiers in lines written for them.

The lines (``templates/phi_templates.tsv``) come in two sets, and so do the notes: rules are tuned on one and measured
on the other. Real notes hold identifiers of their own; where those of a note have been judged, their places stand in
``templates/phi_own.tsv``, so that redacting them counts as right and redacting anything else as wrong.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path

from clincode.types import Redaction
from training.corpora import documents
from training.phi_identifiers import Identifiers

TEMPLATES_FILE = "phi_templates.tsv"
OWN_FILE = "phi_own.tsv"
PURPOSES = ("tuning", "test")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class MarkedNote:
    """``own`` are the places of identifiers that nobody put in; None where they have not been judged."""

    text: str
    identifiers: tuple[Redaction, ...]
    own: tuple[Place, ...] | None = None


def fill(line: str, identifiers: Identifiers) -> MarkedNote:
    """A line of the templates with its placeholders filled."""
    parts, marks, at, size = [], [], 0, 0
    for match in _PLACEHOLDER.finditer(line):
        category, make = identifiers.makers[match[1]]
        value = make()
        parts += [line[at : match.start()], value]
        size += match.start() - at
        if category is not None:
            # A title before a name identifies nobody.
            start = size + (value.index(" ") + 1 if match[1].startswith("title_name") else 0)
            marks.append(Redaction(start, size + len(value), category))
        size += len(value)
        at = match.end()
    return MarkedNote("".join([*parts, line[at:]]), tuple(marks), ())


def templates(purpose: str) -> list[str]:
    """Lines of one of the two sets, ``tuning`` or ``test``.

    Raises:
        ValueError: there is no such set.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"no lines for '{purpose}', only for {' and '.join(PURPOSES)}")
    return [line for kind, line in _rows(TEMPLATES_FILE) if kind == purpose]


def note_key(text: str) -> str:
    """What a note is called in ``phi_own.tsv``, which holds no text of it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def own_identifiers() -> Mapping[str, tuple[Place, ...]]:
    """The judged notes, by ``note_key``: places of the identifiers that they hold of their own."""
    return {
        key: tuple((int(start), int(end)) for start, _, end in (place.partition("-") for place in places.split()))
        for key, places in _rows(OWN_FILE)
    }


def background(path: Path, *, purpose: str, most: int) -> list[str]:
    """Up to ``most`` notes of a folder of ``.txt`` or a JSON lines file: for the test the first, third and so on, for
    tuning those between."""
    return list(islice(documents(path), PURPOSES[::-1].index(purpose), 2 * most, 2))


def marked_notes(texts: Sequence[str], *, purpose: str, seed: int, lines_a_note: int = 12) -> Iterator[MarkedNote]:
    """Each text with ``lines_a_note`` lines of the set between its own; the lines in turn, so that all are used."""
    identifiers, rng = Identifiers(seed), random.Random(seed)
    lines, own = templates(purpose), own_identifiers()
    queue: list[str] = []
    for text in texts:
        pieces = _pieces(text, own.get(note_key(text)))
        for _ in range(lines_a_note):
            if not queue:
                queue = rng.sample(lines, len(lines))
            pieces.insert(rng.randint(0, len(pieces)), fill(queue.pop(), identifiers))
        yield _joined(pieces)


def _pieces(text: str, own: Sequence[Place] | None) -> list[MarkedNote]:
    """The lines of a note, each with the parts of its own identifiers that stand in it."""
    pieces, at = [], 0
    for line in text.split("\n"):
        end = at + len(line)
        inside = [(max(a, at) - at, min(b, end) - at) for a, b in own or () if a < end and at < b]
        pieces.append(MarkedNote(line, (), None if own is None else tuple(inside)))
        at = end + 1
    return pieces


def _joined(pieces: Sequence[MarkedNote]) -> MarkedNote:
    marks: list[Redaction] = []
    own: list[Place] = []
    at = 0
    for piece in pieces:
        marks += [Redaction(at + mark.start, at + mark.end, mark.category) for mark in piece.identifiers]
        own += [(at + start, at + end) for start, end in piece.own or ()]
        at += len(piece.text) + 1
    is_judged = all(piece.own is not None for piece in pieces)
    return MarkedNote("\n".join(piece.text for piece in pieces), tuple(marks), tuple(own) if is_judged else None)


def _rows(name: str) -> list[tuple[str, str]]:
    """Rows of two columns of a file in ``templates/``, without its comments and its header."""
    text = resources.files("training").joinpath("templates", name).read_text(encoding="utf-8")
    rows = [line.partition("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [(first, second) for first, _, second in rows[1:]]

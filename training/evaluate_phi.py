"""How many identifiers are found: recall by category over marked notes, and how much of what is redacted is one.

An identifier is found where every letter and digit of it is redacted, under whatever category. A redaction is right
where it touches an identifier that was put in or one of the note's own; precision is over the notes whose own
identifiers have been judged, and None where there are none.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clincode.phi import find_identifiers
from clincode.types import Redaction
from training.phi_set import MarkedNote, background, marked_notes

DIRECT = ("NAME", "SSN", "MRN", "PHONE", "EMAIL", "ADDRESS")
Redactor = Callable[[str], Sequence[Redaction]]


class RedactionScores:
    """Counts over notes."""

    def __init__(self) -> None:
        self._wanted: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._right = self._redacted = self._notes = self._judged = 0

    def add(self, note: MarkedNote, redactions: Sequence[Redaction]) -> None:
        hidden = {at for r in redactions for at in range(r.start, r.end)}
        for mark in note.identifiers:
            letters = (at for at in range(mark.start, mark.end) if note.text[at].isalnum())
            self._wanted[mark.category] += 1
            self._found[mark.category] += all(at in hidden for at in letters)
        self._notes += 1
        if note.own is not None:
            places = chain(((mark.start, mark.end) for mark in note.identifiers), note.own)
            marked = {at for start, end in places for at in range(start, end)}
            self._judged += 1
            self._redacted += len(redactions)
            self._right += sum(any(at in marked for at in range(r.start, r.end)) for r in redactions)

    def figures(self) -> dict[str, Any]:
        """``recall``, ``direct_recall``, ``precision``, numbers, and ``per_category`` recall and number."""
        wanted, found = self._wanted, self._found
        return {
            "recall": _ratio(found.total(), wanted.total()),
            "direct_recall": _ratio(sum(found[name] for name in DIRECT), sum(wanted[name] for name in DIRECT)),
            "precision": _ratio(self._right, self._redacted),
            "n": wanted.total(),
            "redacted": self._redacted,
            "notes": self._notes,
            "judged_notes": self._judged,
            "per_category": {
                name: {"recall": _ratio(found[name], wanted[name]), "n": wanted[name]} for name in sorted(wanted)
            },
        }


def evaluate_phi(paths: Sequence[Path], *, purpose: str = "test", seed: int = 13, most: int = 200) -> dict[str, Any]:
    """Scores on up to ``most`` notes of each path (a folder of ``.txt`` or a JSON lines file), into which the lines of
    ``purpose`` are put; ``per_source`` has them for each path."""
    total, sources = RedactionScores(), {str(path): RedactionScores() for path in paths}
    for path, note in tqdm(marked_sources(paths, purpose=purpose, seed=seed, most=most), desc="redacting", unit="note"):
        redactions = find_identifiers(note.text)
        total.add(note, redactions)
        sources[str(path)].add(note, redactions)
    return total.figures() | {"per_source": {name: scores.figures() for name, scores in sources.items()}}


def marked_sources(paths: Sequence[Path], *, purpose: str, seed: int, most: int) -> list[tuple[Path, MarkedNote]]:
    """The marked notes of all paths, each with its path. One stream of lines goes through all of them."""
    texts = [(path, text) for path in paths for text in background(path, purpose=purpose, most=most)]
    marked = marked_notes([text for _, text in texts], purpose=purpose, seed=seed)
    return [(path, note) for (path, _), note in zip(texts, marked, strict=True)]


def score_redactions(notes: Iterable[MarkedNote], redactor: Redactor = find_identifiers) -> dict[str, Any]:
    """The figures of one redactor."""
    scores = RedactionScores()
    for note in notes:
        scores.add(note, redactor(note.text))
    return scores.figures()


def flat_figures(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of ``evaluate_phi`` as rows to print."""
    rows = {name: value for name, value in scores.items() if not isinstance(value, Mapping)}
    rows |= {f"recall {name} ({row['n']})": row["recall"] for name, row in scores["per_category"].items()}
    for source, figures in scores.get("per_source", {}).items():
        for name in ("recall", "direct_recall", "precision"):
            rows[f"{Path(source).name}: {name}"] = figures[name]
    return rows


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""How many identifiers are found: recall by category over marked notes, and how much of what is redacted is one.

An identifier is found where every letter and digit of it is redacted, under whatever category. A redaction is right
where it touches an identifier that was put in, or is a date of the note itself: real notes hold dates of their own.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clincode.phi import find_identifiers
from training.corpora import documents
from training.phi_set import MarkedNote, marked_notes

DIRECT = ("NAME", "SSN", "MRN", "PHONE", "EMAIL", "ADDRESS")
OWN = "DATE"


def evaluate_phi(notes: Path, *, purpose: str = "test", seed: int = 13, most: int = 300) -> dict[str, Any]:
    """Scores on up to ``most`` notes of a folder or file, into which the lines of ``purpose`` are put."""
    texts = [text for text, _ in zip(documents(notes), range(most), strict=False)]
    marked = marked_notes(texts, purpose=purpose, seed=seed)
    return score_redactions(tqdm(marked, desc="redacting", total=len(texts), unit="note"))


def score_redactions(notes: Iterable[MarkedNote]) -> dict[str, Any]:
    """``recall``, ``direct_recall``, ``precision``, ``n`` and, a category, ``per_category`` recall and number."""
    wanted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right = redacted = 0
    for note in notes:
        redactions = find_identifiers(note.text)
        hidden = {at for r in redactions for at in range(r.start, r.end)}
        marked = {at for mark in note.identifiers for at in range(mark.start, mark.end)}
        for mark in note.identifiers:
            wanted[mark.category] += 1
            letters = (at for at in range(mark.start, mark.end) if note.text[at].isalnum())
            found[mark.category] += all(at in hidden for at in letters)
        redacted += len(redactions)
        right += sum(r.category == OWN or any(at in marked for at in range(r.start, r.end)) for r in redactions)
    return {
        "recall": found.total() / max(1, wanted.total()),
        "direct_recall": sum(found[name] for name in DIRECT) / max(1, sum(wanted[name] for name in DIRECT)),
        "precision": right / max(1, redacted),
        "n": wanted.total(),
        "per_category": {
            name: {"recall": found[name] / wanted[name], "n": wanted[name]} for name in sorted(wanted, key=str)
        },
    }

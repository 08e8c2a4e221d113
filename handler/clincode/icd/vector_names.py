"""The names of the tabular list that get a vector: each once, without the words that are chosen by rule.

Side, trimester and encounter make a third of the list's lines; their names differ in a word that likeness of meaning is
blind to. One line stands for them, and ``codes`` says which.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clincode.icd.conventions import Conventions
from clincode.icd.terminology import Terminology

EXTERNAL_CAUSES = frozenset("VWXY")
_LONGEST = 10
"""Words; nobody says a longer line of the list, and its words are looked up all the same."""
_SIDE = re.compile(r"\b(?:right|left|bilateral)(?: side)?\b", re.IGNORECASE)
_TRIMESTER = re.compile(r"\b(?:first|second|third|unspecified) trimester\b", re.IGNORECASE)
_STRAY = re.compile(r"(?:\s*,)+(?=\s*(?:,|$))|\s+(?=,)")


@dataclass(frozen=True, slots=True)
class VectorName:
    """A name and the code that it stands at: the first of those that share it once what rules choose is left out."""

    text: str
    code: str


def vector_names(terminology: Terminology, longest: int = _LONGEST) -> Iterator[VectorName]:
    """Names in the order of the list, of at most ``longest`` words. External causes have none: no mention of a disease
    means them.

    A side is left out of the names of codes that a rule tells apart by it, and stays in others: "right heart failure".
    """
    conventions = Conventions(terminology, symptoms=())
    seen: set[tuple[str, str]] = set()
    for code in terminology.base_codes():
        if code[0] in EXTERNAL_CAUSES:
            continue
        title = terminology.title(code)
        chosen = [
            pattern
            for pattern, is_chosen in ((_SIDE, conventions.laterality), (_TRIMESTER, conventions.trimester))
            if pattern.search(title) and is_chosen(code) is not None
        ]
        stem = (terminology.parent(code) or code) if chosen else code
        for text in (title, *terminology.terms(code)):
            plain = _without(text, chosen)
            is_short = 0 < len(plain.split()) <= longest
            if is_short and (stem, plain.lower()) not in seen:
                seen.add((stem, plain.lower()))
                yield VectorName(plain, code)


def _without(text: str, chosen: Sequence[re.Pattern[str]]) -> str:
    for pattern in chosen:
        text = pattern.sub("", text)
    return " ".join(_STRAY.sub("", text).split()).strip(" ,") if chosen else text

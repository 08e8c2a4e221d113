"""The names of the tabular list that get a vector: each once, without the words that are chosen by rule.

Side, trimester and encounter make a third of the list's lines; their names differ in a word that likeness of meaning is
blind to. One line stands for them, and ``codes`` says which.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clincode.icd.terminology import Terminology

EXTERNAL_CAUSES = frozenset("VWXY")
_CHOSEN_BY_RULE = re.compile(
    r",? \b(?:right|left|bilateral) side\b|\b(?:right|left|bilateral)\b"
    r"|,? (?:first|second|third|unspecified) trimester\b",
    re.IGNORECASE,
)
_SIDED = re.compile(r"\b(?:right|left|bilateral)\b|\btrimester\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VectorName:
    """A name and the code that it stands at: the first of those that share it once what rules choose is left out."""

    text: str
    code: str


def vector_names(terminology: Terminology) -> Iterator[VectorName]:
    """Names in the order of the list. External causes have none: no mention of a disease means them."""
    seen: set[tuple[str, str]] = set()
    for code in terminology.base_codes():
        if code[0] in EXTERNAL_CAUSES:
            continue
        stem = (terminology.parent(code) or code) if _SIDED.search(terminology.title(code)) else code
        for text in (terminology.title(code), *terminology.terms(code)):
            plain = _plain(text)
            if plain and (stem, plain.lower()) not in seen:
                seen.add((stem, plain.lower()))
                yield VectorName(plain, code)


def _plain(text: str) -> str:
    return " ".join(_CHOSEN_BY_RULE.sub("", text).split()).strip(" ,") if _SIDED.search(text) else text

"""Cues of clinical context and where they stand in a text.

Cues are data (``resources/context_cues.tsv``), checked when they are loaded. At each place of a text the longest cue
counts; a pseudo-cue ("no change") hides the cues inside it and has no effect of its own.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError

CUES_FILE = "context_cues.tsv"
YEAR, END = "<year>", "<end>"
"""In a cue: any year, and the end of the sentence."""


class Category(StrEnum):
    NEGATED = "negated"
    POSSIBLE = "possible"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"
    FAMILY = "family"
    OTHER = "other"
    PSEUDO = "pseudo"
    TERMINATE = "terminate"
    PREDICATE = "predicate"
    """A verb that goes on with the same person ("was diagnosed with"): it ends every scope but the experiencer's."""


class Direction(StrEnum):
    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"
    WITHIN = "within"
    """On the mention that it stands in."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cue:
    """``reach`` is how many words away a mention may begin (forward) or end (backward); None is the whole sentence."""

    phrase: str
    category: Category
    direction: Direction
    reach: int | None


@dataclass(frozen=True, slots=True)
class CueMatch:
    start: int
    end: int
    cue: Cue


_INERT = {Category.PSEUDO, Category.TERMINATE, Category.PREDICATE}
_TOKEN = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_YEAR = re.compile(r"(?:19|20)\d\d")
_AUXILIARIES = ("is", "was", "are", "were", "be", "been", "do", "does", "did", "has", "have", "had", "will", "would")


def parse_cue(row: dict[str, str]) -> Cue:
    """A row of the cue file; raises ``ResourceError`` naming the phrase and the key at fault."""
    phrase = " ".join(row["cue"].lower().split())
    if not phrase:
        raise ResourceError(f"{CUES_FILE}: a row has no cue")
    try:
        category = Category(row["category"])
    except ValueError:
        raise ResourceError(f"{CUES_FILE}: '{phrase}' has the unknown category '{row['category']}'") from None
    try:
        direction = Direction(row["direction"])
    except ValueError:
        raise ResourceError(f"{CUES_FILE}: '{phrase}' has the unknown direction '{row['direction']}'") from None
    if (category in _INERT) != (direction is Direction.NONE):
        raise ResourceError(f"{CUES_FILE}: '{phrase}' is {category} and cannot act {direction}")
    if row["reach"] and not row["reach"].isdigit():
        raise ResourceError(f"{CUES_FILE}: '{phrase}' has the reach '{row['reach']}', not a number of words")
    return Cue(phrase, category, direction, int(row["reach"]) if row["reach"] else None)


class ContextRules:
    """Compiled cues, found by their words. Immutable."""

    def __init__(self, cues: Iterable[Cue]) -> None:
        self._cues: dict[tuple[str, ...], list[Cue]] = {}
        for cue in cues:
            same = self._cues.setdefault(_words(cue.phrase), [])
            if any(other.category is cue.category and other.direction is cue.direction for other in same):
                raise ResourceError(f"{CUES_FILE}: '{cue.phrase}' stands there twice as {cue.category} {cue.direction}")
            same.append(cue)
        # "is not" must not hide the cue that goes on from its "not": "is not consistent with".
        for words, found in list(self._cues.items()):
            if words[0] == "not" and len(words) > 1:
                for auxiliary in _AUXILIARIES:
                    self._cues.setdefault((auxiliary, *words), found)
        self._longest: dict[str, int] = {}
        for words in self._cues:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    @classmethod
    def load(cls) -> "ContextRules":
        return cls(parse_cue(row) for row in load_tsv_resource(CUES_FILE, ("cue", "category", "direction", "reach")))

    def matches(self, text: str, start: int, end: int) -> list[CueMatch]:
        """Cues in ``text[start:end]`` in order. At each place the longest phrase counts: "no evidence of" is not also
        "no", and a pseudo-cue hides what stands inside it."""
        tokens = list(_TOKEN.finditer(text, start, end))
        words = [_normal(token.group()) for token in tokens] + [END]
        found: list[CueMatch] = []
        at = 0
        while at < len(tokens):
            size = self._phrase_at(words, at)
            for cue in self._cues[tuple(words[at : at + size])] if size else ():
                if cue.category is not Category.PSEUDO:
                    last = min(at + size, len(tokens)) - 1
                    found.append(CueMatch(tokens[at].start(), tokens[last].end(), cue))
            at += max(size, 1)
        return found

    def _phrase_at(self, words: Sequence[str], at: int) -> int:
        for size in range(min(self._longest.get(words[at], 0), len(words) - at), 0, -1):
            if tuple(words[at : at + size]) in self._cues:
                return size
        return 0


def _normal(token: str) -> str:
    return YEAR if _YEAR.fullmatch(token) else token.lower().replace("’", "'")


def _words(phrase: str) -> tuple[str, ...]:
    words = (match.group() for match in re.finditer(rf"{YEAR}|{END}|{_TOKEN.pattern}", phrase))
    return tuple(word if word in (YEAR, END) else _normal(word) for word in words)


@cache
def default_rules() -> ContextRules:
    """The rules of the package's own cue file, compiled once."""
    return ContextRules.load()

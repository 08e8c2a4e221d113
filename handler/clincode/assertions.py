"""Certainty, temporality and experiencer of each mention, by cues and their scopes.

After ConText (Harkema et al. 2009). Cues are data (``resources/context_cues.tsv``). A cue acts forward or backward from
where it stands to the end of the sentence or to a terminating cue; a backward cue also stops at another of its kind. A
pseudo-cue ("no change") hides the cues inside it and has no effect of its own. Where several cues reach a mention,
negation outweighs possibility, except that a cue of doubt that follows the mention more closely ("cannot be excluded")
makes it possible.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.types import Assertion, Certainty, Experiencer, Sentence, Span, Temporality

CUES_FILE = "context_cues.tsv"


class Category(StrEnum):
    NEGATED = "negated"
    POSSIBLE = "possible"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"
    FAMILY = "family"
    OTHER = "other"
    PSEUDO = "pseudo"
    TERMINATE = "terminate"


class Direction(StrEnum):
    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"
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


_INERT = {Category.PSEUDO, Category.TERMINATE}
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_RESULTS = {f"{verb}{result}" for verb in ("", "is ", "was ", "are ", "were ") for result in ("negative", "neg")}
"""Of a test they give the result ("the culture was negative"); it was done all the same."""

SECTION_DEFAULTS: dict[str, dict[str, Temporality | Experiencer]] = {
    "FAMILY_HISTORY": {"experiencer": Experiencer.FAMILY},
    "PAST_MEDICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "PAST_SURGICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
}


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
        words = [token.group().lower().replace("’", "'") for token in tokens]
        found: list[CueMatch] = []
        at = 0
        while at < len(words):
            size = self._phrase_at(words, at)
            for cue in self._cues[tuple(words[at : at + size])] if size else ():
                if cue.category is not Category.PSEUDO:
                    found.append(CueMatch(tokens[at].start(), tokens[at + size - 1].end(), cue))
            at += max(size, 1)
        return found

    def _phrase_at(self, words: Sequence[str], at: int) -> int:
        for size in range(min(self._longest.get(words[at], 0), len(words) - at), 0, -1):
            if tuple(words[at : at + size]) in self._cues:
                return size
        return 0


def _words(phrase: str) -> tuple[str, ...]:
    return tuple(match.group() for match in _TOKEN.finditer(phrase))


@cache
def default_rules() -> ContextRules:
    """The rules of the package's own cue file, compiled once."""
    return ContextRules.load()


def assert_context(
    text: str, sentence: Sentence, mentions: Sequence[Span], rules: ContextRules | None = None
) -> tuple[Assertion, ...]:
    """The assertion of each of the sentence's mentions, in their order; ``trigger`` is cut from ``text``."""
    cues = (rules or default_rules()).matches(text, sentence.start, sentence.end)
    return tuple(_assertion(text, sentence, mention, mentions, cues) for mention in mentions)


def _assertion(
    text: str, sentence: Sentence, mention: Span, mentions: Sequence[Span], cues: Sequence[CueMatch]
) -> Assertion:
    defaults = SECTION_DEFAULTS.get(sentence.section or "", {})
    reaching = [match for match in cues if _reaches(text, match, mention, mentions, cues)]
    by_category: dict[Category, CueMatch] = {}
    for match in reaching:
        # Of several cues of a kind the nearest is named.
        nearest = by_category.get(match.cue.category)
        if nearest is None or _distance(match, mention) < _distance(nearest, mention):
            by_category[match.cue.category] = match
    certainty, deciding = _certainty(by_category, mention)
    temporality = Temporality(defaults.get("temporality", Temporality.CURRENT))
    if Category.HYPOTHETICAL in by_category:
        temporality = Temporality.HYPOTHETICAL
    elif Category.HISTORICAL in by_category:
        temporality = Temporality.HISTORICAL
    experiencer = Experiencer(defaults.get("experiencer", Experiencer.PATIENT))
    if Category.FAMILY in by_category:
        experiencer = Experiencer.FAMILY
    elif Category.OTHER in by_category:
        experiencer = Experiencer.OTHER
    # A cue may hold the punctuation that it is known by (": none"); the trigger does without.
    trigger = text[deciding.start : deciding.end].strip(" :;,.=") if deciding else None
    return Assertion(certainty, temporality, experiencer, trigger)


def _certainty(cues: dict[Category, CueMatch], mention: Span) -> tuple[Certainty, CueMatch | None]:
    negated, possible = cues.get(Category.NEGATED), cues.get(Category.POSSIBLE)
    if negated and possible:
        doubt_is_nearer = _distance(possible, mention) < _distance(negated, mention)
        # "No obvious sign of possible …" stays negated; "cannot be excluded" after the mention does not.
        chosen = possible if doubt_is_nearer and possible.start >= mention.end else negated
        return (Certainty.POSSIBLE if chosen is possible else Certainty.NEGATED), chosen
    if negated:
        return Certainty.NEGATED, negated
    if possible:
        return Certainty.POSSIBLE, possible
    return Certainty.AFFIRMED, None


def _distance(match: CueMatch, mention: Span) -> int:
    return max(mention.start - match.end, match.start - mention.end, 0)


def _reaches(text: str, match: CueMatch, mention: Span, mentions: Sequence[Span], cues: Sequence[CueMatch]) -> bool:
    cue = match.cue
    if cue.category in _INERT or (mention.type is EntityType.TEST and cue.phrase in _RESULTS):
        return False
    if mention.start <= match.start and match.end <= mention.end:
        # Inside the mention: "no fever" found as one span. A cue further in ("history of" in a name) says nothing.
        return (
            cue.category is Category.NEGATED
            and cue.direction is not Direction.BACKWARD
            and match.start == mention.start
        )
    if match.end <= mention.start and cue.direction in (Direction.FORWARD, Direction.BOTH):
        start, end, ahead = match.end, mention.start, True
    elif mention.end <= match.start and cue.direction in (Direction.BACKWARD, Direction.BOTH):
        start, end, ahead = mention.end, match.start, False
    else:
        return False
    if cue.reach is not None and len(_WORD.findall(text, start, end)) > cue.reach:
        return False
    return not any(_stops(other, match, start, end, ahead, mentions) for other in cues)


def _stops(other: CueMatch, match: CueMatch, start: int, end: int, ahead: bool, mentions: Sequence[Span]) -> bool:
    """Whether ``other`` stands between cue and mention and ends the cue's scope."""
    if other is match or not (start <= other.start and other.end <= end):
        return False
    if any(mention.start <= other.start and other.end <= mention.end for mention in mentions):
        return False
    if other.cue.category is Category.TERMINATE:
        return True
    # "No fever, chest pain denied": a backward cue is not carried over another of its kind.
    same_kind = other.cue.category is match.cue.category
    same_way = other.cue.direction is match.cue.direction
    return same_kind and same_way and not ahead

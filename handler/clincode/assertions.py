"""Certainty, temporality and experiencer of each mention, by cues and their scopes.

After ConText (Harkema et al. 2009). Cues are data (``resources/context_cues.tsv``). A cue acts forward or backward from
where it stands to the end of the sentence or to a terminating cue; a backward cue also stops at another of its kind. A
pseudo-cue ("no change") hides the cues inside it and has no effect of its own. Where several cues reach a mention,
negation outweighs possibility, except that a cue of doubt that follows the mention more closely ("cannot be excluded")
makes it possible.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
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


_INERT = {Category.PSEUDO, Category.TERMINATE}
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_RESULTS = {f"{verb}{result}" for verb in ("", "is ", "was ", "are ", "were ") for result in ("negative", "neg")}
"""Of a test they give the result ("the culture was negative"); it was done all the same."""

_AUXILIARIES = ("is", "was", "are", "were", "be", "been", "do", "does", "did", "has", "have", "had", "will", "would")

_FARTHEST = 64
"""Cues that are looked at on each side of a mention; it keeps a note of nothing but cues from taking for ever."""

SECTION_DEFAULTS: dict[str, dict[str, Temporality | Experiencer]] = {
    "FAMILY_HISTORY": {"experiencer": Experiencer.FAMILY},
    "PAST_MEDICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "PAST_SURGICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "SOCIAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "ALLERGIES": {"temporality": Temporality.HISTORICAL},
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
    outside = _without_terminators_inside(cues, sorted((mention.start, mention.end) for mention in mentions))
    starts = [match.start for match in outside]
    return tuple(_assertion(text, sentence, mention, outside, starts) for mention in mentions)


def _without_terminators_inside(cues: Sequence[CueMatch], mentions: Sequence[tuple[int, int]]) -> list[CueMatch]:
    """A word that ends scopes does not where it is part of a mention ("pain secondary to fracture" found as one)."""
    starts = [start for start, _ in mentions]

    def is_inside(match: CueMatch) -> bool:
        index = bisect_right(starts, match.start) - 1
        return index >= 0 and match.end <= mentions[index][1]

    return [match for match in cues if match.cue.category is not Category.TERMINATE or not is_inside(match)]


def _assertion(
    text: str, sentence: Sentence, mention: Span, cues: Sequence[CueMatch], starts: Sequence[int]
) -> Assertion:
    """``starts`` are those of ``cues``, which come in their order."""
    defaults = SECTION_DEFAULTS.get(sentence.section or "", {})
    first, last = bisect_left(starts, mention.start), bisect_left(starts, mention.end)
    before = reversed(cues[max(0, first - _FARTHEST) : first])
    by_category: dict[Category, CueMatch] = {}
    for match in (
        *_reaching(text, mention, before, Direction.FORWARD),
        *(match for match in cues[first:last] if _opens(match, mention)),
        *_reaching(text, mention, cues[last : last + _FARTHEST], Direction.BACKWARD),
    ):
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


def _reaching(text: str, mention: Span, cues: Iterable[CueMatch], way: Direction) -> Iterator[CueMatch]:
    """Cues that reach the mention from one side; ``cues`` come from the mention outwards."""
    met: set[Category] = set()
    end: int | None = None
    for match in cues:
        cue = match.cue
        # A phrase may end the scopes of others and open one of its own ("status post").
        if end is not None and match.start != end:
            return
        if cue.category is Category.TERMINATE:
            end = match.start
            continue
        if match.end > mention.start and way is Direction.FORWARD:
            continue  # it runs into the mention
        if cue.direction not in (way, Direction.BOTH) or _is_result(cue, mention):
            continue
        if way is Direction.BACKWARD and cue.category in met:
            continue  # a backward cue is not carried over another of its kind
        met.add(cue.category)
        between = (match.end, mention.start) if way is Direction.FORWARD else (mention.end, match.start)
        if cue.reach is None or len(_WORD.findall(text, *between)) <= cue.reach:
            yield match


def _opens(match: CueMatch, mention: Span) -> bool:
    """Inside a mention counts what is made to ("tobacco use"), and a negation that opens it ("no fever" as a span)."""
    if match.cue.direction is Direction.WITHIN:
        return match.end <= mention.end
    forward = match.cue.direction in (Direction.FORWARD, Direction.BOTH)
    return (
        match.cue.category is Category.NEGATED and forward and match.start == mention.start and match.end <= mention.end
    )


def _is_result(cue: Cue, mention: Span) -> bool:
    return mention.type is EntityType.TEST and cue.phrase in _RESULTS


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

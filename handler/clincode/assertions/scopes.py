"""The scopes of cues: which of them reach a mention, and what they make of it.

After ConText (Harkema et al. 2009). A cue acts forward or backward from where it stands to the end of the sentence or
to a terminating cue; a backward cue also stops at another of its kind, and who has a finding outlasts the verbs that
are said of him. Where several cues reach a mention, negation outweighs possibility, except that a cue of doubt that
follows the mention more closely ("cannot be excluded") makes it possible.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from clincode.assertions.cues import YEAR, Category, ContextRules, Cue, CueMatch, Direction, default_rules
from clincode.assertions.lists import is_asked_and_answered, of_answer, of_list_header, sign
from clincode.labels import EntityType
from clincode.types import Assertion, Certainty, Experiencer, Sentence, Span, Temporality

_PEOPLE = {Category.FAMILY, Category.OTHER}
_ENDS = {Category.TERMINATE, Category.PREDICATE}
_WORD = re.compile(r"\w+")
_RESULTS = {f"{verb}{result}" for verb in ("", "is ", "was ", "are ", "were ") for result in ("negative", "neg")}
"""Of a test they give the result ("the culture was negative"); it was done all the same. So may a bare number be."""

_FARTHEST = 64
"""Cues that are looked at on each side of a mention; it keeps a note of nothing but cues from taking for ever."""

_RIGHT: dict[Certainty | Temporality | Experiencer, float] = {
    Certainty.AFFIRMED: 0.996,
    Certainty.NEGATED: 0.995,
    Certainty.POSSIBLE: 0.976,
    Temporality.CURRENT: 0.959,
    Temporality.HISTORICAL: 0.862,
    Temporality.HYPOTHETICAL: 0.957,
    Experiencer.PATIENT: 0.998,
    Experiencer.FAMILY: 0.714,
    Experiencer.OTHER: 0.714,
}
"""How often such an answer was right, (right + 1) / (answers + 2), on the 1,164 concepts of the NegEx kit's train part;
it has six of family and none of other people, who are given the same."""

SECTION_DEFAULTS: dict[str, dict[str, Temporality | Experiencer]] = {
    "FAMILY_HISTORY": {"experiencer": Experiencer.FAMILY},
    "PAST_MEDICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "PAST_SURGICAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "SOCIAL_HISTORY": {"temporality": Temporality.HISTORICAL},
    "ALLERGIES": {"temporality": Temporality.HISTORICAL},
}


def assert_context(
    text: str, sentence: Sentence, mentions: Sequence[Span], rules: ContextRules | None = None
) -> tuple[Assertion, ...]:
    """The assertion of each of the sentence's mentions, in their order; ``trigger`` is cut from ``text``."""
    rules = rules or default_rules()
    bounds = (sentence.start, sentence.end)
    cues = [
        *of_list_header(text, sentence, rules),
        *(m for m in rules.matches(text, *bounds) if not is_asked_and_answered(text, sentence, m)),
        *of_answer(text, sentence),
    ]
    signs = [found for mention in mentions if (found := sign(text, sentence, mention))]
    cues = sorted([*cues, *signs], key=lambda match: match.start) if signs else cues
    outside = _without_terminators_inside(cues, sorted((mention.start, mention.end) for mention in mentions))
    starts = [match.start for match in outside]
    tests = [mention for mention in mentions if mention.type is EntityType.TEST]
    return tuple(_assertion(text, sentence, mention, outside, starts, tests) for mention in mentions)


def _without_terminators_inside(cues: Sequence[CueMatch], mentions: Sequence[tuple[int, int]]) -> list[CueMatch]:
    """A word that ends scopes does not where it is part of a mention ("pain secondary to fracture" found as one)."""
    starts = [start for start, _ in mentions]

    def is_inside(match: CueMatch) -> bool:
        index = bisect_right(starts, match.start) - 1
        return index >= 0 and match.end <= mentions[index][1]

    return [match for match in cues if match.cue.category not in _ENDS or not is_inside(match)]


def _assertion(
    text: str,
    sentence: Sentence,
    mention: Span,
    cues: Sequence[CueMatch],
    starts: Sequence[int],
    tests: Sequence[Span],
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
        if _is_of_a_test(match, mention, tests):
            continue
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
    if trigger and len(trigger) > 1:
        trigger = trigger.lstrip("- ")
    confidence = _RIGHT[certainty] * _RIGHT[temporality] * _RIGHT[experiencer]
    return Assertion(certainty, temporality, experiencer, trigger, round(confidence, 3))


def _reaching(text: str, mention: Span, cues: Iterable[CueMatch], way: Direction) -> Iterator[CueMatch]:
    """Cues that reach the mention from one side; ``cues`` come from the mention outwards."""
    met: set[Category] = set()
    end: int | None = None
    of_people_alone = False
    for match in cues:
        cue = match.cue
        # A phrase may end the scopes of others and open one of its own ("status post").
        if end is not None and match.start != end:
            return
        if cue.category is Category.TERMINATE:
            end = match.start
            continue
        if cue.category is Category.PREDICATE:
            of_people_alone = True
            continue
        if of_people_alone and cue.category not in _PEOPLE:
            continue
        if match.end > mention.start and way is Direction.FORWARD and not _opens_into(match, mention):
            continue  # it runs into the mention
        if cue.direction not in (way, Direction.BOTH) or _is_result(cue, mention):
            continue
        if way is Direction.BACKWARD and cue.category in met:
            continue  # a backward cue is not carried over another of its kind
        met.add(cue.category)
        between = (match.end, mention.start) if way is Direction.FORWARD else (mention.end, match.start)
        if cue.reach is None or len(_WORD.findall(text, *between)) <= cue.reach:
            yield match


def _opens_into(match: CueMatch, mention: Span) -> bool:
    """Whether a denial's last words are the mention's first: "No history of stroke", where "history of stroke" has a
    code of its own."""
    return match.cue.category is Category.NEGATED and match.start < mention.start and match.end < mention.end


def _opens(match: CueMatch, mention: Span) -> bool:
    """Inside a mention counts what is made to ("tobacco use"), and a negation that opens it ("no fever" as a span)."""
    if match.cue.direction is Direction.WITHIN:
        return match.end <= mention.end
    forward = match.cue.direction in (Direction.FORWARD, Direction.BOTH)
    return (
        match.cue.category is Category.NEGATED and forward and match.start == mention.start and match.end <= mention.end
    )


def _is_result(cue: Cue, mention: Span) -> bool:
    return mention.type is EntityType.TEST and (cue.phrase in _RESULTS or cue.phrase == YEAR)


def _is_of_a_test(match: CueMatch, mention: Span, tests: Sequence[Span]) -> bool:
    """Whether a result is that of a test between it and the mention: "hyperemesis at 9 weeks, ketones negative"."""
    return match.cue.phrase in _RESULTS and any(mention.end <= test.start and test.end <= match.start for test in tests)


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

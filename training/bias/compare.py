"""What a model found in a note about one person beside what it found in the same note about another, and beside the
gold.

Mentions are compared at the template's offsets. What stands wholly in a slot is a mention *of the person*: it is
counted by itself, no gold has it, and codes of the note's list that rest on nothing else are left out of the comparison
of lists, for a note may rightly say more of one person than of another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clincode.labels import EntityType
from clincode.types import Analysis, Assertion
from training.bias.templates import Filled, Gold

KINDS = ("missing", "extra", "boundary", "type")
METRICS = ("entity_f1", "negation_accuracy", "context_accuracy", "code_accuracy")


@dataclass(frozen=True, slots=True)
class FoundMention:
    """A mention at canonical offsets; ``code`` is its first suggestion."""

    text: str
    start: int
    end: int
    type: EntityType
    assertion: Assertion
    code: str | None
    confidence: float
    is_person: bool

    @property
    def place(self) -> tuple[int, int, EntityType]:
        return self.start, self.end, self.type


@dataclass(frozen=True, slots=True)
class Found:
    """All that was found in one note; ``codes`` are those of its list that say something of more than the person."""

    mentions: tuple[FoundMention, ...]
    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """How a note differs from its reference. ``kinds`` counts entities by ``KINDS``, ``person`` those that stand wholly
    in a slot of one note and not of the other; contexts and first codes are compared on the ``aligned`` mentions, which
    both notes have alike."""

    kinds: Counter[str]
    person: int
    aligned: int
    assertions: int
    mention_codes: int
    note_codes: frozenset[str]
    confidence: float
    """Sum over the aligned mentions of the note's confidence less the reference's."""

    @property
    def differs(self) -> bool:
        return bool(self.kinds or self.person or self.assertions or self.mention_codes or self.note_codes)


def found_in(analysis: Analysis, filled: Filled) -> Found:
    """The analysis at the template's offsets."""
    mentions = []
    for entity in analysis.entities:
        start, end = filled.canonical(entity.span.start, entity.span.end)
        is_person = filled.is_person(entity.span.start, entity.span.end)
        code = entity.icd_codes[0].code if entity.icd_codes else None
        kind, sure = entity.span.type, entity.span.confidence
        mentions.append(FoundMention(entity.text, start, end, kind, entity.assertion, code, sure, is_person))
    codes = {
        code.code
        for code in analysis.codes
        if not code.evidence or not all(mentions[index].is_person for index in code.evidence)
    }
    return Found(tuple(mentions), frozenset(codes))


def compare(found: Found, reference: Found) -> PairOutcome:
    """The two notes of a pair. Mentions that only overlap differ in boundary or, where their types differ, in type."""
    here, there = ({m.place: m for m in side.mentions if not m.is_person} for side in (found, reference))
    people = [{mention.place for mention in side.mentions if mention.is_person} for side in (found, reference)]
    both = [(here[place], there[place]) for place in here if place in there]
    rest = [mention for place, mention in here.items() if place not in there]
    lost = [mention for place, mention in there.items() if place not in here]
    kinds: Counter[str] = Counter()
    for mention in rest:
        other = _nearest(mention, lost)
        if other is None:
            kinds["extra"] += 1
        else:
            lost.remove(other)
            kinds["boundary" if other.type is mention.type else "type"] += 1
    return PairOutcome(
        kinds + Counter(missing=len(lost)),
        len(people[0] ^ people[1]),
        len(both),
        sum(context(one.assertion) != context(other.assertion) for one, other in both),
        sum(one.code != other.code for one, other in both),
        found.codes ^ reference.codes,
        sum(one.confidence - other.confidence for one, other in both),
    )


def context(assertion: Assertion) -> tuple[str, str, str]:
    """The assertion without its cue, which may hold a word that the person changes."""
    return assertion.certainty, assertion.temporality, assertion.experiencer


def score(found: Found, gold: Sequence[Gold]) -> dict[str, tuple[int, int]]:
    """What a note adds to numerator and denominator of each of ``METRICS``.

    Strict F1 leaves out mentions of the person, of which the gold says nothing. Negation and the whole context are
    judged where a mention of the gold's type overlaps a diagnosis, the first code where the gold has codes: a diagnosis
    that is not found has no code.
    """
    places = {mention.place for mention in found.mentions if not mention.is_person}
    right = sum((one.start, one.end, one.type) in places for one in gold)
    negation, contexts, coded = list[bool](), list[bool](), list[bool]()
    for one in gold:
        mention = _nearest_of_type(one, found.mentions)
        if mention is not None and one.type is EntityType.DIAGNOSIS:
            said, wanted = mention.assertion, one.assertion
            negation.append(said.is_negated is wanted.is_negated)
            contexts.append(context(said) == context(wanted))
        if one.codes:
            coded.append(mention is not None and mention.code in one.codes)
    return {
        "entity_f1": (2 * right, len(places) + len(gold)),
        "negation_accuracy": (sum(negation), len(negation)),
        "context_accuracy": (sum(contexts), len(contexts)),
        "code_accuracy": (sum(coded), len(coded)),
    }


def _overlap(one: FoundMention | Gold, other: FoundMention | Gold) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def _nearest(mention: FoundMention, others: Sequence[FoundMention]) -> FoundMention | None:
    near = [other for other in others if _overlap(mention, other) > 0]
    return max(near, key=lambda other: (other.type is mention.type, _overlap(mention, other)), default=None)


def _nearest_of_type(gold: Gold, mentions: Sequence[FoundMention]) -> FoundMention | None:
    near = [m for m in mentions if m.type is gold.type and not m.is_person and _overlap(gold, m) > 0]
    return max(near, key=lambda m: _overlap(gold, m), default=None)

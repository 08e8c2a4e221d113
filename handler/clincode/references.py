"""What "it", "this" and "the mass" mean: the entity before them that they point back to.

Rules as data: nouns that stand for others and their kin (``resources/reference_nouns.tsv``), and what can be said of
which type of entity (``resources/reference_predicates.tsv``). A noun goes to the best earlier mention of a fitting type
that shares its head or is of its kin; a pronoun to the most prominent one of the sentences just before, of the types of
which its predicate can be said. A pronoun that means nothing ("it is important to …") is left alone.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.types import Reference, Sentence, Span

NOUNS_FILE = "reference_nouns.tsv"
PREDICATES_FILE = "reference_predicates.tsv"

MOST_CANDIDATES = 100
"""Mentions that are looked at, from the anaphor backwards: no note takes longer than its length explains."""
PRONOUN_SENTENCES = 2
"""How many sentences back a pronoun reaches, and a noun without kin."""
SHORTEST_ENDING = 2

_PRONOUNS = re.compile(
    r"\b(?P<it>[Ii]t)\b|\b(?P<this>[Tt]his|[Tt]hat)\b|\b(?P<they>[Tt]hey|[Tt]hese|[Tt]hose|[Bb]oth)\b"
)
_DETERMINED = re.compile(
    r"\b(?P<det>the|this|that|these|those|such|his|her|their|said|its|both|same)[ \t]+"
    r"(?P<mods>(?:[\w-]+[ \t]+){0,3}?)(?P<noun>[\w-]+)(?![\w-])",
    re.IGNORECASE,
)
_POINTS = {"this", "that", "these", "those", "such", "said", "same", "both"}
_EMPTY_IT = re.compile(
    r"[ \t]+(?:(?:is|was|would be|will be|may be|might be|seems?|appear(?:s|ed)?|remain(?:s|ed)|became|becomes|has been"
    r"|should be|must be|can be|could be)[ \t]+(?:\w+ly[ \t]+|not[ \t]+|also[ \t]+|very[ \t]+|too[ \t]+|then[ \t]+)?"
    r"(?:\w+[ \t]+(?:that|whether)\b"
    r"|(?:important|necessary|possible|impossible|likely|unlikely|unclear|clear|essential|reasonable"
    r"|appropriate|prudent|helpful|useful|advisable|imperative|obvious|evident|unknown|uncertain|best|worth|vital"
    r"|crucial|critical|common|unusual|late|early|cold|hot|raining|snowing|winter|summer|my|our)\b(?![ \t]+defect)"
    r"|(?:hard|easy|difficult|safe|good|nice|time)[ \t]+(?:to|for)\b"
    r"|(?:recommended|noted|felt|thought|believed|decided|advised|agreed|hoped|suggested|planned|elected|better)"
    r"[ \t]+(?:to|by|the|best|he|she|we|they)\b"
    r"|(?:about[ \t]+|around[ \t]+|almost[ \t]+|nearly[ \t]+|past[ \t]+|after[ \t]+|only[ \t]+)?\d{1,2}(?::\d\d)?[ \t]?"
    r"(?:a\.?m|p\.?m|o'clock)"
    r"|(?:mid)?(?:night|noon|morning|afternoon|evening)\b)"
    r"|(?:appears|seems|looks|sounds|feels)[ \t]+(?:that|like|as|to me)\b"
    r"|(?:is|was|has been)[ \t]+(?:\d+|several|many|a few|about|approximately|over|two|three|four|five|six)[ \t]+"
    r"(?:second|minute|hour|day|week|month|year|mile)s?"
    r"|(?:should|must|can|may|will)[ \t]+be[ \t]+(?:noted|emphasized|stressed|mentioned|remembered|pointed)"
    r"|(?:takes?|took)[ \t]+(?:\w+[ \t]+){0,3}(?:to|hours?|minutes?|days?|weeks?)\b"
    r"|turns?[ \t]+out|turned[ \t]+out[ \t]+that|depends|rained|snowed)"
)
_EMPTY_THIS = re.compile(
    r"[ \t]+(?:is|was)[ \t]+(?:a|an|the|my|our|his|her)?[ \t]*(?:\d|very|pleasant|well|patient|man\b|woman\b|male"
    r"|female|gentleman|lady|boy|girl|infant|first|second|follow|visit|child|elderly|unfortunate|year|case\b)"
    r"|[ \t]+(?:is|was)[ \t]+(?:\w+[ \t]+){0,2}(?:discussed|explained|why|how|when|what|where|because)\b"
)
_VERB = re.compile(
    r"[ \t]+(?:also[ \t]+|has[ \t]+|have[ \t]+|had[ \t]+|then[ \t]+|later[ \t]+|subsequently[ \t]+|\w+ly[ \t]+)?"
    r"(?:is|was|are|were|has|have|had|will|would|can|could|may|might|should|must|does|did|do|\w+ed|\w+es|\w+s"
    r"|began|grew|showed|bled|went|came|got|felt|became|remain|appear|seem|measure|show|grow|look|occur|cause|involve"
    r"|persist|respond|resolve|extend)\b"
)
_TAKES = re.compile(
    r"\b(?:tak(?:es?|ing|en)|took|start(?:s|ed|ing)?|stop(?:s|ped|ping)?|tolerat(?:es?|ed|ing)|prescribed|held|holding"
    r"|continu(?:es?|ed|ing)|restart(?:ed|ing)?|resum(?:e|ed|ing)|inject(?:s|ed|ing)?|refus(?:es|ed))[ \t]+$",
    re.IGNORECASE,
)
"""What is done with a medication, before the pronoun."""
_ASKED = re.compile(r"\b(?:should|if|when|unless|once)[ \t]+$", re.IGNORECASE)
_MEASURE = re.compile(
    r"[ \t]+(?:is|was|are|were|has been|remains|remained)[ \t]+(?:now[ \t]+|still[ \t]+|about[ \t]+|only[ \t]+)?"
    r"\d[\d.,/]*(?:[ \t-]?(?P<unit>[a-zµ%/]+\d?))?",
    re.IGNORECASE,
)
_MEDICATION = frozenset({EntityType.MEDICATION})
_SIZES = frozenset({"mm", "cm", "x"})
_DOSES = frozenset({"mg", "mcg", "units", "unit", "g"})
_SPEECH = re.compile(r"(?:^|[.;:!?]\s*|\bbut\s+|\band\s+|\bbecause\s+|\bas\s+|\bsince\s+|,\s*)$", re.IGNORECASE)
_WORD = re.compile(r"[\w-]+")
_PREDICATE_WORDS = 7


@dataclass(frozen=True, slots=True)
class Noun:
    """``kin``: whole words, ``-ends`` and ``beginnings-`` of the mentions it may stand for; empty means any."""

    types: frozenset[EntityType]
    kin: frozenset[str]

    def is_kin(self, words: Iterable[str]) -> bool:
        return any(
            word in self.kin
            or any(len(word) > size and f"-{word[-size:]}" in self.kin for size in range(SHORTEST_ENDING, 10))
            or any(len(word) > size and f"{word[:size]}-" in self.kin for size in range(SHORTEST_ENDING, 10))
            for word in words
        )


@dataclass(frozen=True, slots=True)
class Anaphor:
    """A word or phrase that points back. ``words`` are those of a noun phrase without its determiner, in lower case;
    a pronoun has none. ``types`` is empty where nothing tells."""

    start: int
    end: int
    types: frozenset[EntityType]
    noun: Noun | None = None
    words: tuple[str, ...] = ()
    points: bool = True
    """Whether the determiner itself points ("this drug"), where "the drug" may be any."""
    is_plural: bool = False
    """Whether it is a pronoun that means several ("they", "both")."""


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    nouns: Mapping[str, Noun] = field(default_factory=dict)
    predicates: Mapping[str, frozenset[EntityType]] = field(default_factory=dict)


def _types(row: Mapping[str, str], place: str) -> frozenset[EntityType]:
    names = row["types"].split("|")
    unknown = [name for name in names if name not in EntityType.__members__]
    if unknown:
        raise ResourceError(f"{place} has the unknown type '{unknown[0]}'")
    return frozenset(EntityType[name] for name in names)


def parse_rules(nouns: Iterable[Mapping[str, str]], predicates: Iterable[Mapping[str, str]]) -> ReferenceRules:
    """Rows of both files; raises ``ResourceError`` naming the row that has an unknown type or stands there twice."""
    by_noun: dict[str, Noun] = {}
    for row in nouns:
        noun, place = row["noun"].lower(), f"{NOUNS_FILE}: '{row['noun']}'"
        if noun in by_noun:
            raise ResourceError(f"{place} stands there twice")
        kin = frozenset(part.strip().lower() for part in row["kin"].split("|") if part.strip())
        by_noun[noun] = Noun(_types(row, place), kin)
    by_phrase: dict[str, frozenset[EntityType]] = {}
    for row in predicates:
        phrase, place = row["phrase"].lower(), f"{PREDICATES_FILE}: '{row['phrase']}'"
        if phrase in by_phrase:
            raise ResourceError(f"{place} stands there twice")
        by_phrase[phrase] = _types(row, place)
    return ReferenceRules(by_noun, by_phrase)


@cache
def default_rules() -> ReferenceRules:
    return parse_rules(
        load_tsv_resource(NOUNS_FILE, ("noun", "types", "kin")),
        load_tsv_resource(PREDICATES_FILE, ("phrase", "types")),
    )


def resolve_references(
    text: str, sentences: Sequence[Sentence], spans: Sequence[Span], rules: ReferenceRules | None = None
) -> tuple[Reference, ...]:
    """The references of a note in its order; ``spans`` are its entities in theirs."""
    rules = rules or default_rules()
    return tuple(
        Reference(anaphor.start, anaphor.end, found.start, found.end)
        for sentence in sentences
        for anaphor in find_anaphors(text, sentence, rules)
        if (found := antecedent(text, sentences, anaphor, spans)) is not None
    )


def find_anaphors(text: str, sentence: Sentence, rules: ReferenceRules) -> Iterator[Anaphor]:
    """Pronouns that mean something and noun phrases that point back, in the order of the sentence."""
    found = [*_pronouns(text, sentence, rules), *_noun_phrases(text, sentence, rules)]
    return iter(sorted(found, key=lambda anaphor: anaphor.start))


def _pronouns(text: str, sentence: Sentence, rules: ReferenceRules) -> Iterator[Anaphor]:
    for match in _PRONOUNS.finditer(text, sentence.start, sentence.end):
        after = text[match.end() : sentence.end]
        before = text[sentence.start : match.start()]
        types = _MEDICATION if _TAKES.search(before) else _said_of(after, rules)
        is_plural = bool(match["they"])
        if match["it"]:
            means = _EMPTY_IT.match(after) is None
        elif _ASKED.search(before):
            means = bool(types) and _VERB.match(after) is None
        else:
            means = bool(_VERB.match(after)) and not _EMPTY_THIS.match(after) and bool(_SPEECH.search(before))
        if means:
            yield Anaphor(match.start(), match.end(), types, is_plural=is_plural)


def _said_of(after: str, rules: ReferenceRules) -> frozenset[EntityType]:
    """The types of which can be said what follows a pronoun; empty where that tells nothing."""
    if measure := _MEASURE.match(after):
        unit = (measure["unit"] or "").lower()
        if unit in _SIZES:
            return frozenset({EntityType.DIAGNOSIS})
        return frozenset({EntityType.MEDICATION if unit in _DOSES else EntityType.TEST})
    words = [word.group().lower() for word in _WORD.finditer(after)][:_PREDICATE_WORDS]
    for index in range(len(words)):
        for size in (3, 2, 1):
            found = rules.predicates.get(" ".join(words[index : index + size]))
            if found:
                return found
    return frozenset()


def _noun_phrases(text: str, sentence: Sentence, rules: ReferenceRules) -> Iterator[Anaphor]:
    at = sentence.start
    while match := _DETERMINED.search(text, at, sentence.end):
        at = match.end("det")
        for last in _nouns(text, match, sentence.end, rules):
            words = tuple(word.group().lower() for word in _WORD.finditer(text, match.end("det"), last.end()))
            noun = rules.nouns[words[-1]]
            yield Anaphor(match.start(), last.end(), noun.types, noun, words, points=match["det"].lower() in _POINTS)
            at = last.end()


def _nouns(text: str, match: re.Match[str], end: int, rules: ReferenceRules) -> Iterator[re.Match[str]]:
    """The first noun of the table within four words of the determiner, unless the phrase goes on ("mass effect")."""
    for count, word in enumerate(_WORD.finditer(text, match.end("det"), end)):
        if count > 3 or text[match.end("det") : word.start()].strip(" \t-'’").count(","):
            return
        if word.group().lower() in rules.nouns:
            following = re.match(r"[ \t]+([\w-]+)", text[word.end() : end])
            if following and following[1].lower() in rules.nouns:
                continue
            yield word
            return


def antecedent(text: str, sentences: Sequence[Sentence], anaphor: Anaphor, spans: Sequence[Span]) -> Span | None:
    """The mention that the anaphor means, or None."""
    starts = [sentence.start for sentence in sentences]
    here = bisect_right(starts, anaphor.start)
    best: Span | None = None
    highest = 0.0
    stop = bisect_right(spans, anaphor.start, key=lambda span: span.end)
    for index in range(max(0, stop - MOST_CANDIDATES), stop):
        span = spans[index]
        distance = here - bisect_right(starts, span.start)
        opens = index == 0 or bisect_right(starts, spans[index - 1].start) != bisect_right(starts, span.start)
        score = _score(text, anaphor, span, distance, opens=opens)
        if score is not None and score >= highest:
            best, highest = span, score
    return best


def _score(text: str, anaphor: Anaphor, span: Span, distance: int, *, opens: bool) -> float | None:
    """How well a mention fits; None where it does not. ``distance``: in sentences; ``opens``: it is its sentence's
    first."""
    if anaphor.types and span.type not in anaphor.types:
        return None
    if anaphor.noun is None:
        if distance > PRONOUN_SENTENCES or (not anaphor.types and span.type is EntityType.ANATOMY):
            return None
        fit = 0.0
        if anaphor.is_plural and not _is_plural(text[span.start : span.end]):
            if not anaphor.types:
                return None
            fit -= 3.0
        if not anaphor.types and span.type is EntityType.DIAGNOSIS:
            fit += 1.5  # notes speak of findings more than of what showed them
        return 10.0 - 2.0 * distance + (1.0 if opens else -1.0 if distance == 0 else 0.0) + fit
    words = _parts(text[span.start : span.end])
    likeness = _likeness(anaphor.words, words, anaphor.noun)
    if likeness:
        return likeness - 0.2 * distance
    reach = PRONOUN_SENTENCES if anaphor.points else 1
    return None if anaphor.noun.kin or distance > reach else 6.0 - 1.5 * distance + (0.5 if opens else 0.0)


def _is_plural(mention: str) -> bool:
    last = mention.lower().split()[-1]
    return " and " in mention or (
        last.endswith(("s", "ae", "omata")) and not last.endswith(("ss", "us", "is", "as", "os"))
    )


def _parts(mention: str) -> list[str]:
    """The words of a mention, those with a hyphen also in their parts ("PET-CT", "amoxicillin-clavulanate")."""
    words = [word.group().lower() for word in _WORD.finditer(mention)]
    return [part for word in words for part in ([word, *word.split("-")] if "-" in word else [word])]


def _likeness(pointing: Sequence[str], mention: Sequence[str], noun: Noun) -> float:
    """How much the words of a phrase that points back are those of a mention, or of its kin; 0 where they are not."""
    if not mention:
        return 0.0
    shared = set(pointing) & set(mention)
    if _stem(pointing[-1]) in map(_stem, mention):
        return 12.0 + 2.0 * len(shared)
    if _is_short_for(pointing[-1], mention) or _is_short_for(mention[-1], pointing):
        return 11.0
    return 8.0 + len(shared) if any(len(word) > 3 for word in shared) or noun.is_kin(mention) else 0.0


def _is_short_for(short: str, words: Sequence[str]) -> bool:
    """ "iabp" for "intra aortic balloon pump"."""
    initials = "".join(part[0] for word in words for part in word.split("-") if part)
    return 1 < len(short) <= len(initials) and short == initials[: len(short)]


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def anaphor_at(text: str, start: int, end: int, sentence: Sentence, rules: ReferenceRules | None = None) -> Anaphor:
    """``text[start:end]`` as something that points back, whatever it is: for mentions known to be one."""
    rules = rules or default_rules()
    words = tuple(word.group().lower() for word in _WORD.finditer(text, start, end))
    if not words or _PRONOUNS.fullmatch(text[start:end]):
        return Anaphor(start, end, _said_of(text[end : sentence.end], rules))
    noun = rules.nouns.get(words[-1], _UNLISTED)
    return Anaphor(start, end, noun.types, noun, words)


_UNLISTED = Noun(frozenset(), frozenset({"-"}))
"""A noun of which nothing is known: it goes to its own kind alone."""

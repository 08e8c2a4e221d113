"""Words and phrases that point back: "it", "this", "the mass". A pronoun that means nothing ("it is important to …") is
left alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clincode.labels import EntityType
from clincode.references.rules import UNLISTED, Noun, ReferenceRules, default_rules
from clincode.types import Sentence

_PRONOUNS = re.compile(
    r"\b(?:(?P<it>it)|(?P<its>its)|(?P<this>this|that)|(?P<they>they|these|those|both)|(?P<them>them))\b",
    re.IGNORECASE,
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
    r"(?:\w+[ \t]+(?:to[ \t]+(?:him|her|them|us|the[ \t]+\w+)[ \t]+)?(?:that|whether)\b"
    r"|(?:important|necessary|possible|impossible|likely|unlikely|unclear|clear|essential|reasonable"
    r"|appropriate|prudent|helpful|useful|advisable|imperative|obvious|evident|unknown|uncertain|wise|sensible|fair|premature|best|worth|vital"
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
    r"|(?:takes?|took)[ \t]+(?:\w+[ \t]+){0,3}(?:to|before|until)\b"
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
    r"|swallow(?:s|ed|ing)?|appl(?:y|ies|ied|ying)|instill(?:s|ed|ing)?|us(?:e|es|ed|ing)|chew(?:s|ed)?"
    r"|blam(?:e|es|ed|ing)|crush(?:es|ed)?|refill(?:s|ed)?|miss(?:es|ed)|skip(?:s|ped)?|forg(?:ets|ot)|afford|fill(?:ed)?"
    r"|increas(?:e|ed|ing)|decreas(?:e|ed|ing)|titrat(?:e|ed|ing)|taper(?:ed|ing)?|discontinu(?:e|ed|ing)|wean(?:ed|ing)?"
    r"|response to|responded to|reaction to|allergic to|benefit from|relief from|relief with|compliant with|adherent to"
    r"|adherence to|off of"
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
_SPEECH = re.compile(
    r"(?:(?:^|[.;:!?]\s*)(?:(?:on|at|in|by|during|after|for|with|over)\s+(?:[\w-]+\s+){1,4}|(?:today|now|then|later)\s+)?"
    r"|\bbut\s+|\band\s+|\bbecause\s+|\bas\s+|\bsince\s+|,\s*)$",
    re.IGNORECASE,
)
_FINDS = re.compile(r"\b(?:finds?|found|makes?|made|making|feels?|considers?|considered)[ \t]+$", re.IGNORECASE)
_HARD_TO = re.compile(r"[ \t]+(?:\w+ly[ \t]+|too[ \t]+|very[ \t]+)?\w+[ \t]+(?:to|that)\b")
_WORD = re.compile(r"[\w-]+")
_PREDICATE_WORDS = 7


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


def find_anaphors(
    text: str, sentence: Sentence, rules: ReferenceRules, heads: frozenset[str] = frozenset()
) -> Iterator[Anaphor]:
    """Pronouns that mean something and noun phrases that point back, in the order of the sentence. ``heads`` are the
    last words of the note's mentions, in lower case: each may be named again."""
    found = [*_pronouns(text, sentence, rules), *_noun_phrases(text, sentence, rules, heads)]
    return iter(sorted(found, key=lambda anaphor: anaphor.start))


def _pronouns(text: str, sentence: Sentence, rules: ReferenceRules) -> Iterator[Anaphor]:
    for match in _PRONOUNS.finditer(text, sentence.start, sentence.end):
        after = text[match.end() : sentence.end]
        before = text[sentence.start : match.start()]
        types = _MEDICATION if _TAKES.search(before) else _said_of(after, rules)
        is_plural = bool(match["they"] or match["them"])
        if match["it"]:
            means = _EMPTY_IT.match(after) is None and not (_FINDS.search(before) and _HARD_TO.match(after))
        elif match["its"]:
            types = _possessed(after, rules)
            means = bool(types)
        elif match["them"] or _ASKED.search(before):
            means = bool(types)
        else:
            means = bool(_VERB.match(after)) and not _EMPTY_THIS.match(after) and bool(_SPEECH.search(before))
        if means:
            yield Anaphor(match.start(), match.end(), types, is_plural=is_plural)


def _possessed(after: str, rules: ReferenceRules) -> frozenset[EntityType]:
    """The types of which "its" can be said, by what is theirs: "its margins", "its dose"."""
    words = [word.group().lower() for word in _WORD.finditer(after)][:3]
    return next((rules.predicates[f"its {word}"] for word in words if f"its {word}" in rules.predicates), frozenset())


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


def _noun_phrases(text: str, sentence: Sentence, rules: ReferenceRules, heads: frozenset[str]) -> Iterator[Anaphor]:
    at = sentence.start
    while match := _DETERMINED.search(text, at, sentence.end):
        at = match.end("det")
        for last in _nouns(text, match, sentence.end, rules, heads):
            words = tuple(word.group().lower() for word in _WORD.finditer(text, match.end("det"), last.end()))
            noun = rules.noun(words[-1]) or UNLISTED
            yield Anaphor(match.start(), last.end(), noun.types, noun, words, points=match["det"].lower() in _POINTS)
            at = last.end()


def _nouns(
    text: str, match: re.Match[str], end: int, rules: ReferenceRules, heads: frozenset[str]
) -> Iterator[re.Match[str]]:
    """The first noun of the table within four words of the determiner, unless the phrase goes on ("mass effect")."""
    for count, word in enumerate(_WORD.finditer(text, match.end("det"), end)):
        if count > 3 or text[match.end("det") : word.start()].strip(" \t-'’").count(","):
            return
        name = word.group().lower()
        if rules.noun(name) or name in heads:
            following = re.match(r"[ \t]+([\w-]+)", text[word.end() : end])
            if following and (rules.noun(following[1].lower()) or following[1].lower() in heads):
                continue
            yield word
            return


def anaphor_at(text: str, start: int, end: int, sentence: Sentence, rules: ReferenceRules | None = None) -> Anaphor:
    """``text[start:end]`` as something that points back, whatever it is: for mentions known to be one."""
    rules = rules or default_rules()
    words = tuple(word.group().lower() for word in _WORD.finditer(text, start, end))
    if not words or _PRONOUNS.fullmatch(text[start:end]):
        return Anaphor(start, end, _said_of(text[end : sentence.end], rules))
    noun = rules.noun(words[-1]) or UNLISTED
    return Anaphor(start, end, noun.types, noun, words)

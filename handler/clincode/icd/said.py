"""What a note says around a mention that chooses among the codes of one condition.

Side, encounter, trimester and how open a fracture is are read as such; everything else stays words: those of the mention
and what stands next to it, and those of its sentence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.conventions import Encounter, Healing, Side
from clincode.icd.normalise import word_equivalents, words
from clincode.types import Span

_LEFT = re.compile(r"\b(?:left|lt|left-sided|leftward)\b|\bOS\b|(?<![\w.])\(?L\)?(?=[ .]|$)")
_RIGHT = re.compile(r"\b(?:right|rt|right-sided|rightward)\b|\bOD\b|(?<![\w.])\(?R\)?(?=[ .]|$)")
_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both|b/l|bilat)\b|\bOU\b", re.IGNORECASE)
_NUMBER_OF_WEEKS = r"(?P<weeks>\d{1,2})(?:w\d?d?|(?: ?\+ ?| and |-| )?\d/7)?(?:\s*-?\s*(?:weeks?|wks?|wk)\b|(?<=w)\b|(?<=d)\b|(?<=/7)\b)"
_WEEKS = re.compile(
    rf"(?<![\d/.-]){_NUMBER_OF_WEEKS}(?!\s*(?:ago|postpartum|post|after|old|later|course|of (?!gestation|pregnancy)))",
    re.IGNORECASE,
)
_AFTERWARDS = re.compile(r"\b(?:for|x|over|in|after|past|last|every|until|planned)\s*$", re.IGNORECASE)
_TRIMESTER = re.compile(r"\b(first|1st|second|2nd|third|3rd)[- ]trimester\b", re.IGNORECASE)
_TRIMESTERS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3}
_PREGNANT = re.compile(
    r"\b(?:pregnan(?:t|cy)|gravid(?:a|arum|)|primigravida|IUP|G\d+ ?P\d|gestation\w*|weeks? along|prenatal|antenatal|trimester|\d{1,2}w\dd?|NST"
    r"|(?:pre)?eclampsia|placenta|fetal|fetus|embryo\w*|abortion|miscarriage|cesarean|undelivered|obstetric\w*|(?:in|preterm) labor|vaginal delivery|morning sickness)\b",
    re.IGNORECASE,
)
_SEQUELA = re.compile(
    r"\bsequelae?\b|\blate effects?\b|\bresidual (?:of|from)\b|\bas a result of (?:an?|the|his|her) old\b",
    re.IGNORECASE,
)
_SUBSEQUENT = re.compile(
    r"\bsubsequent encounter\b|\b(?:for|in|at) (?:\w+ )?(?:follow[- ]?up|f/u)\b|\b(?:follow[- ]?up|f/u) (?:visit|of|for|after|appointment|x-?rays?|films?)\b"
    r"|(?:^|[.\n] ?)(?:\w+ ){0,2}(?:follow[- ]?up|f/u|recheck|postop visit)\b(?! in\b| with\b)|\b(?:routine|delayed|normal) healing\b|\bhealing (?:well|nicely|as expected)\b"
    r"|\bhealed\b|\bnon-?union\b|\bmal-?union\b|\b(?:cast|splint|boot|sutures?|staples?) (?:is |are |was |were )?(?:removed|removal|off|out)\b"
    r"|\b(?:removal of|here for) (?:the )?(?:sutures|cast|hardware|staples)\b|\b(?:weeks?|wks?|months?|mo|days?) (?:out|post|after|s/p|status post|following|since)\b"
    r"|\baftercare\b|\bcallus\b|\bhealing (?:fracture|burn|wound)\b|\brecheck of\b",
    re.IGNORECASE,
)
_INITIAL = re.compile(
    r"\binitial encounter\b|\bactive treatment\b|\bED\b|\bemergency\b|\b(?:today|this morning|last night|yesterday)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"(?<!closed or )\b(?:open|compound|gustilo)\b(?! reduction)", re.IGNORECASE)
_HEALINGS: tuple[tuple[Healing, re.Pattern[str]], ...] = (
    ("nonunion", re.compile(r"\bnon-?union\b|\bnot united\b", re.IGNORECASE)),
    ("malunion", re.compile(r"\bmal-?union\b|\bmal-?united\b", re.IGNORECASE)),
    ("delayed", re.compile(r"\bdelayed (?:healing|union)\b|\bslow to heal\b", re.IGNORECASE)),
)


_DENIED = re.compile(
    r"[^.,;:\n]*\b(?:are|is|was|were)? ?(?:clear|normal|unremarkable|negative|intact|clean|ruled out)\b(?!-)|"
    r"\b(?:no|not|never|without|w/o|denies|denied|negative for|absence of|free of|rather than|ruled out)\b(?! longer| change)[^.,;:\n]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """``near`` are canonical words of the mention and what stands next to it, ``far`` those of its sentence.

    ``implied`` is what the near words imply. ``neighbours`` are the words around each other disease of the sentence. ``trimester`` is 0 where none is said. ``side`` is
    that of the mention, else the nearest of its sentence, else the only one that the note names.
    """

    mention: frozenset[str]
    near: frozenset[str]
    far: frozenset[str]
    implied: frozenset[str] = frozenset()
    side: Side | None = None
    encounter: Encounter = "initial"
    open_: bool = False
    healing: Healing = "routine"
    trimester: int = 0
    weeks: int | None = None
    pregnant: bool = False
    encounter_said: bool = False
    neighbours: tuple[frozenset[str], ...] = ()
    treated: bool = False
    newborn: bool = False


def said_of(mention: str, near: str, sentence: str, note: str, *, at: int = 0, neighbours: Sequence[str] = ()) -> Said:
    """From the mention with its abbreviations written out, what stands next to it, its sentence, and the whole note; ``at`` is
    where in the sentence the mention stands."""
    weeks = gestational_weeks(note)
    healing: Healing = next((kind for kind, pattern in _HEALINGS if pattern.search(sentence)), "routine")
    encounter, encounter_said = _encounter(sentence, note)
    return Said(
        meaning(mention),
        meaning(near) | meaning(mention),
        meaning(sentence) | meaning(mention),
        implied(meaning(near) | meaning(mention)),
        side_of(mention) or side_of(near) or nearest_side(sentence, at) or side_of(note),
        encounter,
        _OPEN.search(near) is not None or _OPEN.search(mention) is not None,
        healing,
        trimester_of(note, weeks),
        weeks,
        weeks is not None or _PREGNANT.search(note) is not None,
        encounter_said,
        tuple(meaning(neighbour) for neighbour in neighbours),
    )


def without_denied(text: str, start: int, end: int, denied: Sequence[Span], *, keep: Span) -> str:
    """``text[start:end]`` with what is denied blanked out: mentions that are, and what follows "no" or "without". ``keep``
    stays as it is."""
    shown = list(text[start:end])
    places = [(span.start - start, span.end - start) for span in denied]
    places += [match.span() for match in _DENIED.finditer(text[start:end])]
    for first, last in places:
        for i in range(max(first, 0), min(last, len(shown))):
            if not keep.start - start <= i < keep.end - start:
                shown[i] = " "
    return "".join(shown)


def meaning(text: str) -> frozenset[str]:
    """Canonical words, those of one meaning made one."""
    equivalents = word_equivalents()
    return frozenset(part for word in words(text) for part in equivalents.get(word, (word,)))


def side_of(text: str) -> Side | None:
    """The side that a text names; None where it names none. Left and right together are both."""
    if _BOTH.search(text):
        return "bilateral"
    left, right = _LEFT.search(text) is not None, _RIGHT.search(text) is not None
    lowered = text if text.islower() else text.lower()
    left = left or re.search(r"\bleft\b", lowered) is not None
    right = right or re.search(r"\bright\b", lowered) is not None
    if left and right:
        return None
    return "left" if left else "right" if right else None


def nearest_side(sentence: str, at: int) -> Side | None:
    """The side that is named nearest to a place, of left, right and both."""
    found: list[tuple[int, Side]] = []
    for side, pattern in (("bilateral", _BOTH), ("left", _LEFT), ("right", _RIGHT)):
        found += [(abs(match.start() - at), side) for match in pattern.finditer(sentence)]  # type: ignore[misc]
    return min(found)[1] if found else None


@cache
def _implications() -> dict[str, frozenset[str]]:
    table: dict[str, frozenset[str]] = {}
    for row in load_tsv_resource("icd_implied.tsv", ("words", "implied")):
        for word in row["words"].split(","):
            key = next(iter(words(word)), "")
            if not key or key in table:
                raise ResourceError(f"icd_implied.tsv: '{word}' is empty, or stands there twice")
            table[key] = meaning(row["implied"])
    return table


def implied(said: frozenset[str]) -> frozenset[str]:
    """What words imply: a sigmoid colon is a large intestine."""
    table = _implications()
    return frozenset().union(*(table[word] for word in said if word in table))


def gestational_weeks(note: str) -> int | None:
    """Whole weeks of a pregnancy, the first that a note states which speaks of one."""
    if not _PREGNANT.search(note):
        return None
    for match in _WEEKS.finditer(note):
        if 3 < int(match["weeks"]) < 45 and not _AFTERWARDS.search(note[: match.start()]):
            return int(match["weeks"])
    return None


def trimester_of(note: str, weeks: int | None) -> int:
    """1 to 3; 0 where the note says neither trimester nor weeks. Counted as chapter 15 does, from 14 and 28 weeks."""
    match = _TRIMESTER.search(note)
    if match:
        return _TRIMESTERS[match[1].lower()]
    return 0 if weeks is None else 1 if weeks < 14 else 2 if weeks < 28 else 3


def _encounter(sentence: str, note: str) -> tuple[Encounter, bool]:
    for text in (sentence, note):
        if _SEQUELA.search(text):
            return "sequela", True
        if re.search(r"\binitial encounter\b", text, re.IGNORECASE):
            return "initial", True
        if _SUBSEQUENT.search(text):
            return "subsequent", True
    return "initial", _INITIAL.search(note) is not None

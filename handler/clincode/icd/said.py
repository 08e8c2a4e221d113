"""What a note says around a mention that chooses among the codes of one condition.

Side, encounter, trimester and how open a fracture is are read as such; everything else stays words: those of the
mention and what stands next to it, and those of its sentence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.circumstances import (
    encounter_of,
    healing_of,
    is_newborn,
    is_open,
    is_pregnant,
    is_treated,
    trimester_of,
)
from clincode.icd.conventions import Encounter, Healing
from clincode.icd.mention import Mention
from clincode.icd.normalise import word_equivalents, words
from clincode.icd.sided_titles import Side
from clincode.icd.vertebrae import with_vertebrae
from clincode.types import Sentence, Span

_LEFT = re.compile(
    r"\b(?i:left|lt|left-sided|leftward)\b|\b(?:OS|LLE|LUE)\b|\(L\)|(?<![\w.])(?<!\d )L(?= [a-z]|[.,]|$)"
)
_RIGHT = re.compile(
    r"\b(?i:right|rt|right-sided|rightward)\b|\b(?:OD|RLE|RUE)\b|\(R\)|(?<![\w.])(?<!\d )R(?= [a-z]|[.,]|$)"
)
_NUMBERED = frozenset({"stage", "type", "grade"})
_WRITTEN_OUT = (
    (re.compile(r"\b(CKD|chronic kidney disease) (\d[ab]?)\b", re.IGNORECASE), r"chronic kidney disease stage \2"),
    (re.compile(r"\bribs\b", re.IGNORECASE), "multiple ribs"),
    (re.compile(r"\b[LR]LE\b"), "lower limb extremity"),
    (re.compile(r"\b[LR]UE\b"), "upper limb extremity"),
)
_AFTERWARDS = 160
"""Characters behind a sentence in which its cancer may be said to be gone."""
_ACROSS = 20
"""Characters that a comma counts for between a side and what it is the side of."""
_SITE = re.compile(r"[ -]*(?:\w+[ -]*){1,3}")
_STAGE = re.compile(r"\bstage (?:\d[ab]?|[IV]+[ab]?)\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both|b/l|bilat)\b|\bOU\b", re.IGNORECASE)
_SIDES: tuple[tuple[Side, re.Pattern[str]], ...] = (("bilateral", _BOTH), ("left", _LEFT), ("right", _RIGHT))
_DENIED = re.compile(
    r"[^.,;:\n]*\b(?:are|is|was|were)? ?(?:clear|normal|unremarkable|negative(?! for)|intact|clean|ruled out)\b(?!-)"
    r"|\b(?:no|not|never|without|w/o|denies|denied|negative for|absence of|free of|rather than|ruled out)\b"
    r"(?! longer| change)[^.,;:\n]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """``near`` are canonical words of the mention and what stands next to it, ``far`` those of its sentence.

    ``implied`` is what the near words imply. ``neighbours`` are the words around each other disease of the sentence.
    ``denied`` are words that the sentence denies. ``trimester`` is 0 where none is said. ``side`` is that of the
    mention, else the nearest of its sentence; ``elsewhere`` are those that the note names, each with the words of what
    it is the side of.
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
    pregnant: bool = False
    encounter_said: bool = False
    neighbours: tuple[frozenset[str], ...] = ()
    denied: frozenset[str] = frozenset()
    elsewhere: tuple[tuple[Side, frozenset[str]], ...] = ()
    treated: bool = False
    newborn: bool = False


@dataclass(frozen=True, slots=True)
class NoteFacts:
    """What a note says of all its mentions; read once."""

    text: str
    trimester: int = 0
    pregnant: bool = False
    newborn: bool = False
    sides: tuple[tuple[Side, frozenset[str]], ...] = ()


def facts_of(note: str) -> NoteFacts:
    return NoteFacts(note, trimester_of(note), is_pregnant(note), is_newborn(note), sides_of_sites(note))


def without_denied(text: str, start: int, end: int, denied: Sequence[Span], *, keep: Span) -> str:
    """``text[start:end]`` with what is denied blanked out: mentions that are, and what follows "no" or "without".
    ``keep`` stays as it is."""
    shown = list(text[start:end])
    places = [(span.start - start, span.end - start) for span in denied]
    places += [match.span() for match in _DENIED.finditer(text[start:end])]
    for first, last in places:
        for i in range(max(first, 0), min(last, len(shown))):
            if not keep.start - start <= i < keep.end - start or _is_denying(text, keep):
                shown[i] = " "
    return "".join(shown)


def _is_denying(text: str, mention: Span) -> bool:
    """Whether a mention denies something itself: "migraine without aura"."""
    found = _DENIED.search(text, mention.start, mention.end)
    return found is not None and found.start() > mention.start


def meaning(text: str) -> frozenset[str]:
    """Canonical words, those of one meaning made one, and a stage or type one word with its number."""
    equivalents = word_equivalents()
    found: list[str] = []
    for word in words(_readable(text)):
        if found and found[-1] in _NUMBERED and word[:1].isdigit():
            found[-1] += word
        else:
            found.extend(equivalents.get(word, (word,)))
    return frozenset(found)


def _readable(text: str) -> str:
    """What stands for words, written out: "CKD 5", "ribs 5, 6 and 7", "LLE"."""
    for pattern, written in _WRITTEN_OUT:
        text = pattern.sub(written, text)
    return text


def side_of(text: str) -> Side | None:
    """The side that a text names; None where it names none, or left and right without saying that it is both."""
    if _BOTH.search(text):
        return "bilateral"
    left, right = _LEFT.search(text) is not None, _RIGHT.search(text) is not None
    return None if left is right else "left" if left else "right"


def nearest_side(sentence: str, start: int, end: int) -> Side | None:
    """The side that is named nearest to what stands from ``start`` to ``end``, of left, right and both."""
    found = []
    for side, pattern in _SIDES:
        for match in pattern.finditer(sentence):
            between = sentence[match.end() : start] or sentence[end : match.start()]
            found.append((len(between) + _ACROSS * ("," in between), side))
    return min(found)[1] if found else None


def sides_of_sites(note: str) -> tuple[tuple[Side, frozenset[str]], ...]:
    """Every side that a note names, with the words behind it: what it is the side of."""
    found: list[tuple[int, Side, frozenset[str]]] = []
    for side, pattern in _SIDES:
        for match in pattern.finditer(note):
            site = _SITE.match(note, match.end())
            if site is not None:
                found.append((match.start(), side, meaning(site.group())))
    return tuple((side, site) for _, side, site in sorted(found, key=lambda each: each[0]))


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


def said_around(facts: NoteFacts, mentions: Sequence[Mention], index: int, corrected: Callable[[str], str]) -> Said:
    """What is said around a mention of a disease: up to its neighbours of the kind, and in its sentence.
    ``corrected`` puts misspelt words right."""
    text, mention = facts.text, mentions[index]
    sentence = mention.sentence
    together = [m for m in mentions if m.sentence == sentence]
    negated = [m for m in together if m is not mention and m.assertion.is_negated]
    others = [m for m in together if m is not mention and not m.assertion.is_negated]
    whole = text[sentence.start : sentence.end]
    shown = without_denied(text, sentence.start, sentence.end, [m.span for m in negated], keep=mention.span)
    own = corrected(_DENIED.sub(" ", mention.text) or mention.text)
    here = corrected(_around(shown, sentence, mention, together))
    near = with_vertebrae(f"{here} {_stage_of_the_note(text, here, mentions, mention)}")
    written = [m.text for m in others if m.text != text[m.span.start : m.span.end]]  # abbreviations written out
    far = with_vertebrae(corrected(" ".join([shown, *written])))
    denied = meaning(" ".join([*(m.text for m in negated), *(match.group() for match in _DENIED.finditer(whole))]))
    named, close = meaning(own), meaning(near) | meaning(own)
    encounter, encounter_said = encounter_of(whole, text)
    start, end = mention.span.start - sentence.start, mention.span.end - sentence.start
    return Said(
        mention=named,
        near=close,
        far=meaning(far) | named,
        implied=implied(close),
        side=side_of(own) or side_of(near) or nearest_side(shown, start, end),
        encounter=encounter,
        encounter_said=encounter_said,
        open_=is_open(near) or is_open(own),
        healing=healing_of(whole),
        trimester=facts.trimester,
        pregnant=facts.pregnant,
        newborn=facts.newborn,
        treated=is_treated(text[sentence.start : sentence.end + _AFTERWARDS]),
        neighbours=tuple(
            meaning(corrected(f"{m.text} {_around(shown, sentence, m, together)}")) for m in others if m.is_disease
        ),
        denied=denied - named,
        elsewhere=facts.sides,
    )


def _around(shown: str, sentence: Sentence, mention: Mention, mentions: Sequence[Mention]) -> str:
    """What a sentence says between the diseases before and after a mention; ``mentions`` are those of the sentence."""
    diseases = [m.span for m in mentions if m is not mention and m.is_disease and not _touch(m.span, mention.span)]
    start = max([sentence.start, *(span.end for span in diseases if span.end <= mention.span.start)])
    end = min([sentence.end, *(span.start for span in diseases if span.start >= mention.span.end)])
    return shown[start - sentence.start : end - sentence.start]


def _stage_of_the_note(note: str, near: str, mentions: Sequence[Mention], mention: Mention) -> str:
    """The stage that a sentence without a disease says of the one before it: "Sacral pressure ulcer, … . Stage 3."."""
    found = None if _STAGE.search(near) else _STAGE.search(note, mention.sentence.end)
    if found is None:
        return ""
    between = any(mention.span.end <= m.span.start for m in mentions if m.is_disease and m.span.start < found.end())
    behind = any(m.sentence.start <= found.start() < m.sentence.end for m in mentions if m.is_disease)
    return "" if between or behind else found.group()


def _touch(one: Span, other: Span) -> bool:
    """Whether nothing but a space is between two mentions: what belongs together was found in pieces."""
    return -1 <= one.end - other.start <= 0 or -1 <= other.end - one.start <= 0

"""What a note says around a mention that chooses among the codes of one condition.

Side, encounter, trimester and how open a fracture is are read as such; everything else stays words: those of the
mention and what stands next to it, and those of its sentence.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from clincode.icd.conventions import Encounter, Healing, Side
from clincode.icd.mention import Mention
from clincode.icd.normalise import word_equivalents, words
from clincode.icd.vertebrae import with_vertebrae
from clincode.types import Sentence, Span

_LEFT = re.compile(r"\b(?:left|lt|left-sided|leftward)\b|\b(?:OS|LLE|LUE)\b|(?<![\w.])\(?L\)?(?=[ .]|$)")
_RIGHT = re.compile(r"\b(?:right|rt|right-sided|rightward)\b|\b(?:OD|RLE|RUE)\b|(?<![\w.])\(?R\)?(?=[ .]|$)")
_NUMBERED = frozenset({"stage", "type", "grade"})
_WRITTEN_OUT = (
    (re.compile(r"\b(CKD|chronic kidney disease) (\d[ab]?)\b", re.IGNORECASE), r"chronic kidney disease stage \2"),
    (re.compile(r"\bribs\b", re.IGNORECASE), "multiple ribs"),
    (re.compile(r"\b[LR]LE\b"), "lower limb extremity"),
    (re.compile(r"\b[LR]UE\b"), "upper limb extremity"),
)
_SITE = re.compile(r"[ -]*(?:\w+[ -]*){1,3}")
_STAGE = re.compile(r"\bstage (?:\d[ab]?|[IV]+[ab]?)\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:bilateral(?:ly)?|both|b/l|bilat)\b|\bOU\b", re.IGNORECASE)
_SIDES: tuple[tuple[Side, re.Pattern[str]], ...] = (("bilateral", _BOTH), ("left", _LEFT), ("right", _RIGHT))
_DENIED = re.compile(
    r"[^.,;:\n]*\b(?:are|is|was|were)? ?(?:clear|normal|unremarkable|negative|intact|clean|ruled out)\b(?!-)"
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


def said_of(mention: str, near: str, sentence: str, note: str, *, at: int = 0, neighbours: Sequence[str] = ()) -> Said:
    """From the mention with its abbreviations written out, what stands next to it, its sentence, and the whole note;
    ``at`` is where in the sentence the mention stands."""
    encounter, encounter_said = encounter_of(sentence, note)
    return Said(
        meaning(mention),
        meaning(near) | meaning(mention),
        meaning(sentence) | meaning(mention),
        implied(meaning(near) | meaning(mention)),
        side_of(mention) or side_of(near) or nearest_side(sentence, at),
        encounter,
        is_open(near) or is_open(mention),
        healing_of(sentence),
        trimester_of(note),
        is_pregnant(note),
        encounter_said,
        tuple(meaning(neighbour) for neighbour in neighbours),
    )


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
    found = [(abs(match.start() - at), side) for side, pattern in _SIDES for match in pattern.finditer(sentence)]
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


def said_around(text: str, mentions: Sequence[Mention], index: int, corrected: Callable[[str], str]) -> Said:
    """What is said around a mention of a disease: up to its neighbours of the kind, and in its sentence.
    ``corrected`` puts misspelt words right."""
    mention = mentions[index]
    sentence = mention.sentence
    negated = [m.span for m in mentions if m is not mention and m.assertion.is_negated]
    shown = without_denied(text, sentence.start, sentence.end, negated, keep=mention.span)
    denied = meaning(" ".join(match.group() for match in _DENIED.finditer(text[sentence.start : sentence.end])))
    denied |= meaning(" ".join(m.text for m in mentions if m.sentence == sentence and m.assertion.is_negated))
    own = _DENIED.sub(" ", mention.text)
    near = _around(shown, sentence, mention, mentions)
    others = [m for m in mentions if m is not mention and m.sentence == sentence and not m.assertion.is_negated]
    neighbours = [f"{m.text} {_around(shown, sentence, m, mentions)}" for m in others if m.is_disease]
    written = [m.text for m in others if m.text != text[m.span.start : m.span.end]]
    shown = " ".join([shown, *written])  # abbreviations written out
    near = f"{near} {_stage_of_the_note(text, near)}"
    said = said_of(
        corrected(own if own.strip() else mention.text),
        with_vertebrae(corrected(near)),
        with_vertebrae(corrected(shown)),
        text,
        at=mention.span.start - sentence.start,
        neighbours=[corrected(neighbour) for neighbour in neighbours],
    )
    around = text[sentence.start : sentence.end + 160]
    return replace(
        said,
        treated=is_treated(around),
        newborn=is_newborn(text),
        denied=denied - said.mention,
        elsewhere=sides_of_sites(text),
    )


def _around(shown: str, sentence: Sentence, mention: Mention, mentions: Sequence[Mention]) -> str:
    """What a sentence says between the diseases before and after a mention."""
    diseases = [
        m.span
        for m in mentions
        if m is not mention and m.is_disease and m.sentence == sentence and not _touch(m.span, mention.span)
    ]
    start = max([sentence.start, *(span.end for span in diseases if span.end <= mention.span.start)])
    end = min([sentence.end, *(span.start for span in diseases if span.start >= mention.span.end)])
    return shown[start - sentence.start : end - sentence.start]


def _stage_of_the_note(note: str, near: str) -> str:
    """The stage that the note names, if it names one alone and nothing near the mention does."""
    stages = {match.group().lower() for match in _STAGE.finditer(note)}
    return stages.pop() if len(stages) == 1 and not _STAGE.search(near) else ""


def _touch(one: Span, other: Span) -> bool:
    """Whether nothing but a space is between two mentions: what belongs together was found in pieces."""
    return -1 <= one.end - other.start <= 0 or -1 <= other.end - one.start <= 0

"""From what points back to the mention that it means.

A noun goes to the best earlier mention of a fitting type that shares its head or is of its kin; a pronoun to the most
prominent one of the sentences just before, of the types of which its predicate can be said.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence

from clincode.labels import EntityType
from clincode.references.anaphors import Anaphor, find_anaphors
from clincode.references.rules import Noun, ReferenceRules, default_rules
from clincode.types import Reference, Sentence, Span

MOST_CANDIDATES = 100
"""Mentions that are looked at, from the anaphor backwards: no note takes longer than its length explains."""
PRONOUN_SENTENCES = 2
"""How many sentences back a pronoun reaches, and a noun without kin."""
_WORD = re.compile(r"[\w-]+")
_NEAR = 60
_SHOWN = re.compile(
    r"\b(?:show(?:s|ed|ing)|reveal(?:s|ed|ing)|demonstrat(?:es|ed|ing)|confirm(?:s|ed|ing)|identif(?:ies|ied|ying)|found"
    r"|detect(?:s|ed|ing)|suggest(?:s|ed|ing|ive)|consistent|diagnos(?:ed|tic)|visualiz(?:es|ed))\b[^.;:]*$"
)


def resolve_references(
    text: str, sentences: Sequence[Sentence], spans: Sequence[Span], rules: ReferenceRules | None = None
) -> tuple[Reference, ...]:
    """The references of a note in its order; ``spans`` are its entities in theirs."""
    rules = rules or default_rules()
    heads = frozenset(
        _parts(text[span.start : span.end])[-1] for span in spans if _WORD.search(text, span.start, span.end)
    )
    return tuple(
        Reference(anaphor.start, anaphor.end, found.start, found.end)
        for sentence in sentences
        for anaphor in find_anaphors(text, sentence, rules, heads)
        if (found := antecedent(text, sentences, anaphor, spans)) is not None
    )


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
        fit = 1.0 if opens else 0.0
        if anaphor.is_plural and not _is_plural(text[span.start : span.end]):
            if not anaphor.types:
                return None
            fit -= 3.0
        if (
            not anaphor.types
            and span.type is EntityType.DIAGNOSIS
            and _SHOWN.search(text[max(0, span.start - _NEAR) : span.start])
        ):
            fit += 2.0  # "MRI revealed a meningioma. It …": what was shown, more than what showed it
        return 10.0 - 2.0 * distance - (1.0 if distance == 0 and not opens else 0.0) + fit
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

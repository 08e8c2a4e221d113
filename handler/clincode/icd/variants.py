"""The grammar of the tabular list: what else a title or an inclusion term can be said as.

The conventions are those of the list's own introduction: parentheses hold nonessential modifiers, which may be there
or not; square brackets hold synonyms; "and" in a title means "and/or"; "unspecified" and "NOS" say that nothing more is
known.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from itertools import combinations

_PARENTHESES = re.compile(r"\s*\(([^()]*)\)")
_BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]")
_UNKNOWN = (
    "site|sites|part|parts|organism|causes?|type|etiology|severity|location|nature|side|laterality|duration|origin|organ"
    "|region|chronicity|trimester|stage|whether acute or chronic|whether with hypoxia or hypercapnia|quadrant|behavior"
    "|as to episode of care"
)
# After "of" a part of the body is the site ("pain in unspecified knee"), after a comma only its side is in question.
_UNKNOWN_SIDE = (
    "eye|ear|breast|hand|foot|knee|hip|shoulder|elbow|wrist|ankle|limb|leg|arm|(?:lower|upper) (?:leg|arm|limb)"
    "|(?:lower |upper )?extremity|forearm|thigh|finger|toe|eyelid|orbit|joint"
)
_NOTHING_MORE = re.compile(
    r"\s*,?\s*\b(?:(?:of|in|due to|by|involving|and)\s+)?unspecified"
    rf"(?: (?:{_UNKNOWN})\b|(?<=, unspecified) (?:{_UNKNOWN_SIDE})$)?"
)
# What a diagnosis is without unless a complication is named.
_ABSENT = (
    "complications?|status migrainosus|status asthmaticus|status epilepticus|acute exacerbation|bleeding|esophagitis"
    "|hemorrhage or perforation|perforation or abscess|hemorrhage|obstruction or gangrene|obstruction|gangrene|rupture"
    "|behavioral disturbance, psychotic disturbance, mood disturbance, and anxiety|hematuria|foreign body|macular edema"
    "|current pathological fracture|angina pectoris|heart failure"
)
_WITHOUT = re.compile(rf"\s*,?\s*\b(?:uncomplicated|not intractable|without (?:mention of )?(?:{_ABSENT}))\b")
_EXCEPT = re.compile(r",? (?:except|excluding) .*$|, site not specified$|, not specified as .*$")
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_TAILS = (
    (_NOTHING_MORE, ("unspecified",)),
    (_WITHOUT, ("without", "uncomplicated", "intractable")),
    (_EXCEPT, ("except", "excluding", "not specified")),
)
_GOES_ON = re.compile(r" (?!NOS\b|NEC\b|unspecified\b|not elsewhere)[A-Za-z]")
_AND_PAIR = re.compile(r"\b([\w-]{4,}) (?:and|or|and/or) ([\w-]{4,})\b")
_CLAUSE = re.compile(r"\b(?:of|in|with|due|to|by|from|and|or|without|for)\b|,")
_MAX_OPTIONAL = 4


class Grammar(IntEnum):
    """How far a form stands from the words of the list; less is nearer."""

    VERBATIM = 0
    NONESSENTIAL = 1
    """A nonessential modifier or a bracketed synonym was left out or put in."""
    NOTHING_MORE = 2
    """A tail that only says that nothing more is known, or that there are no complications, was left out."""
    HALF = 3
    """One half of "A and B"."""


def forms(text: str) -> Iterator[tuple[str, Grammar]]:
    """Every form of a title or an inclusion term with its grammar, the term itself first; may repeat a form."""
    yield text, Grammar.VERBATIM
    for plain in _without_brackets(text):
        if plain != text:
            yield plain, Grammar.NONESSENTIAL
        short = plain
        if "unspecified" in plain:
            short = _NOTHING_MORE.sub("", short)
        if "uncomplicated" in plain or "without" in plain or "intractable" in plain:
            short = _WITHOUT.sub("", short)
        short = _EXCEPT.sub("", short)
        if short != plain and short.strip(" ,"):
            yield short.strip(" ,"), Grammar.NOTHING_MORE
        for half in _halves(plain):
            yield half, Grammar.HALF


def nonessential(text: str) -> Iterator[str]:
    """The parts of a name without which it names the same: what is in brackets, and tails that add no knowledge."""
    if "(" in text or "[" in text:
        yield from _ASIDE.findall(text)
        text = _ASIDE.sub(" ", text)
    # Looking for a word is cheaper than for a tail that is not there.
    for tail, hints in _TAILS:
        if any(hint in text for hint in hints):
            yield from (found[0] for found in tail.finditer(text))


def _without_brackets(text: str) -> Iterator[str]:
    """The term with each choice of its nonessential modifiers and synonyms."""
    for chosen in _bracketed(text):
        if "(" not in chosen:
            yield chosen
            continue
        parts = _PARENTHESES.split(chosen)
        kept, optional = parts[::2], parts[1::2]
        for count in range(len(optional) + 1) if len(optional) <= _MAX_OPTIONAL else (0, 1, len(optional)):
            for positions in combinations(range(len(optional)), count):
                yield _joined(kept, [f" {word}" if i in positions else "" for i, word in enumerate(optional)])
        if len(optional) == 1 and _GOES_ON.match(kept[1]):
            # "Essential (primary) hypertension": the modifier may stand for the word before it.
            yield _joined([kept[0].rpartition(" ")[0], kept[1]], [f" {optional[0]}"])


def _bracketed(text: str) -> Iterator[str]:
    """The term without its bracketed synonyms, and with the first of them in place of what stands before it."""
    if "[" not in text:
        yield text
        return
    yield _BRACKETS.sub("", text)
    before, synonym, after = _BRACKETS.split(text, maxsplit=1)
    for name in synonym.split(","):
        yield f"{name.strip()}{_BRACKETS.sub('', after)}"
    opening = before.split(maxsplit=1)[0].lower() if before.split() else ""
    if opening in ("unspecified", "other"):
        yield f"{opening} {synonym}{_BRACKETS.sub('', after)}"


def _halves(text: str) -> Iterator[str]:
    """ "Phlebitis and thrombophlebitis" → each of the two; "calculus of kidney and ureter" → with each of the two.

    "Subacute and chronic melioidosis" does not name "subacute": halves of a whole title must be of one length.
    """
    pair = _AND_PAIR.search(text)
    if pair is None or text.lower().startswith("other "):
        return
    whole = _CLAUSE.split(text)
    if len(whole) == 2 and len(whole[0].split()) == len(whole[1].split()):
        yield from (half for part in whole if (half := part.strip()))
        return
    for word in pair.groups():
        yield f"{text[: pair.start()]}{word}{text[pair.end() :]}"


def _joined(kept: list[str], between: list[str]) -> str:
    pieces = [kept[0]]
    for gap, piece in zip(between, kept[1:], strict=True):
        pieces += [gap, piece]
    return " ".join("".join(pieces).split()).strip(" ,")

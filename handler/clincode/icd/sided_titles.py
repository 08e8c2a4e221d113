"""What a title says of side, and what it says besides, so that titles can be told that differ in their side alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from clincode.icd.normalise import canonical_word

Side = Literal["right", "left", "bilateral", "unspecified"]
TITLE_WORD = re.compile(r"[a-z0-9]+")
_SILENT = frozenset(["of", "the", "s", "unilateral"])
_SAME = {"lid": "eyelid"}
_BOTH_EYES = re.compile(r"\bboth eyes\b")
_NONDOMINANT = re.compile(r"\bnon-dominant\b")
_LAST_CLAUSE_UNSPECIFIED = re.compile(r", (?:unspecified [\w ]+|[\w ]+ unspecified)$")
_DOMINANCE = {"right": "dominant", "left": "nondominant"}
"""Where the note does not say which side is dominant, the right one is (guideline I.C.6.a)."""
_PAIRED = (
    "(?:side|eye|ear|lid|eyelid|breast|lung|kidney|ureter|ovary|testis|limb|arm|leg|extremity|shoulder|elbow|forearm"
    "|wrist|hand|finger|thumb|hip|thigh|knee|ankle|foot|toe|buttock|ulna|radius|tibia|fibula)"
)
UNSPECIFIED_OF_TWO = re.compile(rf"\bunspecified (?:\w+ )?{_PAIRED}\b|\b{_PAIRED},? unspecified(?:,|$)")
_LONGEST_NOUN = 3  # "right lower extremity", which "bilateral" can stand without


@dataclass(frozen=True, slots=True)
class SidedTitle:
    """A side that a title names or leaves open, and the title's other words, as keys to compare with another title's.

    ``assumed`` is without what is taken for granted where a note says less (which side is dominant, a last part that
    is unspecified), ``bare`` without one to three words behind the side: "right lower extremity", "bilateral".
    ``paired`` is true of a title that names a part of the body that there are two of, and leaves open which.
    """

    side: Side
    exact: str
    assumed: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
    paired: bool = False

    def distance(self, other: "SidedTitle") -> int | None:
        """How far two titles are from differing in their side alone, 0 the nearest; ``None`` where they are not.

        2 is "right leg" to "unspecified extremity": several may be as far from one.
        """
        if self.exact == other.exact:
            return 0
        named, open_ = sorted((self, other), key=lambda words: _OPENNESS[words.side])
        if open_.side == "unspecified" and open_.exact in named.assumed:
            return 1
        if open_.side == "bilateral":
            return 2 if open_.exact in named.bare else None
        return 2 if open_.paired and not (open_.bare | {open_.exact}).isdisjoint(named.bare | {named.exact}) else None


_OPENNESS: dict[Side, int] = {"right": 0, "left": 0, "unspecified": 1, "bilateral": 2}


def sides(title: str) -> Iterator[SidedTitle]:
    """The side that a title names; for a title with "unspecified" in it, each that it could leave so; none at all
    for one that names the right and the left."""
    text = _NONDOMINANT.sub("nondominant", _BOTH_EYES.sub("bilateral eyes", title.lower()))
    words = _title_words(text)
    named = {"right", "left"} & set(words)
    if len(named) > 1:
        return
    if named:
        side: Side = "right" if "right" in named else "left"
        shorter = _title_words(_LAST_CLAUSE_UNSPECIFIED.sub("", text))
        assumed = {_key(words, side, _DOMINANCE[side]), _key(shorter, side)}
        yield SidedTitle(side, _key(words, side), frozenset(assumed), _bare(words, side))
    elif "bilateral" in words:
        yield SidedTitle("bilateral", _key(words, "bilateral"))
    elif "unspecified" in words:
        bare, paired = _bare(words, "unspecified"), UNSPECIFIED_OF_TWO.search(text) is not None
        for n in range(1, words.count("unspecified") + 1):
            yield SidedTitle("unspecified", _key(_minus(words, "unspecified", n)), bare=bare, paired=paired)


def _title_words(text: str) -> list[str]:
    return [_SAME.get(word, canonical_word(word)) for word in TITLE_WORD.findall(text) if word not in _SILENT]


def _key(words: list[str], *left_out: str) -> str:
    """The words without their order: "pain in arm, unspecified" is like "pain in right arm"."""
    return " ".join(sorted(word for word in words if word not in left_out))


def _minus(words: list[str], word: str, times: int) -> list[str]:
    kept = list(words)
    for _ in range(times):
        kept.remove(word)
    return kept


def _bare(words: list[str], side: str) -> frozenset[str]:
    """Keys without one mention of the side and one to three words behind it."""
    places = [i for i, word in enumerate(words) if word == side]
    return frozenset(_key(words[:i] + words[i + 1 + n :]) for i in places for n in range(1, _LONGEST_NOUN + 1))

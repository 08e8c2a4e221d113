"""What the words around a status must say: done before, taken, allergic, denied (``icd_status_cues.tsv``)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError

CUES_FILE = "icd_status_cues.tsv"


class Around(StrEnum):
    """What words around a status say."""

    PAST = "past"
    USE = "use"
    LONG = "long"
    ALLERGY = "allergy"
    NOT = "not"
    END = "end"
    """That what stands before is of something else."""
    NONE = "none"
    """Nothing, and it hides the cues in it."""


@dataclass(frozen=True, slots=True)
class Context:
    """Compiled words of one meaning before and after a status; those before reach the end of what is searched."""

    before: re.Pattern[str]
    after: re.Pattern[str]


NUMBER, YEAR = "<number>", "<year>"
NUMERALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half", "several")
NUMBER_EXPRESSION = rf"(?:\d+(?:[.,/\-–]\d+)*|{'|'.join(NUMERALS)})"
_SPECIAL = {NUMBER: NUMBER_EXPRESSION, YEAR: r"\(?(?:19|20)\d\d\)?"}


def says(what: Around, before: str, after: str) -> bool:
    """Whether what stands before and after a status says it."""
    context = contexts()[what]
    return context.before.search(before) is not None or context.after.match(after) is not None


@cache
def contexts() -> Mapping[Around, Context]:
    """What may be said around a status → the words that say it."""
    words: dict[tuple[Around, str], list[tuple[str, int | None]]] = {}
    for row in load_tsv_resource(CUES_FILE, ("words", "cue", "side", "reach")):
        place = f"{CUES_FILE}: '{row['words']}'"
        try:
            around = Around(row["cue"])
        except ValueError:
            raise ResourceError(f"{place} has the unknown cue '{row['cue']}'") from None
        if not row["words"] or row["side"] not in ("before", "after"):
            raise ResourceError(f"{place} has no words, or stands on the side '{row['side']}'")
        if row["reach"] and not row["reach"].isdigit():
            raise ResourceError(f"{place} has the reach '{row['reach']}', not a number of words")
        reach = int(row["reach"]) if row["reach"] else None
        words.setdefault((around, row["side"]), []).append((row["words"], reach))
    return {
        around: Context(
            _before(words.get((around, "before"), ()), around), _after(words.get((around, "after"), ()), around)
        )
        for around in Around
    }


def _before(cues: Iterable[tuple[str, int | None]], around: Around) -> re.Pattern[str]:
    """Finds a cue that is near enough to the end of the text."""
    parts = []
    for reach, phrases in _by_reach(cues).items():
        near = "" if reach is None else rf"{_between(around, reach)}\Z"
        parts.append(rf"(?:{phrases}){near}")
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)


def _after(cues: Iterable[tuple[str, int | None]], around: Around) -> re.Pattern[str]:
    """Matches from the start of the text to a cue that is near enough."""
    parts = []
    for reach, phrases in _by_reach(cues).items():
        near = r".*?" if reach is None else _between(around, reach)
        parts.append(rf"{near}(?:{phrases})")
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE | re.DOTALL)


def _between(around: Around, reach: int) -> str:
    """So many words. A denial does not reach across a comma."""
    gap = r"[^\w,]" if around is Around.NOT else r"\W"
    return rf"(?:{gap}+\w++){{0,{reach}}}{gap}*"


def _by_reach(cues: Iterable[tuple[str, int | None]]) -> Mapping[int | None, str]:
    """Reach → one expression for its cues."""
    phrases: dict[int | None, list[str]] = {}
    for words, reach in cues:
        parts = (_SPECIAL.get(word, re.escape(word)) for word in words.split())
        start = r"(?<!\w)" if words[0].isalnum() or words[0] == "<" else ""
        phrases.setdefault(reach, []).append(start + r"[\s\-]+".join(parts) + r"(?!\w)")
    return {reach: "|".join(sorted(some, key=len, reverse=True)) for reach, some in phrases.items()}

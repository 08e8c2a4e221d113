"""What is coded though it is no disease: devices, lost organs, drugs taken for long, allergies, how someone lives.

The tables are data: ``icd_status.tsv`` (words → code) and ``icd_status_cues.tsv`` (what the words around must say).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import itemgetter

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.checks import check_billable
from clincode.icd.status_cues import NUMBER, NUMBER_EXPRESSION, NUMERALS, Around, contexts, says
from clincode.icd.terminology import Terminology

STATUS_FILE = "icd_status.tsv"
NO_CODE = "-"


class StatusCue(StrEnum):
    """What must be said around the words of a status."""

    PAST = "past"
    """That it was done before, or is there: "status post", "in 2010", "in place"."""
    USE = "use"
    """That a drug is taken: "on", "daily"."""
    LONG = "long"
    """That a drug that is given for days too is taken for long: "chronic", "at home", "on", but not "daily"."""
    ALLERGY = "allergy"
    ANY = "any"
    """Nothing: the words say it themselves."""


@dataclass(frozen=True, slots=True)
class StatusMatch:
    """Words of a status at ``text[start:end]``. ``code`` names no side ("unspecified knee") where there are sides.

    ``said`` is whether the words around give what ``cue`` asks for and none of them denies it. Where it is False, what
    is known otherwise may still give it: the section ("Past surgical history"), the assertion of the mention.
    """

    start: int
    end: int
    cue: StatusCue
    code: str
    said: bool


@dataclass(frozen=True, slots=True)
class _Status:
    """``code`` is None for words that only hide what is in them."""

    cue: StatusCue
    code: str | None


_NEARBY = 250
"""Characters before and after a status that are looked at."""
_FILLERS = frozenset(["the", "a", "an", "his", "her", "left", "right", "both", "bilateral"])
_MOST_FILLERS = 2
_HYPHENS = frozenset("-‐–")
_ANY_CASE: tuple[str, ...] = ()
_IS_NUMBER = re.compile(NUMBER_EXPRESSION)
_PHRASE_WORD = re.compile(r"<\w+>|\d+(?:[.,/\-–]\d+)*(?!\w)|\w+(?:['’]\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"[.;!?](?=\s)|\n(?=\s*(?:\n|[-*•]|\d+[.)]\s|[A-Z]))")
_LIST_WORD = re.compile(r"[^\W\d]\w*")
_LIST_SIGN = re.compile(r"[,/&+]|\b(?:and|or|plus)\b", re.IGNORECASE)
_LONGEST_STEP = 6
"""Words, but for numbers, between two things of one list: a dose, how often, how it is taken."""
_BARE_LIST = re.compile(r"\s*(?:[,/]\s*)?(?:(?:and|or|nor)\s+)?(?:(?:a|an|any|the)\s+)?", re.IGNORECASE)

_BMI = re.compile(
    r"\b(?:BMI|body[ -]mass[ -]index)\b(?:\s*\(BMI\))?(?:\s*(?:is|of|was|at|to|:|=|~|-))*\s*(?P<value>\d{2}(?:\.\d+)?)"
    r"(?![\d.]*\d|\s*(?:%|(?:st|nd|rd|th|percent|percentile)\b))",
    re.IGNORECASE,
)
_WEEKS = re.compile(
    r"(?<![\d.])(?P<weeks>\d{1,2})(?:\s*(?:\+|and|&)?\s*\d(?:/7)?)?[\s-]*(?:weeks?|wks?)['’]?"
    r"(?:[\s,]*(?:and\s*)?\d\s*days?)?[\s-]*(?:of\s+)?(?:gestation(?:al age)?|pregnant|pregnancy|IUP|EGA)\b",
    re.IGNORECASE,
)
_BIRTH = re.compile(r"\b(?:born|birth|prematur\w*|preterm|newborn|infant|neonate)\W+(?:\w+\W+){0,3}\Z", re.IGNORECASE)


def check_statuses(terminology: Terminology) -> None:
    """Raise ``ResourceError`` where the table has a code that is not billable in this release."""
    for code in {status.code for status in _all_statuses(_status_tree())}:
        check_billable(terminology, STATUS_FILE, code)


def status_words() -> frozenset[str]:
    """Words of the table's phrases, in lower case: operations, devices and drugs, which names of diseases lack."""
    return frozenset(
        word.lower()
        for row in load_tsv_resource(STATUS_FILE, ("phrase", "cue", "code"))
        for word in row["phrase"].split()
    )


def statuses(text: str) -> tuple[StatusMatch, ...]:
    """Statuses that the words of a text name, in their order; at each place the longest phrase counts.

    Offsets are half-open into ``text``. A phrase with several rows gives several matches. A relative named just before
    ("father had a CABG") denies it; whom it is about is not looked at further. Besides the phrases of the table: a body
    mass index, whose code must go with that of a diagnosis such as obesity, and the weeks of a pregnancy, whose code
    must go with one of chapter 15.

    Raises:
        ResourceError: a table is malformed.
    """
    found = [*_body_mass(text), *_gestation(text)]
    given: dict[StatusCue, int] = {}  # cue → end of the last status that the words around gave it
    denied = -1
    for start, end, rows in _phrases(text):
        before, after = _surroundings(text, start, end)
        is_denied = says(Around.NOT, before, after)
        is_denied = is_denied or (denied >= 0 and _BARE_LIST.fullmatch(text, denied, start) is not None)
        denied = end if is_denied else -1
        for status in rows:
            if status.code is None:
                continue
            said = _is_said(status.cue, before, after)
            said = said or (status.cue in given and _goes_on(text[given[status.cue] : start]))
            if said and not is_denied:
                given[status.cue] = end
            found.append(StatusMatch(start, end, status.cue, status.code, said and not is_denied))
    return tuple(sorted(found, key=lambda match: (match.start, match.end)))


def _surroundings(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and after in the same sentence; words that only look like cues are blanked out."""
    first = max(start - _NEARBY, 0)
    # A line ends a sentence where the next begins with a capital, so one character more is looked at.
    boundaries = (boundary.end() for boundary in _SENTENCE_END.finditer(text[first : start + 1]))
    before = text[first + max((each for each in boundaries if each <= start - first), default=0) : start]
    after = text[end : end + _NEARBY]
    boundary = _SENTENCE_END.search(after)
    meant = contexts()
    before = meant[Around.NONE].before.sub(lambda match: " " * len(match.group()), before)
    ends = meant[Around.END].before.finditer(before)
    before = before[max((end.end() for end in ends), default=0) :]
    return before, after[: boundary.start() if boundary else None]


def _is_said(cue: StatusCue, before: str, after: str) -> bool:
    if cue is StatusCue.ANY:
        return True
    return says(Around(cue.value), before, after) or (cue is StatusCue.USE and says(Around.LONG, before, after))


def _goes_on(between: str) -> bool:
    """Whether a list goes on from one status to the next."""
    if len(between) > _NEARBY or _SENTENCE_END.search(between) or not _LIST_SIGN.search(between):
        return False
    return len(_LIST_WORD.findall(between)) <= _LONGEST_STEP


def _body_mass(text: str) -> Iterator[StatusMatch]:
    for match in _BMI.finditer(text):
        code = body_mass_code(float(match["value"]))
        if code is not None:
            yield StatusMatch(match.start(), match.end(), StatusCue.ANY, code, True)


def body_mass_code(value: float) -> str | None:
    """The code of an adult's body mass index; None for what no body has."""
    if not 10 <= value < 100:
        return None
    if value < 20:
        return "Z68.1"
    if value < 40:
        return f"Z68.{int(value)}"
    return next(code for limit, code in _HIGH_BODY_MASS if value < limit)


_HIGH_BODY_MASS = ((45, "Z68.41"), (50, "Z68.42"), (60, "Z68.43"), (70, "Z68.44"), (100, "Z68.45"))


def _gestation(text: str) -> Iterator[StatusMatch]:
    """Weeks of a pregnancy, but not at whose end someone was born."""
    for match in _WEEKS.finditer(text):
        code = gestation_code(int(match["weeks"]))
        if code is not None and not _BIRTH.search(text[max(match.start() - 60, 0) : match.start()]):
            yield StatusMatch(match.start(), match.end(), StatusCue.ANY, code, True)


def gestation_code(weeks: int) -> str | None:
    """The code of so many full weeks; None for what no pregnancy has."""
    if not 1 <= weeks <= 45:
        return None
    if weeks < 8:
        return "Z3A.01"
    return "Z3A.49" if weeks > 42 else f"Z3A.{weeks:02}"


@dataclass(slots=True)
class _Node:
    """What may follow the words of a phrase, and the rows of the phrase that ends here with its words as written."""

    below: dict[str, "_Node"] = field(default_factory=dict)
    rows: dict[tuple[str, ...], tuple[_Status, ...]] = field(default_factory=dict)


def _status_rows() -> list[dict[str, str]]:
    return load_tsv_resource(STATUS_FILE, ("phrase", "cue", "code"))


@cache
def _status_tree() -> _Node:
    """Every phrase of the table, word by word in lower case."""
    root = _Node()
    for row in _status_rows():
        phrase, code = row["phrase"], None if row["code"] == NO_CODE else row["code"]
        try:
            status = _Status(StatusCue(row["cue"]), code)
        except ValueError:
            raise ResourceError(f"{STATUS_FILE}: '{phrase}' has the unknown cue '{row['cue']}'") from None
        words = tuple(word for word in _PHRASE_WORD.findall(phrase) if word not in _HYPHENS)
        if not words:
            raise ResourceError(f"{STATUS_FILE}: a row has no phrase")
        if code is None and status.cue is not StatusCue.ANY:
            raise ResourceError(f"{STATUS_FILE}: '{phrase}' has no code, so its cue must be any")
        node = root
        for word in words:
            node = node.below.setdefault(word.lower(), _Node())
        written = words if phrase != phrase.lower() else _ANY_CASE
        if status in node.rows.get(written, ()):
            raise ResourceError(f"{STATUS_FILE}: '{phrase}' stands there twice as {status.cue} {row['code']}")
        node.rows[written] = (*node.rows.get(written, ()), status)
    return root


def _all_statuses(node: _Node) -> Iterator[_Status]:
    for rows in node.rows.values():
        yield from rows
    for child in node.below.values():
        yield from _all_statuses(child)


def _singular(word: str) -> str:
    return word[:-1] if word[-1] in "sS" else word


def _phrases(text: str) -> Iterator[tuple[int, int, tuple[_Status, ...]]]:
    """Offsets and rows of the phrases of the table, from left to right, at each place the longest."""
    words = list(_PHRASE_WORD.finditer(text))
    root, starts = _status_tree(), _first_words()
    at = 0
    while at < len(words):
        end = at + 1
        rows: tuple[_Status, ...] = ()
        first = words[at].group().lower()
        if first in starts or first[0].isdigit():
            end, rows = max(_ends(words, at, root, (), _MOST_FILLERS), key=itemgetter(0), default=(end, rows))
        if rows:
            yield words[at].start(), words[end - 1].end(), rows
        at = end


@cache
def _first_words() -> frozenset[str]:
    """Words that may begin a phrase, but for numbers in figures; there to pass over all others quickly."""
    keys = _status_tree().below.keys()
    return frozenset([*keys, *(f"{key}s" for key in keys), *NUMERALS])


def _word_keys(word: str) -> tuple[str, ...]:
    """What a word may be in the tree of phrases: itself, its singular, and a number any number."""
    small = word.lower()
    return (small, NUMBER) if _IS_NUMBER.fullmatch(small) else (small, _singular(small))


def _ends(
    words: Sequence[re.Match[str]], at: int, node: _Node, read: tuple[str, ...], fillers: int
) -> Iterator[tuple[int, tuple[_Status, ...]]]:
    """Where, behind which word, a phrase may end that goes on from ``node`` with word ``at``, and its rows.

    ``read`` is the words that led to the node, ``fillers`` how many more may be passed over.
    """
    if at == len(words):
        return
    word = words[at].group()
    for key in dict.fromkeys(_word_keys(word)):
        child = node.below.get(key)
        if child is not None:
            written = (*read, NUMBER if key == NUMBER else word)
            rows = child.rows.get(written) or child.rows.get((*read, _singular(word))) or child.rows.get(_ANY_CASE)
            if rows:
                yield at + 1, rows
            yield from _ends(words, at + 1, child, written, fillers)
    if read and word in _HYPHENS and _joins(words, at):
        yield from _ends(words, at + 1, node, read, fillers)
    elif read and word.lower() in _FILLERS and fillers:
        yield from _ends(words, at + 1, node, read, fillers - 1)


def _joins(words: Sequence[re.Match[str]], at: int) -> bool:
    """Whether a hyphen stands directly behind a word."""
    return words[at].start() == words[at - 1].end() and words[at - 1].group() not in _HYPHENS

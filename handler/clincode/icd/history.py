"""What is coded of a past condition, of a relative's, and of what is no disease: devices, lost organs, drugs taken for
long, allergies, how someone lives.

The tables are data: ``icd_history.tsv`` (code → code), ``icd_status.tsv`` (words → code) and ``icd_status_cues.tsv``
(what the words around must say).
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import itemgetter

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology, is_group

HISTORY_FILE = "icd_history.tsv"
STATUS_FILE = "icd_status.tsv"
CUES_FILE = "icd_status_cues.tsv"
NO_CODE = "-"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds for the codes that begin with ``condition``."""

    condition: str
    personal: str | None
    family: str | None
    chronic: bool


_FAMILY_HISTORY = ("Z80", "Z81", "Z82", "Z83", "Z84")
_SAYS_ITSELF = re.compile(r"\bin (?:partial |full )?remission\b|\bsequelae?\b", re.IGNORECASE)
"""Titles that already say that the condition is over, or what is left of it."""


class History:
    """From a condition to the codes of its history. Not changed by use.

    Raises:
        ResourceError: a table is malformed, has a condition that no code begins with or that stands there twice, or a
            code that is not billable in this release.
    """

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology
        self._rules = _history_rules(terminology)
        for code in {status.code for status in _all_statuses(_status_tree())}:
            _check_billable(terminology, STATUS_FILE, code)

    def personal(self, code: str) -> str | None:
        """The code that says that the patient had the condition; None where the classification has none.

        Mostly a code of Z85 to Z87. Of what leaves another code behind it is that code: an old infarction (I25.2), a
        dependence in remission (F10.21), the diabetes after a ketoacidosis (E11.9).
        """
        rule = self._rule(code)
        return rule.personal if rule else None

    def family(self, code: str) -> str | None:
        """The code that says that a relative has or had the condition (Z80 to Z84); None where there is none."""
        if code.startswith(_FAMILY_HISTORY) and self._terminology.is_billable(code):
            return code
        rule = self._rule(code)
        return rule.family if rule else None

    def is_chronic(self, code: str) -> bool:
        """Whether the condition does not go away, so that "history of" it means the condition and ``code`` stands.

        True too of codes that say themselves what is over: history, status, sequelae, remission.
        """
        rule = self._rule(code)
        return rule is not None and (rule.chronic or _SAYS_ITSELF.search(self._terminology.title(code)) is not None)

    def _rule(self, code: str) -> _Rule | None:
        """The rule of the longest beginning; None for groups and for what is no code of this release."""
        if is_group(code) or code not in self._terminology:
            return None
        found = (self._rules.get(code[:size]) for size in range(len(code), 0, -1))
        return next((rule for rule in found if rule is not None), None)


def _history_rules(terminology: Terminology) -> Mapping[str, _Rule]:
    codes = sorted(terminology.base_codes())
    rules: dict[str, _Rule] = {}
    for row in load_tsv_resource(HISTORY_FILE, ("condition", "personal", "family", "chronic")):
        condition = row["condition"]
        if condition in rules:
            raise ResourceError(f"{HISTORY_FILE}: '{condition}' stands there twice")
        first = bisect_left(codes, condition)
        if first == len(codes) or not codes[first].startswith(condition):
            raise ResourceError(f"{HISTORY_FILE}: no code of {terminology.release} begins with '{condition}'")
        if row["chronic"] not in ("yes", "no"):
            raise ResourceError(f"{HISTORY_FILE}: '{condition}' is chronic '{row['chronic']}', must be yes or no")
        personal, family = (None if row[name] == NO_CODE else row[name] for name in ("personal", "family"))
        for code in (personal, family):
            _check_billable(terminology, f"{HISTORY_FILE}: '{condition}'", code)
        rules[condition] = _Rule(condition, personal, family, row["chronic"] == "yes")
    return rules


def _check_billable(terminology: Terminology, place: str, code: str | None) -> None:
    if code is not None and not terminology.is_billable(code):
        raise ResourceError(f"{place}: {code} is no billable code of ICD-10-CM {terminology.release}")


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


class _Around(StrEnum):
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
class _Context:
    """Compiled words of one meaning before and after a status; those before reach the end of what is searched."""

    before: re.Pattern[str]
    after: re.Pattern[str]


_NEARBY = 250
"""Characters before and after a status that are looked at."""
_FILLERS = frozenset(["the", "a", "an", "his", "her", "left", "right", "both", "bilateral"])
_MOST_FILLERS = 2
_HYPHENS = frozenset("-‐–")
_ANY_CASE: tuple[str, ...] = ()
NUMBER, YEAR = "<number>", "<year>"
_NUMERALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half", "several")
_NUMBER = rf"(?:\d+(?:[.,/\-–]\d+)*|{'|'.join(_NUMERALS)})"
_SPECIAL = {NUMBER: _NUMBER, YEAR: r"\(?(?:19|20)\d\d\)?"}
_IS_NUMBER = re.compile(_NUMBER)
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
        is_denied = _says(_Around.NOT, before, after)
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
    contexts = _contexts()
    before = contexts[_Around.NONE].before.sub(lambda match: " " * len(match.group()), before)
    ends = contexts[_Around.END].before.finditer(before)
    before = before[max((end.end() for end in ends), default=0) :]
    return before, after[: boundary.start() if boundary else None]


def _is_said(cue: StatusCue, before: str, after: str) -> bool:
    if cue is StatusCue.ANY:
        return True
    return _says(_Around(cue.value), before, after) or (cue is StatusCue.USE and _says(_Around.LONG, before, after))


def _says(what: _Around, before: str, after: str) -> bool:
    context = _contexts()[what]
    return context.before.search(before) is not None or context.after.match(after) is not None


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


@cache
def _status_tree() -> _Node:
    """Every phrase of the table, word by word in lower case."""
    root = _Node()
    for row in load_tsv_resource(STATUS_FILE, ("phrase", "cue", "code")):
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
    return frozenset([*keys, *(f"{key}s" for key in keys), *_NUMERALS])


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


@cache
def _contexts() -> Mapping[_Around, _Context]:
    """What may be said around a status → the words that say it."""
    words: dict[tuple[_Around, str], list[tuple[str, int | None]]] = {}
    for row in load_tsv_resource(CUES_FILE, ("words", "cue", "side", "reach")):
        place = f"{CUES_FILE}: '{row['words']}'"
        try:
            around = _Around(row["cue"])
        except ValueError:
            raise ResourceError(f"{place} has the unknown cue '{row['cue']}'") from None
        if not row["words"] or row["side"] not in ("before", "after"):
            raise ResourceError(f"{place} has no words, or stands on the side '{row['side']}'")
        if row["reach"] and not row["reach"].isdigit():
            raise ResourceError(f"{place} has the reach '{row['reach']}', not a number of words")
        reach = int(row["reach"]) if row["reach"] else None
        words.setdefault((around, row["side"]), []).append((row["words"], reach))
    return {
        around: _Context(
            _before(words.get((around, "before"), ()), around), _after(words.get((around, "after"), ()), around)
        )
        for around in _Around
    }


def _before(cues: Iterable[tuple[str, int | None]], around: _Around) -> re.Pattern[str]:
    """Finds a cue that is near enough to the end of the text."""
    parts = []
    for reach, phrases in _by_reach(cues).items():
        near = "" if reach is None else rf"{_between(around, reach)}\Z"
        parts.append(rf"(?:{phrases}){near}")
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)


def _after(cues: Iterable[tuple[str, int | None]], around: _Around) -> re.Pattern[str]:
    """Matches from the start of the text to a cue that is near enough."""
    parts = []
    for reach, phrases in _by_reach(cues).items():
        near = r".*?" if reach is None else _between(around, reach)
        parts.append(rf"{near}(?:{phrases})")
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE | re.DOTALL)


def _between(around: _Around, reach: int) -> str:
    """So many words. A denial does not reach across a comma."""
    gap = r"[^\w,]" if around is _Around.NOT else r"\W"
    return rf"(?:{gap}+\w++){{0,{reach}}}{gap}*"


def _by_reach(cues: Iterable[tuple[str, int | None]]) -> Mapping[int | None, str]:
    """Reach → one expression for its cues."""
    phrases: dict[int | None, list[str]] = {}
    for words, reach in cues:
        parts = (_SPECIAL.get(word, re.escape(word)) for word in words.split())
        start = r"(?<!\w)" if words[0].isalnum() or words[0] == "<" else ""
        phrases.setdefault(reach, []).append(start + r"[\s\-]+".join(parts) + r"(?!\w)")
    return {reach: "|".join(sorted(some, key=len, reverse=True)) for reach, some in phrases.items()}

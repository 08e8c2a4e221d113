"""Conditions that are coded together when both stand affirmed on one note's list.

The classification has one code for many pairs: hypertension with heart failure, gallstones with cholecystitis, a
diabetes with its neuropathy. It presumes the link where its index or a title says "with" or "in" (guideline I.A.15),
and wants it stated elsewhere. The pairs are data: ``icd_combinations.tsv`` says of each what both make, which of the
two stay beside it, and whether the link is presumed.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import combinations, islice, product

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.icd.terminology import Terminology

COMBINATIONS_FILE = "icd_combinations.tsv"
COLUMNS = ("first", "second", "together", "keeps", "linked")

Related = Callable[[str, str], bool]
"""Whether the note relates two conditions to each other: "due to", "with", one sentence."""

_CATEGORY = 3
_CHAPTER_15 = "O"
_OF_FIRST, _OF_SECOND, _TRIMESTER = "*", "?", "#"
_TRIMESTER_SAID = re.compile(r"\b(first|second|third) trimester\b")
_TRIMESTERS = {"first": "1", "second": "2", "third": "3"}
_UNSPECIFIED_TRIMESTER = ("9", "0")
"""Its character, which depends on the code: ``O24.119``, ``O23.40``."""
_SECOND_TRIMESTER, _THIRD_TRIMESTER = 14, 28
"""The week in which it begins."""


@dataclass(frozen=True, slots=True)
class Combined:
    """A code of the new list, and the codes of the note's own list that it came from, in their order.

    A code that nothing changed has itself as its one part. A part that was kept stands on the new list as well.
    """

    code: str
    parts: tuple[str, ...]


class _Keeps(StrEnum):
    """Which of the two codes stay beside the one that they make."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"
    NONE = "none"


class _Phase(IntEnum):
    """When a rule is used: not before the rules of the phases below it change nothing."""

    ABSORB = 0
    """One code says already what the other does."""
    COMBINE = 1
    PREGNANCY = 2
    """Chapter 15 is about what the conditions have become by then: hypertension with kidney disease, not each."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A row for one beginning of each code. ``row`` is its place in the table."""

    first: str
    second: str
    together: str
    keeps: _Keeps
    stated: bool
    row: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """The higher, the more specific; of rules alike in that, the first in the table."""
        return len(self.first) + len(self.second), len(self.first), -self.row

    @property
    def phase(self) -> _Phase:
        if self.together in (_Keeps.FIRST, _Keeps.SECOND):
            return _Phase.ABSORB
        return _Phase.PREGNANCY if self.together.startswith(_CHAPTER_15) else _Phase.COMBINE


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two codes in the order of the rule that decides on them."""

    rule: _Rule
    first: str
    second: str


@dataclass(slots=True)
class _List:
    """A note's list while it changes.

    ``parts`` maps each code to the places of the codes that it came from in the note's own list, ``listed``; ``gone``
    maps each code that was given up to the one that took its place.
    """

    listed: tuple[str, ...]
    trimester: str
    parts: dict[str, frozenset[int]]
    gone: dict[str, str] = field(default_factory=dict)

    def successor(self, code: str) -> str:
        """The code itself, or what stands for it now."""
        while code in self.gone:
            code = self.gone[code]
        return code

    def combined(self) -> tuple[Combined, ...]:
        """By the first of their parts; what codes made before what was there."""

        def place(code: str) -> tuple[int, int, list[int], str]:
            parts = sorted(self.parts[code])
            return parts[0], int(self.listed[parts[0]] == code), parts, code

        return tuple(
            Combined(code, tuple(self.listed[i] for i in sorted(self.parts[code])))
            for code in sorted(self.parts, key=place)
        )


class Combinations:
    """The combinations of one release. Not changed by use.

    Raises:
        ResourceError: on construction, naming the row, where a beginning starts no code of the release, ``together`` is
            not billable or, as a pattern, gives no billable code for some beginning, ``keeps`` or ``linked`` is none of
            their words, or a pair stands there twice.
    """

    def __init__(self, terminology: Terminology) -> None:
        self._terminology = terminology
        self._rules = _load_rules(terminology)

    def combine(self, codes: Sequence[str], related: Related) -> tuple[Combined, ...]:
        """The note's new list: what codes have made together, and those that stay.

        Of two codes the most specific row decides alone. What several pairs make is made at once, so that the order of
        ``codes`` says nothing but the order of the answer. Rows are used again on what they made until nothing changes;
        a code that was given up does not come back, so that this ends. What one code says already of another goes
        first, and what only a pregnancy makes of a condition comes last.

        ``related`` is asked of codes of the note's own list alone, for rows that want the link stated; that it holds of
        (a, b) or of (b, a) is enough. Codes that were made are related where any of their parts are, or are the same.

        Codes stand once in the answer, by their first mention: how a claim sequences them is not decided here. Codes
        that are not of the release stay as they are, and billable codes give billable codes.
        """
        listed = tuple(dict.fromkeys(codes))
        state = _List(listed, self._trimester(listed), {code: frozenset((i,)) for i, code in enumerate(listed)})
        changed = True
        while changed:
            pairs = tuple(self._pairs(state.parts))
            changed = any(self._step(state, [p for p in pairs if p.rule.phase is phase], related) for phase in _Phase)
        return state.combined()

    def _pairs(self, codes: Iterable[str]) -> Iterator[_Pair]:
        """Every two codes that a rule is for, in the order of the codes."""
        found = (self._decides(one, other) for one, other in combinations(sorted(codes), 2))
        return (pair for pair in found if pair is not None)

    def _step(self, state: _List, pairs: Iterable[_Pair], related: Related) -> bool:
        """Use the pairs' rules, all at once; whether the list has changed."""
        made: dict[str, frozenset[int]] = {}
        given_up: dict[str, set[str]] = {}
        for pair in pairs:
            together = self._together(pair, state.trimester)
            if together is None or (pair.rule.stated and not _are_related(state, pair, related)):
                continue
            together = state.successor(together)
            dropped = _dropped(pair) - {together}
            sources = dropped if together in state.parts else {pair.first, pair.second}
            if sources:
                made[together] = made.get(together, frozenset()).union(*(state.parts[code] for code in sources))
            for code in dropped:
                given_up.setdefault(code, set()).add(together)
        before = set(state.parts)
        for code in given_up.keys() - made.keys():
            del state.parts[code]
            state.gone[code] = min(given_up[code])
        for code, parts in made.items():
            state.parts[code] = state.parts.get(code, frozenset()) | parts
        return set(state.parts) != before

    def _decides(self, one: str, other: str) -> _Pair | None:
        """The most specific rule for two codes, whichever of them is its first."""
        found: _Pair | None = None
        for first, second in ((one, other), (other, one)):
            for rule in self._rules.get((first[:_CATEGORY], second[:_CATEGORY]), ()):
                if first.startswith(rule.first) and second.startswith(rule.second):
                    if found is None or rule.rank > found.rule.rank:
                        found = _Pair(rule, first, second)
                    break
        return found

    def _together(self, pair: _Pair, trimester: str) -> str | None:
        """The code that two codes make by their rule; None where its pattern gives no billable code for them."""
        pattern = pair.rule.together
        if pair.rule.phase is _Phase.ABSORB:
            return pair.first if pattern == _Keeps.FIRST else pair.second
        filled = _filled(pattern, pair.first, pair.second, (trimester,) if trimester else _UNSPECIFIED_TRIMESTER)
        return next((code for code in filled if self._terminology.is_billable(code)), None)

    def _trimester(self, codes: Iterable[str]) -> str:
        """The character of the trimester that the weeks of gestation say, else the titles; "" where nothing says it."""
        said = {""}
        weeks = 0
        for code in codes:
            if code.startswith("Z3A."):
                weeks = max(weeks, int(code[4:]) if code[4:].isdecimal() else 0)
            elif code.startswith(("O", "Z34")) and code in self._terminology:
                match = _TRIMESTER_SAID.search(self._terminology.title(code))
                said.add(_TRIMESTERS[match[1]] if match else "")
        if not weeks:
            return max(said)
        return "1" if weeks < _SECOND_TRIMESTER else "2" if weeks < _THIRD_TRIMESTER else "3"


def _dropped(pair: _Pair) -> set[str]:
    first, second = {pair.first}, {pair.second}
    kept = {_Keeps.FIRST: first, _Keeps.SECOND: second, _Keeps.BOTH: first | second}
    return (first | second) - kept.get(pair.rule.keeps, set())


def _are_related(state: _List, pair: _Pair, related: Related) -> bool:
    places = product(sorted(state.parts[pair.first]), sorted(state.parts[pair.second]))
    return any(
        i == j or related(state.listed[i], state.listed[j]) or related(state.listed[j], state.listed[i])
        for i, j in places
    )


def _filled(pattern: str, first: str, second: str, trimesters: Sequence[str]) -> Iterator[str]:
    """The codes that a pattern gives, one for each trimester's character; none where a code is too short for it."""
    letters = []
    for place, letter in enumerate(pattern):
        source = {_OF_FIRST: first, _OF_SECOND: second}.get(letter)
        if source is None:
            letters.append(letter)
        elif place < len(source):
            letters.append(source[place])
        else:
            return
    code = "".join(letters)
    yield from dict.fromkeys(code.replace(_TRIMESTER, trimester) for trimester in trimesters)


# -- the table --


def _load_rules(terminology: Terminology) -> Mapping[tuple[str, str], tuple[_Rule, ...]]:
    """Rules by the categories of the two codes, the most specific first."""
    billable = sorted(code for code in terminology if terminology.is_billable(code))
    categories = sorted({code[:_CATEGORY] for code in terminology.base_codes()})
    by_categories: dict[tuple[str, str], list[_Rule]] = {}
    seen: set[frozenset[str]] = set()
    for number, row in enumerate(load_tsv_resource(COMBINATIONS_FILE, COLUMNS)):
        for rule in _rules_of(row, number):
            _check(rule, row, billable, terminology)
            pair = frozenset((rule.first, rule.second))
            if pair in seen:
                raise _fault(row, f"'{rule.first}' with '{rule.second}' stands there twice")
            seen.add(pair)
            for place in product(_categories(rule.first, categories), _categories(rule.second, categories)):
                by_categories.setdefault(place, []).append(rule)
    for rules in by_categories.values():
        rules.sort(key=lambda rule: rule.rank, reverse=True)
    return {place: tuple(rules) for place, rules in by_categories.items()}


def _rules_of(row: Mapping[str, str], number: int) -> Iterator[_Rule]:
    """A row's rules, one for each beginning of the first code with each of the second."""
    if row["keeps"] not in tuple(_Keeps):
        raise _fault(row, f"keeps is '{row['keeps']}', must be one of {', '.join(_Keeps)}")
    if row["linked"] not in ("assumed", "stated"):
        raise _fault(row, f"linked is '{row['linked']}', must be assumed or stated")
    if not row["first"] or not row["second"]:
        raise _fault(row, "both codes must be named")
    for first, second in product(row["first"].split(), row["second"].split()):
        yield _Rule(first, second, row["together"], _Keeps(row["keeps"]), row["linked"] == "stated", number)


def _check(rule: _Rule, row: Mapping[str, str], billable: Sequence[str], terminology: Terminology) -> None:
    """Raise ``ResourceError`` for a rule that can never give a billable code."""
    firsts = _representatives(rule.first, rule.together, _OF_FIRST, billable)
    seconds = _representatives(rule.second, rule.together, _OF_SECOND, billable)
    for prefix, codes in ((rule.first, firsts), (rule.second, seconds)):
        if not codes:
            raise _fault(row, f"'{prefix}' starts no code of ICD-10-CM {terminology.release}")
    if rule.phase is _Phase.ABSORB:
        if rule.keeps is not _Keeps.NONE:
            raise _fault(row, f"together is '{rule.together}' itself, so keeps must be {_Keeps.NONE}")
        return
    trimesters = ("1", *_UNSPECIFIED_TRIMESTER)
    made = (code for pair in product(firsts, seconds) for code in _filled(rule.together, *pair, trimesters))
    if not any(terminology.is_billable(code) for code in made):
        raise _fault(
            row,
            f"together is '{rule.together}', no billable code of ICD-10-CM {terminology.release} "
            f"for '{rule.first}' with '{rule.second}'",
        )


def _representatives(prefix: str, pattern: str, mark: str, billable: Sequence[str]) -> tuple[str, ...]:
    """Of the billable codes that begin so, one for each way to fill the places of a mark: one where it has none."""
    places = [place for place, letter in enumerate(pattern) if letter == mark]
    codes = _starting(prefix, billable) if places else islice(_starting(prefix, billable), 1)
    return tuple({tuple(code[i : i + 1] for i in places): code for code in codes}.values())


def _starting(prefix: str, codes: Sequence[str]) -> Iterator[str]:
    """Those of the sorted codes that begin so."""
    for place in range(bisect_left(codes, prefix), len(codes)):
        if not codes[place].startswith(prefix):
            return
        yield codes[place]


def _categories(prefix: str, categories: Sequence[str]) -> Iterator[str]:
    if len(prefix) >= _CATEGORY:
        yield prefix[:_CATEGORY]
    else:
        yield from _starting(prefix, categories)


def _fault(row: Mapping[str, str], fault: str) -> ResourceError:
    return ResourceError(f"{COMBINATIONS_FILE}: '{row['first']}' with '{row['second']}': {fault}")

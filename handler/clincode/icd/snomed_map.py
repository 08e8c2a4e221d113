"""From SNOMED CT to ICD-10-CM by the map that the U.S. National Library of Medicine publishes.

The file is the Extended Map reference set of the US Edition in its Snapshot (RF2), or the "human-readable" table of the
same rows. It needs a licence and is no part of this package. What its columns mean: NLM, "Mapping SNOMED CT to
ICD-10-CM, Technical Specifications". A concept has one or more map groups, which hold together; in a group the first
rule, by priority, that holds for the patient decides.
"""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clincode.errors import ResourceError
from clincode.icd.source_files import code_of_release, table_rows
from clincode.icd.terminology import Terminology

REFERENCE_SET = "6011000124106"
"""ICD-10-CM complex map; the same file also carries the map to the WHO's ICD-10, which is another list."""
COLUMNS = ("id", "active", "refsetId", "referencedComponentId", "mapGroup", "mapPriority", "mapRule", "mapTarget")
WHAT = (
    "the NLM's SNOMED CT to ICD-10-CM map (der2_iisssccRefset_ExtendedMapSnapshot_US…txt of the US Edition, or "
    "tls_Icd10cmHumanReadableMap_US…tsv), to be had with a UMLS licence from nlm.nih.gov"
)
NAMES_COLUMNS = ("term", "snomedct")
NAMES_WHAT = "a tab-separated dictionary with the header " + " ".join(NAMES_COLUMNS)

_FEMALE, _MALE = "248152002", "248153007"
_AGE = frozenset(["445518008", "424144002"])  # at onset of the finding, and current
_YEARS = {"year": 1.0, "month": 1 / 12, "week": 7 / 365.25, "day": 1 / 365.25, "hour": 1 / 24 / 365.25}
_ALWAYS = frozenset(["TRUE", "OTHERWISE TRUE", ""])
_AND = re.compile(r"\s+AND\s+(?=IFA\b)")
_CONDITION = re.compile(
    r"IFA\s+(?P<concept>\d+)\s*\|[^|]*\|\s*(?:(?P<compare>[<>]=?)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+?)s?)?",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"\d{6,18}")
_NO_CODE = -1


@dataclass(frozen=True, slots=True)
class Sex:
    """Holds for a patient of this sex, if it is known."""

    female: bool

    def holds(self, age_years: float | None, female: bool | None) -> bool:  # noqa: ARG002
        return female is self.female


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """Holds for a patient whose age compares so with ``years``, if it is known. ``compare``: <, <=, > or >=."""

    compare: str
    years: float

    def holds(self, age_years: float | None, female: bool | None) -> bool:  # noqa: ARG002
        if age_years is None:
            return False
        if age_years == self.years:
            return self.compare.endswith("=")
        return (age_years < self.years) is self.compare.startswith("<")


Rule = tuple[Sex | AgeLimit, ...]
"""Conditions that must all hold; none: it always holds."""


def parse_rule(text: str) -> Rule | None:
    """A ``mapRule``, or None for one that asks what is not known here, such as another concept of the patient."""
    if text.strip().upper() in _ALWAYS:
        return ()
    conditions = [_condition(part) for part in _AND.split(text.strip())]
    known = tuple(condition for condition in conditions if condition is not None)
    return known if len(known) == len(conditions) else None


def _condition(text: str) -> Sex | AgeLimit | None:
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        return None
    concept, compare = match["concept"], match["compare"]
    if compare is None:
        return Sex(concept == _FEMALE) if concept in (_FEMALE, _MALE) else None
    unit = _YEARS.get(match["unit"].lower())
    return AgeLimit(compare, float(match["value"]) * unit) if concept in _AGE and unit is not None else None


@dataclass(frozen=True, slots=True)
class MapRows:
    """Rows as columns of one length, sorted by concept, group and priority.

    ``rules`` and ``targets`` are indices into the map's rules and codes; -1 is a target that has no code.
    """

    concepts: npt.NDArray[np.int64]
    groups: npt.NDArray[np.uint16]
    rules: npt.NDArray[np.uint16]
    targets: npt.NDArray[np.int32]


class SnomedMap:
    """The map for one release of ICD-10-CM; not changed by use. About 16 bytes a row.

    ``dropped`` counts active rows whose code the release does not hold, ``undecided`` those whose rule asks what is
    never known here, which therefore never hold.
    """

    def __init__(
        self, rows: MapRows, rules: tuple[Rule, ...], codes: tuple[str, ...], *, dropped: int = 0, undecided: int = 0
    ) -> None:
        self._rows, self._rules, self._codes = rows, rules, codes
        self.dropped, self.undecided = dropped, undecided

    def __len__(self) -> int:
        """How many concepts it maps, to a code or to none."""
        return len(np.unique(self._rows.concepts))

    def targets(
        self, concept_id: str, *, age_years: float | None = None, female: bool | None = None
    ) -> tuple[str, ...]:
        """Codes of the release, billable or not, in the order of the map groups; none for a concept without any.

        A condition on an age or a sex that is not given does not hold. A group whose rule leads to no code, or to one
        that the release does not hold, gives none: the rules after it are for other patients.
        """
        if not _IDENTIFIER.fullmatch(concept_id):
            return ()
        rows, concept = self._rows, int(concept_id)
        first, last = (int(np.searchsorted(rows.concepts, concept, side)) for side in ("left", "right"))
        decided: set[int] = set()
        codes: list[str] = []
        for i in range(first, last):
            group, target = int(rows.groups[i]), int(rows.targets[i])
            rule = self._rules[rows.rules[i]]
            if group in decided or not all(condition.holds(age_years, female) for condition in rule):
                continue
            decided.add(group)
            if target != _NO_CODE:
                codes.append(self._codes[target])
        return tuple(dict.fromkeys(codes))

    @classmethod
    def load(cls, path: Path, terminology: Terminology) -> "SnomedMap":
        """Read the active rows of the map to ICD-10-CM; columns are found by their names in the header.

        Raises:
            ResourceError: the file is missing, a row is malformed (names the line), a row has several versions (a Full
                release), or there is no row of this map.
        """
        reader = _Reader(terminology)
        for number, cells in table_rows(path, COLUMNS, WHAT):
            reader.add(f"{path}:{number}", *cells)
        if not reader.concepts and not reader.undecided:
            raise ResourceError(
                f"{path}: has no active row of reference set {REFERENCE_SET}, the map to ICD-10-CM; expected {WHAT}"
            )
        return reader.finish()


@dataclass(slots=True)
class _Reader:
    """Gathers rows in arrays; what it holds besides is given up when it is done."""

    terminology: Terminology
    concepts: "array[int]" = field(default_factory=lambda: array("q"))
    groups: "array[int]" = field(default_factory=lambda: array("H"))
    priorities: "array[int]" = field(default_factory=lambda: array("H"))
    rule_of_row: "array[int]" = field(default_factory=lambda: array("H"))
    target_of_row: "array[int]" = field(default_factory=lambda: array("i"))
    rules: dict[Rule, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    dropped: int = 0
    undecided: int = 0

    def add(
        self, place: str, row_id: str, active: str, refset: str, concept: str, group: str, priority: str, *last: str
    ) -> None:
        if refset != REFERENCE_SET:
            return
        if row_id in self.seen:
            raise ResourceError(f"{place}: this row has several versions; take the Snapshot, not the Full release")
        self.seen.add(row_id)
        if active != "1":
            return
        if not _IDENTIFIER.fullmatch(concept) or not (_is_small(group) and _is_small(priority)):
            raise ResourceError(f"{place}: expected a SNOMED CT identifier, and whole numbers as group and priority")
        rule_text, target_text = last
        rule = parse_rule(rule_text)
        if rule is None:
            self.undecided += 1
            return
        self.concepts.append(int(concept))
        self.groups.append(int(group))
        self.priorities.append(int(priority))
        self.rule_of_row.append(self.rules.setdefault(rule, len(self.rules)))
        target = self._target(target_text)
        self.target_of_row.append(target)
        self.dropped += target == _NO_CODE and target_text != ""

    def finish(self) -> SnomedMap:
        concepts, groups = np.array(self.concepts, np.int64), np.array(self.groups, np.uint16)
        order = np.lexsort((np.array(self.priorities, np.uint16), groups, concepts))
        rules, targets = np.array(self.rule_of_row, np.uint16), np.array(self.target_of_row, np.int32)
        rows = MapRows(concepts[order], groups[order], rules[order], targets[order])
        return SnomedMap(rows, tuple(self.rules), tuple(self.codes), dropped=self.dropped, undecided=self.undecided)

    def _target(self, written: str) -> int:
        """Index of the code; what a target was found to be is remembered, for most stand in many rows."""
        if written not in self.written:
            code = code_of_release(written, self.terminology)
            self.written[written] = _NO_CODE if code is None else self.codes.setdefault(code, len(self.codes))
        return self.written[written]


def _is_small(number: str) -> bool:
    return number.isdecimal() and int(number) < 1 << 16


def read_snomed_names(path: Path) -> Iterator[tuple[str, str]]:
    """Rows (term, concept id) of a dictionary that is coded in SNOMED CT: a table with the columns term and snomedct.

    Raises:
        ResourceError: the file is missing, or a row is malformed; names file and line.
    """
    for number, (term, concept) in table_rows(path, NAMES_COLUMNS, NAMES_WHAT):
        if not term or not _IDENTIFIER.fullmatch(concept):
            raise ResourceError(f"{path}:{number}: expected a term and a SNOMED CT identifier")
        yield term, concept


def snomed_names(rows: Iterable[tuple[str, str]], snomed_map: SnomedMap) -> Iterator[tuple[str, str]]:
    """Pairs (term, code) of rows (term, concept id): each code that the map gives for any patient, in its order."""
    for term, concept in rows:
        for code in snomed_map.targets(concept):
            yield term, code

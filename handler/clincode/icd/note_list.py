"""The note's own list: each code once, in the order of sequencing, with what a coder must look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clincode.icd.conventions import Conventions
from clincode.types import NoteCode

_SYMPTOMS = (
    *("R", "L29", "L85.3", "M25.5", "M25.6", "M79.1", "M79.6", "M54.9", "H57.1", "H92.0"),
    *("N64.4", "J34.89", "K30", "F51.9", "M43.6", "M54.5", "E87.7"),
)
"""Beginnings of codes of what a patient feels or a doctor sees, in whatever chapter."""
_HISTORIES = ("Z08", "Z09", "Z80", "Z81", "Z82", "Z83", "Z84", "Z85", "Z86", "Z87", "Z34", "Z00", "Z23", "Z12")
_FIRST = ("O", "A40", "A41", "U07.1", "Z51")
"""Codes that the guidelines put first: pregnancy, sepsis, COVID-19, an encounter for treatment of a cancer."""
_SURE = 0.5
UNKNOWN_WEEKS = "Z3A.00"
_AS_SURE = 0.6
_ANY_INJURY = ("T14", "T07", "T30")
"""Injuries of which nothing is said but that there is one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A code on its way to the note's list, with the mentions that gave it."""

    code: str
    confidence: float
    evidence: tuple[int, ...]
    encounter_assumed: bool = False


@dataclass(frozen=True, slots=True)
class NoteList:
    """Orders and flags the entries of one note."""

    conventions: Conventions

    def listed(self, entries: Sequence[Entry]) -> Iterator[NoteCode]:
        """Flags, and the order of the list: what must be first, then what is sure, then the order of the note."""
        kept = [entry for entry in entries if not self._said_better(entry, entries) and not _is_idle(entry, entries)]
        codes = [entry.code for entry in kept]
        ordered = sorted(
            kept,
            key=lambda entry: (
                self._rank(entry.code, codes),
                entry.confidence < _SURE,
                not entry.evidence,
                entry.evidence,
            ),
        )
        for entry in ordered:
            yield NoteCode(
                entry.code,
                self.conventions.terminology.title(entry.code),
                entry.confidence,
                entry.evidence,
                tuple(self._flags(entry, codes)),
            )

    def _said_better(self, entry: Entry, entries: Sequence[Entry]) -> bool:
        """Whether another code of the same category says more, where this one says that nothing more is known."""
        code = entry.code
        if code.startswith(_ANY_INJURY) and any(
            other.code[0] in "ST" and not other.code.startswith(_ANY_INJURY) for other in entries
        ):
            return True
        if not self.conventions.is_unspecified(
            code
        ) and "without complications" not in self.conventions.terminology.title(code):
            return False
        size = 5 if code[0] in "ST" else 3  # of a category of injuries there may be several
        return any(
            other.code != code
            and other.code[:size] == code[:size]
            and other.confidence >= _AS_SURE * entry.confidence
            and not self.conventions.is_unspecified(other.code)
            and "without complications" not in self.conventions.terminology.title(other.code)
            and (len(code) < 8 or other.code[-1] == code[-1])
            for other in entries
        )

    def _rank(self, code: str, codes: Sequence[str]) -> int:
        """0 for what stands first: conditions; then what follows from them, symptoms, and last what is only so."""
        if code.startswith(_FIRST):
            return 0
        if code[0] in "VWXY":
            return 7
        if code[0] == "Z":
            return 6 if code.startswith(("Z3A", "Z37", "Z79", "Z68")) else 4 if code.startswith(_HISTORIES) else 5
        if code.startswith(("B95", "B96", "B97", "R65")):
            return 3
        if any(r.holds(other) for r in self.conventions.code_first(code) for other in codes if other != code):
            return 2
        return 2 if code.startswith(_SYMPTOMS) else 1

    def _flags(self, entry: Entry, codes: Sequence[str]) -> Iterator[str]:
        conventions, code = self.conventions, entry.code
        others = [other for other in codes if other != code]
        if conventions.is_unspecified(code):
            yield "unspecified"
        if conventions.needs_laterality(code):
            yield "needs_laterality"
        if conventions.encounter(code) is not None and entry.encounter_assumed:
            yield "encounter_assumed"
        if conventions.is_manifestation(code):
            yield "manifestation"
        if any(conventions.excludes1(code, other) for other in others):
            yield "excludes1_conflict"
        if code[0] == "R" and conventions.integral(code, others):
            yield "integral_symptom"


def _is_idle(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether a code has no place here: weeks of gestation without a code that they go with, "pregnant" beside one of
    its chapter, a body mass without a diagnosis of weight."""
    others = [other.code for other in entries]
    if entry.code == UNKNOWN_WEEKS:
        return True  # it has done its work once conditions are those of pregnancy
    if entry.code.startswith("Z3A"):
        return not any(code[0] == "O" and code[:3] > "O08" for code in others)
    if entry.code == "O80":  # a delivery without anything else
        return any(code != "O80" and code.startswith(("O", "Z38")) for code in others)
    if entry.code == "Z33.1":
        return any(code[0] == "O" or code.startswith(("Z34", "Z3A")) for code in others)
    return entry.code.startswith("Z68") and not any(code.startswith(("E4", "E66", "R63", "O99.2")) for code in others)


def merged(entries: Sequence[Entry]) -> list[Entry]:
    """Each code once, with all that gave it and the highest of the confidences."""
    merged: dict[str, Entry] = {}
    for entry in entries:
        known = merged.get(entry.code)
        if known is None:
            merged[entry.code] = entry
        else:
            merged[entry.code] = replace(
                known,
                confidence=max(known.confidence, entry.confidence),
                evidence=tuple(sorted({*known.evidence, *entry.evidence})),
                encounter_assumed=known.encounter_assumed and entry.encounter_assumed,
            )
    return list(merged.values())

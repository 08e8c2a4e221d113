"""What the tabular list's notes and the coding guidelines say about codes that stand together on one note's list.

A note stands at a code, a block or a chapter and holds for everything below it. It names other codes as people write
them: "(E08.-)", "(O10-O11, O13-O16)", "(E08-E13 with .51-.52)", "(T36-T50 with fifth or sixth character 5)".

What a code says of side, encounter and trimester is read from its title, and the code that says another side,
encounter or trimester is the one with the same title but for that: no code is built from its characters alone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from clincode.icd.code_ranges import CodeRange, Note, references
from clincode.icd.integral import load_integral
from clincode.icd.sided_titles import TITLE_WORD, UNSPECIFIED_OF_TWO, Side, SidedTitle, sides
from clincode.icd.terminology import Terminology, is_group, pad

Encounter = Literal["initial", "subsequent", "sequela"]
Healing = Literal["routine", "delayed", "nonunion", "malunion"]
UNSPECIFIED_TRIMESTER = 0

# "specified adverse effects (A00-R94)": most of the book, which nobody means to exclude.
_WIDEST_EXCLUSION = 3

# -- code first --

_ELSEWHERE = re.compile(r"\bin (?:\w+ )*?(?:diseases?|conditions) classified elsewhere")
_CONDITIONAL = re.compile(
    r"\bif (?:applicable|known|confirmed)|\bany\b|\bassociated AIDS\b|\bcomplicating\b|\bfollowing\b|\bdue to\b"
    r"|^, for adverse effects"
)

# -- titles --

_UNSPECIFIED = re.compile(r"\b(?:[Uu]nspecified|NOS)\b")
_FETUS_UNSPECIFIED = "not applicable or unspecified"

_TRIMESTER = re.compile(r"\b(first|second|third|unspecified) trimester\b")
_TRIMESTERS = {"unspecified": UNSPECIFIED_TRIMESTER, "first": 1, "second": 2, "third": 3}
_ENCOUNTER = re.compile(r"\b(initial|subsequent) encounter\b|\b(sequela)\b")
_HEALING = {"routine": "routine healing", "delayed": "delayed healing", "nonunion": "nonunion", "malunion": "malunion"}


@dataclass(slots=True)
class Conventions:
    """The conventions of one release. Everything is found on first use and remembered; ``KeyError`` is raised for a
    code that is not of the release, everywhere but in ``integral``. ``symptoms`` are pairs of a symptom and what it
    belongs to; those of ``icd_integral.tsv`` where none are given.

    Raises:
        ResourceError: on construction, where a row of ``icd_integral.tsv`` has a prefix that starts no code.
    """

    terminology: Terminology
    symptoms: tuple[tuple[str, str], ...] | None = None
    _integral: tuple[tuple[str, str], ...] = field(init=False)
    _notes: dict[tuple[str, str], tuple[Note, ...]] = field(default_factory=dict, init=False)
    _words: dict[str, tuple[SidedTitle, ...]] = field(default_factory=dict, init=False)
    _sided: dict[tuple[str, Side], tuple[tuple[int, str], ...]] = field(default_factory=dict, init=False)
    _explaining: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._integral = load_integral(self.terminology) if self.symptoms is None else self.symptoms

    # -- notes --

    def excludes1(self, code: str, other: str) -> str | None:
        """The note under which the two are not coded together, whichever of them it stands at or above; else ``None``.

        The order of the two does not matter, nor for which note is given where there are several. A note says nothing
        of two codes that it both names, nor of a code and what stands above it. It does not say whether the two are
        related; the guidelines allow both where they are not, which only a person can see.
        """
        code, other = sorted((code, other))
        found = self._excluded_by(code, other) or self._excluded_by(other, code)
        return None if other.startswith(code) else found

    def code_first(self, code: str) -> tuple[CodeRange, ...]:
        """Codes that go before this one where the note has them too, those of the nearest note first."""
        return tuple(r for _, ranges in self._notes_of(code, "code_first") for r in ranges)

    def use_additional(self, code: str) -> tuple[CodeRange, ...]:
        """Codes that may stand after this one to say more, those of the nearest note first."""
        return tuple(r for _, ranges in self._notes_of(code, "use_additional") for r in ranges)

    def is_manifestation(self, code: str) -> bool:
        """Whether the underlying condition must be coded first: so its title says, or a note without an "if".

        The first of the notes that stand at one place speaks for all of them: the others are examples or alternatives.
        """
        lineage = self._lineage(code)
        if any(_ELSEWHERE.search(self.terminology.title(above)) for above in lineage if not is_group(above)):
            return True
        first = (self.terminology[above].code_first[:1] for above in lineage)
        return any(not _CONDITIONAL.search(note) for notes in first for note in notes)

    def _excluded_by(self, code: str, other: str) -> str | None:
        for text, ranges in self._notes_of(code, "excludes1"):
            if any(r.holds(other) and not _is_wide(r) for r in ranges) and not any(r.holds(code) for r in ranges):
                return text
        return None

    def _notes_of(self, code: str, kind: Literal["excludes1", "code_first", "use_additional"]) -> tuple[Note, ...]:
        """Notes that name codes, of the code itself and then of each ancestor."""
        known = self._notes.get((code, kind))
        if known is None:
            entry = self.terminology[code]
            own = ((text, references(text)) for text in getattr(entry, kind))
            above = self._notes_of(entry.parent, kind) if entry.parent else ()
            known = self._notes[code, kind] = (*(note for note in own if note[1]), *above)
        return known

    def _lineage(self, code: str) -> tuple[str, ...]:
        return (code, *self.terminology.ancestors(code))

    # -- what a code leaves open --

    def is_unspecified(self, code: str) -> bool:
        """Whether the title leaves something open, "unspecified" or NOS; which of several fetuses is not counted."""
        return _UNSPECIFIED.search(self.terminology.title(code).removesuffix(_FETUS_UNSPECIFIED)) is not None

    # -- side --

    def laterality(self, code: str) -> Side | None:
        """The side that a code says, or leaves unspecified; ``None`` where sides do not tell it from its siblings.

        The left ventricle and the right coronary artery are no sides: nothing else in the family is named so but for
        the side. Titles that name both sides ("blindness right eye, low vision left eye") have none.
        """
        said = self._said(code)
        if not said or said[0].side == "bilateral":
            return said[0].side if said else None
        if said[0].side == "unspecified":
            told = all(self._siblings(code, side) for side in ("right", "left")) or self._has_sided_kin(code)
        else:
            told = bool(self._siblings(code, "left" if said[0].side == "right" else "right"))
        return said[0].side if told else None

    def needs_laterality(self, code: str) -> bool:
        """Whether the code leaves the side unspecified while its siblings name it."""
        return self.laterality(code) == "unspecified"

    def sided(self, code: str, side: Side) -> str | None:
        """The code that says the same of another side, with the same 7th character; the code itself for its own side.

        Looked for among its siblings, then one level further up. ``None`` where there is none, or more than one (the
        right index finger and the right thumb for a finger); a condition of both sides that has no bilateral code takes
        the codes of both. For a billable code the answer is billable.
        """
        own = self.laterality(code)
        if own is None or own == side:
            return code if own else None
        complete = self._completeness(code)
        found = [(far, other) for far, other in self._siblings(code, side) if self._completeness(other) >= complete]
        nearest = [other for far, other in found if far == min(found)[0]]
        return nearest[0] if len(nearest) == 1 else None

    def _siblings(self, code: str, side: Side) -> tuple[tuple[int, str], ...]:
        """Codes that differ from this one in their side, this being ``side``, each with its distance."""
        known = self._sided.get((code, side))
        if known is None:
            stem, character = self._stem(code)
            known = ()
            for above in self._near(stem):
                known = known or tuple(self._differing(code, side, above, character))
            self._sided[code, side] = known
        return known

    def _completeness(self, code: str) -> int:
        """2 for a billable code, 1 for one that lacks its 7th character alone, else 0."""
        return 2 if self.terminology.is_billable(code) else int(self._is_extended(code))

    def _has_sided_kin(self, code: str) -> bool:
        """Whether the title leaves open which of two, and codes near it say so though of other parts or other names."""
        stem = self._stem(code)[0]
        if not UNSPECIFIED_OF_TWO.search(self.terminology.title(stem).lower()):
            return False
        titles = [self.terminology.title(other).lower() for above in self._near(stem) for other in self._below(above)]
        return all(any(side in TITLE_WORD.findall(title) for title in titles) for side in ("right", "left"))

    def _near(self, stem: str) -> Iterator[str]:
        """What stands above it by one level and by two, blocks and chapters left out."""
        above = self.terminology.ancestors(stem)[:2]
        return (code for code in above if not is_group(code))

    def _differing(self, code: str, side: Side, above: str, character: str) -> Iterator[tuple[int, str]]:
        own = self._said(code)
        for stem in self._below(above):
            distances = (mine.distance(words) for words in self._said(stem) if words.side == side for mine in own)
            far = min((distance for distance in distances if distance is not None), default=None)
            whole = self._whole(stem, character) if far is not None else None
            if far is not None and whole is not None:
                yield far, whole

    def _said(self, code: str) -> tuple[SidedTitle, ...]:
        stem = self._stem(code)[0]
        known = self._words.get(stem)
        if known is None:
            known = self._words[stem] = tuple(sides(self.terminology.title(stem)))
        return known

    def _stem(self, code: str) -> tuple[str, str]:
        """A code without its 7th character, and that character; with it, where the character is what says the side."""
        base = self._base(code)
        if base is None:
            return code, ""
        meanings = [self._seventh(base, child) for child in self.terminology.children(base)]
        return (code, "") if {"right eye", "left eye"} & set(meanings) else (base, code[-1])

    def _whole(self, stem: str, character: str) -> str | None:
        """The stem with a 7th character; ``None`` where that is no code."""
        if not character:
            return stem
        code = pad(stem) + character
        return code if code in self.terminology else None

    def _below(self, above: str) -> Iterator[str]:
        """Codes below one, those that a 7th character completes left out unless they are all that there is."""
        for child in self.terminology.children(above):
            yield child
            if not self._is_extended(child):
                yield from self._below(child)

    # -- 7th character --

    def encounter(self, code: str) -> Encounter | None:
        """The encounter that the 7th character says; ``None`` where it says none, or there is none."""
        base = self._base(code)
        return _encounter(self._seventh(base, code)) if base is not None else None

    def with_encounter(
        self, code: str, kind: Encounter, *, open_: bool = False, healing: Healing = "routine"
    ) -> str | None:
        """The code with the 7th character for an encounter, from a code that has one or that lacks it.

        ``open_`` (of type I or II, or of a type not known) and ``healing`` count for fractures alone, and say all that
        the answer takes of them: nothing is kept of the character that the code had. ``None`` where the character says
        no encounter, and where none says what is asked: a torus fracture is never open.
        """
        base = self._base(code) or code
        for child in self.terminology.children(base) if self._is_extended(base) else ():
            said = self._seventh(base, child)
            if _encounter(said) == kind and _fits(said, open_=open_, healing=healing):
                return child
        return None

    def _base(self, code: str) -> str | None:
        """The code that a 7th character was put to; ``None`` for other codes."""
        parent = self.terminology.parent(code)
        if parent is None or code[:-1] != pad(parent):
            return None
        return parent if self.terminology.title(code).startswith(self.terminology.title(parent) + ", ") else None

    def _is_extended(self, code: str) -> bool:
        children = self.terminology.children(code)
        return bool(children) and self._base(children[0]) == code

    def _seventh(self, base: str, code: str) -> str:
        return self.terminology.title(code)[len(self.terminology.title(base)) + 2 :]

    # -- trimester --

    def trimester(self, code: str) -> int | None:
        """1 to 3, or ``UNSPECIFIED_TRIMESTER`` where the code leaves it unspecified; ``None`` where it says none."""
        match = _TRIMESTER.search(self.terminology.title(code).lower())
        return _TRIMESTERS[match[1]] if match else None

    def with_trimester(self, code: str, trimester: int) -> str | None:
        """The sibling of another trimester, with the same 7th character; the code itself for its own.

        ``None`` where the code says no trimester or has no such sibling, as conditions that only late pregnancy knows.
        """
        if self.trimester(code) in (None, trimester):
            return code if self.trimester(code) is not None else None
        stem, character = self._stem(code)
        rest = _without_trimester(self.terminology.title(stem))
        parent = self.terminology.parent(stem)
        for sibling in self.terminology.children(parent) if parent is not None else ():
            if self.trimester(sibling) == trimester and _without_trimester(self.terminology.title(sibling)) == rest:
                return self._whole(sibling, character)
        return None

    # -- symptoms --

    def integral(self, symptom: str, diagnoses: Iterable[str]) -> str | None:
        """The first of the diagnoses that the symptom is part of (guideline I.B.5), so that it is not coded beside it.

        A diagnosis of one side does not explain a symptom of the other, nor of both. Codes that are not of the release
        raise nothing: they are compared by the start of their characters alone.
        """
        explaining = self._explaining.get(symptom)
        if explaining is None:
            explaining = tuple(diagnosis for prefix, diagnosis in self._integral if symptom.startswith(prefix))
            self._explaining[symptom] = explaining
        for diagnosis in diagnoses if explaining else ():
            if diagnosis != symptom and diagnosis.startswith(explaining) and self._sides_agree(symptom, diagnosis):
                return diagnosis
        return None

    def _sides_agree(self, symptom: str, diagnosis: str) -> bool:
        if symptom not in self.terminology or diagnosis not in self.terminology:
            return True
        of_symptom, of_diagnosis = self.laterality(symptom), self.laterality(diagnosis)
        open_ = (None, "unspecified")
        return of_symptom in open_ or of_diagnosis in (*open_, "bilateral") or of_symptom == of_diagnosis


def _is_wide(codes: CodeRange) -> bool:
    return ord(codes.last[0]) - ord(codes.first[0]) > _WIDEST_EXCLUSION


def _without_trimester(title: str) -> str:
    return _TRIMESTER.sub("trimester", title.lower(), count=1)


def _encounter(seventh: str) -> Encounter | None:
    match = _ENCOUNTER.search(seventh.lower())
    if match is None:
        return None
    if match[2]:
        return "sequela"
    return "initial" if match[1] == "initial" else "subsequent"


def _fits(seventh: str, *, open_: bool, healing: Healing) -> bool:
    """Whether what a 7th character says of a fracture is what is asked; true where it says nothing of it."""
    if ("closed" in seventh and open_) or ("open" in seventh and not open_) or "type III" in seventh:
        return False
    said = [name for name, words in _HEALING.items() if words in seventh]
    return not said or healing in said

"""From a note's entities to its codes: each mention's suggestions, and the note's own list.

    mentions → names → specificity → history, family, setting → combinations → flags and order

Which mention gives a code follows the official guidelines for coding and reporting (sections I.B, I.C.21, II.H, IV.H).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from clincode.icd.circumstances import gestational_weeks
from clincode.icd.combinations import Combinations
from clincode.icd.conventions import Conventions
from clincode.icd.fitting import fitting
from clincode.icd.history import History
from clincode.icd.linker import IcdLinker
from clincode.icd.mention import Mention
from clincode.icd.note_list import UNKNOWN_WEEKS, Entry, NoteList, merged
from clincode.icd.said import NoteFacts, Said, facts_of, said_around, side_of
from clincode.icd.specificity import Specifier
from clincode.icd.status import StatusCue, StatusMatch, gestation_code, statuses
from clincode.icd.wordings import Wording, Wordings
from clincode.types import (
    Assertion,
    Certainty,
    CodeCandidate,
    Experiencer,
    NoteCode,
    NoteType,
    Sentence,
    Temporality,
)

WEAKEST_SUGGESTION = 0.05
"""Candidates below this confidence are not shown: coders need few suggestions, and right ones."""
STATUS_CONFIDENCE = 0.6
_NEARLY = 0.3
"""A wording that says more is taken where it is at least so sure, compared with the surest."""
_DECIDED, _UNSURE, _INSIDE = 0.6, 0.4, 0.7
_SAYING_LITTLE = (
    *("C80", "D36.9", "D48.9", "D49.9", "T07", "T14", "T30", "R52", "R22.9", "M25.9", "M86.9", "L02.91", "L03.90"),
    *("I82.9", "I74.9", "M79.9", "S09.9", "M19.9", "M13.9", "L98.4", "I72.9", "K46.9", "D09.9", "C79.9", "I70.9"),
)
_USE_OF_SUBSTANCES = ("F10", "F11", "F12", "F13", "F14", "F15", "F16", "F17", "F18", "F19")
"""Their codes say themselves whether the use is over; a social history is about now."""
_SAID_BY_SECTION = {
    StatusCue.PAST: frozenset({"PAST_SURGICAL_HISTORY"}),
    StatusCue.ALLERGY: frozenset({"ALLERGIES"}),
    StatusCue.USE: frozenset({"MEDICATIONS"}),
}
"""Sections in which a status needs no more to be said."""
_LINK = re.compile(
    r"\b(?:due|secondary|owing|attribut\w+|related|associated|complicat\w+|caus\w+|from|with|w/|in|of|2/2|on top"
    r"|because|after)(?!\w)",
    re.IGNORECASE,
)
_CAUSES = {"J12.82": "U07.1"}
"""Codes that say their cause in their title, and the code of that cause, which goes first."""
_OF_FAMILY = frozenset({"FAMILY_HISTORY"})


@dataclass(frozen=True, slots=True)
class Coded:
    """``suggestions[i]`` are the candidates of mention ``i``, best first."""

    suggestions: tuple[tuple[CodeCandidate, ...], ...]
    codes: tuple[NoteCode, ...]


class Coder:
    """Codes the mentions of one note together. Not changed by use, except that it remembers what it worked out."""

    def __init__(self, linker: IcdLinker) -> None:
        self.linker = linker
        self.terminology = linker.terminology
        self.conventions = Conventions(self.terminology)
        self._specifier = Specifier(self.terminology, linker.defaults, self.conventions)
        self._history = History(self.terminology)
        self._combinations = Combinations(self.terminology)
        self._wordings = Wordings(linker)
        self._list = NoteList(self.conventions)

    def code(self, text: str, note_type: NoteType, sentences: Sequence[Sentence], mentions: Sequence[Mention]) -> Coded:
        """Suggestions for every mention of a disease, and the note's list.

        ``text`` is the note that the offsets of ``sentences`` and ``mentions`` fit, which come in its order.
        """
        facts = facts_of(text)
        contexts = [
            said_around(facts, mentions, i, self.linker.speller.corrected) if mention.is_disease else None
            for i, mention in enumerate(mentions)
        ]
        suggestions = self._suggestions(text, mentions, contexts)
        entries = [
            *self._conditions(mentions, suggestions, contexts, note_type),
            *self._statuses(text, sentences, mentions),
        ]
        entries = self._one_diabetes(_with_cause(entries), mentions)
        entries += _weeks(entries, facts)
        entries = self._combined(text, merged(entries), mentions, contexts)
        return Coded(tuple(suggestions), tuple(self._list.listed(entries)))

    # -- mentions --

    def _suggestions(
        self, text: str, mentions: Sequence[Mention], contexts: Sequence[Said | None]
    ) -> list[tuple[CodeCandidate, ...]]:
        asked = {
            i: tuple(dict.fromkeys(self._wordings.of(text, mentions, i)))
            for i, said in enumerate(contexts)
            if said is not None
        }
        fitted = self._ranked(text, mentions, contexts, asked)
        unsure = {
            i: tuple(self._wordings.inside(mentions[i]))
            for i, rankings in fitted.items()
            if not rankings or max(r[0].confidence for _, r in rankings) < _UNSURE
        }
        for i, rankings in self._ranked(text, mentions, contexts, unsure).items():
            fitted[i] += [
                (wording, [replace(c, confidence=c.confidence * _INSIDE) for c in r])
                for wording, r in rankings
                if not r[0].code.startswith(_SAYING_LITTLE)
            ]
        return [
            () if said is None else self._specific(_best_wording(fitted[i]), said) for i, said in enumerate(contexts)
        ]

    def _ranked(
        self,
        text: str,
        mentions: Sequence[Mention],
        contexts: Sequence[Said | None],
        asked: Mapping[int, Sequence[Wording]],
    ) -> dict[int, list[tuple[Wording, list[CodeCandidate]]]]:
        """Candidates of every wording of each mention, those that do not fit the patient last; all in one go."""
        unique = list(dict.fromkeys(wording.text for wordings in asked.values() for wording in wordings))
        rankings = dict(zip(unique, self.linker.link_all(unique), strict=True))
        fitted: dict[int, list[tuple[Wording, list[CodeCandidate]]]] = {}
        for i, wordings in asked.items():
            said = contexts[i]
            if said is not None:
                sentence = text[mentions[i].sentence.start : mentions[i].sentence.end]
                ranked = [(wording, fitting(rankings[wording.text], said, sentence)) for wording in wordings]
                fitted[i] = [(wording, candidates) for wording, candidates in ranked if candidates]
        return fitted

    def _specific(self, candidates: Sequence[CodeCandidate], said: Said) -> tuple[CodeCandidate, ...]:
        """The candidates as the note says them in particular, each code once."""
        best: dict[str, float] = {}
        for candidate in candidates:
            if candidate.confidence >= WEAKEST_SUGGESTION:
                code = self._specifier.refine(candidate.code, said)
                best[code] = min(1.0, best.get(code, 0.0) + candidate.confidence)
        ranked = sorted(best.items(), key=lambda item: -item[1])
        return tuple(CodeCandidate(code, self.terminology.title(code), value) for code, value in ranked)

    # -- the note's list --

    def _conditions(
        self,
        mentions: Sequence[Mention],
        suggestions: Sequence[tuple[CodeCandidate, ...]],
        contexts: Sequence[Said | None],
        note_type: NoteType,
    ) -> Iterator[Entry]:
        for index, (mention, candidates, said) in enumerate(zip(mentions, suggestions, contexts, strict=True)):
            if not candidates or said is None or candidates[0].confidence < self.linker.threshold:
                continue
            first = candidates[0]
            assertion = mention.assertion
            if said.treated and first.code[0] == "C" and assertion.temporality is Temporality.CURRENT:
                assertion = replace(assertion, temporality=Temporality.HISTORICAL)
            code = self._coded(first.code, assertion, note_type)
            if code is not None:
                assumed = code == first.code and not said.encounter_said
                yield Entry(code, first.confidence, (index,), assumed)

    def _coded(self, code: str, assertion: Assertion, note_type: NoteType) -> str | None:
        """The code that a mention gives in its context; None where it gives none."""
        if assertion.certainty is Certainty.NEGATED or assertion.temporality is Temporality.HYPOTHETICAL:
            return None
        if assertion.experiencer is Experiencer.FAMILY:
            return self._history.family(code)
        if assertion.experiencer is Experiencer.OTHER:
            return None
        if assertion.certainty is Certainty.POSSIBLE and note_type is not NoteType.DISCHARGE_SUMMARY:
            return None
        if assertion.temporality is Temporality.HISTORICAL and not code.startswith(_USE_OF_SUBSTANCES):
            return code if self._history.is_chronic(code) else self._history.personal(code)
        return code

    def _statuses(self, text: str, sentences: Sequence[Sentence], mentions: Sequence[Mention]) -> Iterator[Entry]:
        """Codes of devices, lost organs, drugs and the like; the mention that holds the words is their evidence."""
        starts = [sentence.start for sentence in sentences]
        for match in statuses(text):
            index = next(
                (i for i, m in enumerate(mentions) if m.span.start < match.end and match.start < m.span.end), None
            )
            place = bisect_right(starts, match.start) - 1
            section = sentences[place].section if place >= 0 else None
            mention = None if index is None else mentions[index]
            if _holds(match, mention, section):
                if mention is not None and mention.assertion.temporality is Temporality.HYPOTHETICAL:
                    index = None  # "screening for" a cancer is a status, and the cancer no evidence of it
                side = side_of(text[max(0, match.start - 25) : match.end + 15])
                code = self.conventions.sided(match.code, side) if side else None
                yield Entry(code or match.code, STATUS_CONFIDENCE, () if index is None else (index,))

    def _one_diabetes(self, entries: Sequence[Entry], mentions: Sequence[Mention]) -> list[Entry]:
        """A complication whose mention names no type is of the diabetes that the note names: "DKA in T1DM"."""
        if not any(entry.code.startswith("E10") for entry in entries):
            return list(entries)
        result = []
        for entry in entries:
            type_1 = "E10" + entry.code[3:]
            named = any("2" in mentions[i].text for i in entry.evidence)
            open_ = entry.code.startswith("E11") and not named and self.terminology.is_billable(type_1)
            result.append(replace(entry, code=type_1) if open_ else entry)
        return result

    def _combined(
        self,
        text: str,
        entries: Sequence[Entry],
        mentions: Sequence[Mention],
        contexts: Sequence[Said | None],
    ) -> list[Entry]:
        by_code = {entry.code: entry for entry in entries}

        def related(first: str, second: str) -> bool:
            pairs = product(by_code[first].evidence, by_code[second].evidence)
            return any(_is_linked(text, mentions[one], mentions[other]) for one, other in pairs)

        result: list[Entry] = []
        for combined in self._combinations.combine([entry.code for entry in entries], related):
            parts = [by_code[part] for part in combined.parts if part in by_code]
            evidence = tuple(dict.fromkeys(i for part in parts for i in part.evidence))
            confidence = max((part.confidence for part in parts), default=0.5)
            code = combined.code
            said = next((contexts[i] for i in evidence if contexts[i] is not None), None)
            if said is not None and code not in by_code:
                code = self._specifier.by_rule(code, said)
            assumed = any(part.encounter_assumed for part in parts)
            result.append(Entry(code, confidence, tuple(sorted(evidence)), assumed))
        return merged(result)


def _best_wording(ranked: Sequence[tuple[Wording, Sequence[CodeCandidate]]]) -> Sequence[CodeCandidate]:
    """The ranking of the wording that says most, unless one that says less is clearly surer.

    Where the mention's own words settle the category, what stands next to them only tells its codes apart, which is not
    for the ranking; unless they name one of the codes that say nothing of site or kind.
    """
    decided = [c for wording, c in ranked if not wording.is_joint and c[0].confidence >= _DECIDED]
    if decided and not decided[-1][0].code.startswith(_SAYING_LITTLE):
        return decided[-1]
    surest = _surest([candidates for _, candidates in ranked])
    return () if surest is None else [c for _, c in ranked if c[0].confidence >= _NEARLY * surest.confidence][-1]


def _surest(rankings: Sequence[Sequence[CodeCandidate]]) -> CodeCandidate | None:
    return max((candidates[0] for candidates in rankings), key=lambda first: first.confidence, default=None)


def _with_cause(entries: Sequence[Entry]) -> list[Entry]:
    known = {entry.code for entry in entries}
    causes = [
        replace(entry, code=_CAUSES[entry.code])
        for entry in entries
        if entry.code in _CAUSES and _CAUSES[entry.code] not in known
    ]
    return [*entries, *causes]


def _weeks(entries: Sequence[Entry], facts: NoteFacts) -> list[Entry]:
    """The weeks of gestation, which make a condition one of pregnancy; unknown ones where a trimester is said."""
    code = gestation_code(gestational_weeks(facts.text) or 0)
    if code is None and facts.pregnant and facts.trimester:
        code = UNKNOWN_WEEKS
    return (
        []
        if code is None or any(entry.code.startswith("Z3A") for entry in entries)
        else [Entry(code, STATUS_CONFIDENCE, ())]
    )


def _is_linked(text: str, one: Mention, other: Mention) -> bool:
    """Whether a sentence says that one comes of or with the other: a linking word is between, or nothing."""
    if one.sentence != other.sentence:
        return False
    first, second = sorted((one.span, other.span), key=lambda span: span.start)
    return first.end >= second.start or _LINK.search(text[first.end : second.start]) is not None


def _holds(match: StatusMatch, mention: Mention | None, section: str | None) -> bool:
    """Whether the patient has the status: what is around it says so, or the section, and nothing denies it."""
    assertion = mention.assertion if mention else Assertion()
    if assertion.certainty is not Certainty.AFFIRMED or assertion.experiencer is not Experiencer.PATIENT:
        return False
    if section in _OF_FAMILY:
        return False
    within = mention is not None and mention.span.start <= match.start and match.end <= mention.span.end
    if within and assertion.temporality is Temporality.HYPOTHETICAL:
        return False
    is_past = match.cue is StatusCue.PAST and assertion.temporality is Temporality.HISTORICAL
    return match.said or is_past or section in _SAID_BY_SECTION.get(match.cue, ())

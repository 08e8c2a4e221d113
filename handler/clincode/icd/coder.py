"""From a note's entities to its codes: each mention's suggestions, and the note's own list.

    mentions → names → specificity → history, family, setting → combinations → flags and order

Which mention gives a code follows the official guidelines for coding and reporting (sections I.B, I.C.21, II.H, IV.H).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clincode.icd.combinations import Combinations
from clincode.icd.confidence import MatchKind
from clincode.icd.conventions import Conventions
from clincode.icd.history import History, StatusCue, StatusMatch, gestation_code, statuses
from clincode.icd.linker import IcdLinker
from clincode.icd.pregnancy import Pregnancy
from clincode.icd.said import Said, gestational_weeks, said_of, side_of, without_denied
from clincode.icd.specificity import Specifier
from clincode.labels import EntityType
from clincode.types import (
    Assertion,
    Certainty,
    CodeCandidate,
    Experiencer,
    NoteCode,
    NoteType,
    Sentence,
    Span,
    Temporality,
)

WEAKEST_SUGGESTION = 0.05
"""Candidates below this confidence are not shown: coders need few suggestions, and right ones."""
STATUS_CONFIDENCE = 0.6
_BEFORE = re.compile(r"(?:[A-Za-z][\w'’-]*[ ]){1,3}$")
_NAMED = frozenset({MatchKind.OWN, MatchKind.EXACT, MatchKind.SYNONYM, MatchKind.NORMALISED})
_SYMPTOMS = (
    "R",
    "L29",
    "L85.3",
    "M25.5",
    "M25.6",
    "M79.1",
    "M79.6",
    "M54.9",
    "H57.1",
    "H92.0",
    "N64.4",
    "J34.89",
    "K30",
    "F51.9",
)
"""Beginnings of codes of what a patient feels or a doctor sees, in whatever chapter."""
_HISTORIES = ("Z08", "Z09", "Z80", "Z81", "Z82", "Z83", "Z84", "Z85", "Z86", "Z87", "Z34", "Z00", "Z23", "Z12")
_SURE = 0.5
_USE_OF_SUBSTANCES = ("F10", "F11", "F12", "F13", "F14", "F15", "F16", "F17", "F18", "F19")
"""Their codes say themselves whether the use is over; a social history is about now."""
_ANY_INJURY = ("T14", "T07", "T30")
_NEARLY = 0.3
_ODD = 0.1
_BETWEEN = re.compile(
    r"[\s,]*(?:(?:of|in|to|at|on|over|involving|affecting)\s+)?(?:(?:the|his|her|their|both|left|right)\s+)*",
    re.IGNORECASE,
)
_SIDE_WORDS = re.compile(r"\b(?:left|right|bilateral|lt|rt)(?:-sided)?\b,?\s*", re.IGNORECASE)
_VERTEBRA = re.compile(r"\b([CTL])(\d{1,2})\b(?!-)")
_ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)
_REGIONS = {"C": "cervical", "T": "thoracic", "L": "lumbar"}
_METASTASIS = re.compile(
    r"^(?:metasta(?:sis|ses|tic disease)|mets) (?:to|of|in) (?:the )?(.+)$|^(.+?) (?:metastas[ei]s|mets)$",
    re.IGNORECASE,
)
_NEWBORN = re.compile(
    r"\b(?:newborn|neonat\w+|preterm infant|premature infant|infant|born at|day-old|NICU)\b", re.IGNORECASE
)
_CHILDHOOD = "P"
_TREATED = re.compile(
    r"\bno (?:evidence of )?(?:disease|recurren\w+)|\bNED\b|\bsurveillance\b|\bcured\b|\b(?:treatment|therapy|chemo\w*|radiation) (?:was )?(?:complete\w*|finished)"
    r"|\b(?:completed|finished) (?:treatment|therapy|chemo\w*|radiation|\w+ and radiation|in|(?:19|20)\d\d)\b|\b(?:fully |completely )?(?:excised|resected|removed) in (?:19|20)\d\d",
    re.IGNORECASE,
)
_UNDER_TREATMENT = re.compile(
    r"\b(?:on|currently|continues?|receiving|undergoing|cycle \d+|adjuvant|neoadjuvant|active) (?:\w+ ){0,2}(?:chemo\w*|radiation|tamoxifen|letrozole|anastrozole|therapy|treatment|immunotherapy)\b"
    r"|\bnewly diagnosed\b",
    re.IGNORECASE,
)
_FRACTURE = re.compile(r"\bfractures?\b|\bfx\b", re.IGNORECASE)
_NO_TRAUMA: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"\b(?:stress|fatigue|march)\b", re.IGNORECASE), ("M84.3",)),
    (re.compile(r"\bosteopor\w+|\bfragility\b|\binsufficiency\b", re.IGNORECASE), ("M80", "M84.4", "M48.5", "M97")),
    (
        re.compile(r"\bpatholog\w+|\bmetasta\w+|\bmyeloma\b|\bneoplas\w+", re.IGNORECASE),
        ("M84.4", "M84.5", "M84.6", "M80"),
    ),
)
_SURGICAL_SECTIONS = frozenset({"PAST_SURGICAL_HISTORY"})


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention with its context; ``text`` is the mention with its abbreviations written out."""

    span: Span
    text: str
    assertion: Assertion
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Coded:
    """``suggestions[i]`` are the candidates of mention ``i``, best first."""

    suggestions: tuple[tuple[CodeCandidate, ...], ...]
    codes: tuple[NoteCode, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A code on its way to the note's list, with the mentions that gave it."""

    code: str
    confidence: float
    evidence: tuple[int, ...]
    encounter_assumed: bool = False
    flags: tuple[str, ...] = ()


class Coder:
    """Codes the mentions of one note together. Not changed by use, except that it remembers what it worked out."""

    def __init__(self, linker: IcdLinker) -> None:
        self.linker = linker
        self.terminology = linker.terminology
        self.conventions = Conventions(self.terminology)
        self._specifier = Specifier(self.terminology, linker.defaults, self.conventions)
        self._history = History(self.terminology)
        self._combinations = Combinations(self.terminology)
        self._pregnancy = Pregnancy(self.terminology)

    def code(self, text: str, note_type: NoteType, mentions: Sequence[Mention]) -> Coded:
        """Suggestions for every mention of a disease, and the note's list; ``text`` is the note with offsets that fit."""
        contexts = [self._context(text, mentions, i) for i in range(len(mentions))]
        suggestions = self._suggestions(text, mentions, contexts)
        entries = [
            *self._conditions(mentions, suggestions, contexts, note_type),
            *self._statuses(text, mentions),
        ]
        entries = self._combined(_merged(entries), mentions, contexts)
        entries += self._weeks(entries, text)
        return Coded(tuple(suggestions), tuple(self._listed(entries)))

    # -- mentions --

    def _context(self, text: str, mentions: Sequence[Mention], index: int) -> Said | None:
        """What is said around a mention of a disease: up to its neighbours of the kind, and in its sentence."""
        mention = mentions[index]
        if mention.span.type is not EntityType.DIAGNOSIS:
            return None
        sentence = mention.sentence
        before = [m.span.end for m in mentions[:index] if _is_disease(m) and m.span.end <= mention.span.start]
        after = [m.span.start for m in mentions[index + 1 :] if _is_disease(m) and m.span.start >= mention.span.end]
        start = max([sentence.start, *before])
        end = min([sentence.end, *after])
        others = [m.span for m in mentions if m is not mention and m.assertion.is_negated]
        shown = without_denied(text, sentence.start, sentence.end, others, keep=mention.span)
        near = shown[start - sentence.start : end - sentence.start]
        neighbours = [
            m.text
            for m in mentions
            if m is not mention and m.sentence == sentence and _is_disease(m) and not m.assertion.is_negated
        ]
        speller = self.linker.speller
        said = said_of(
            speller.corrected(mention.text),
            _vertebrae(speller.corrected(near)),
            _vertebrae(speller.corrected(shown)),
            text,
            at=mention.span.start - sentence.start,
            neighbours=[speller.corrected(neighbour) for neighbour in neighbours],
        )
        around = text[sentence.start : sentence.end + 160]
        treated = _TREATED.search(around) is not None and not _UNDER_TREATMENT.search(around)
        return replace(said, treated=treated, newborn=_NEWBORN.search(text) is not None)

    def _suggestions(
        self, text: str, mentions: Sequence[Mention], contexts: Sequence[Said | None]
    ) -> list[tuple[CodeCandidate, ...]]:
        asked: dict[int, tuple[str, ...]] = {
            i: tuple(dict.fromkeys(self._wordings(text, mentions, i)))
            for i, said in enumerate(contexts)
            if said is not None
        }
        unique = list(dict.fromkeys(wording for wordings in asked.values() for wording in wordings))
        rankings = dict(zip(unique, self.linker.link_all(unique), strict=True))
        found: list[tuple[CodeCandidate, ...]] = []
        for i, said in enumerate(contexts):
            candidates: tuple[CodeCandidate, ...] = ()
            if said is not None:
                candidates = self._specific(
                    _best_wording([rankings[wording] for wording in asked[i]]),
                    said,
                    text[mentions[i].sentence.start : mentions[i].sentence.end],
                )
            found.append(candidates)
        return found

    def _wordings(self, text: str, mentions: Sequence[Mention], index: int) -> Iterator[str]:
        """The mention as it is written out, without its side, and with the part of the body that stands next to it."""
        mention = mentions[index]
        corrected = self.linker.speller.corrected(mention.text)
        yield corrected
        yield from self._longer(text, mention, corrected)
        if match := _METASTASIS.match(corrected):
            yield f"secondary malignant neoplasm of {_SIDE_WORDS.sub('', match[1] or match[2])}"
        plain = _SIDE_WORDS.sub("", corrected).strip()
        if plain:
            yield plain
        for other in mentions[max(0, index - 1) : index + 2]:
            if other.span.type is EntityType.ANATOMY and other.sentence == mention.sentence:
                first, second = sorted((mention, other), key=lambda m: m.span.start)
                between = text[first.span.end : second.span.start]
                if first.span.end <= second.span.start and _BETWEEN.fullmatch(between):
                    joint = self.linker.speller.corrected(f"{first.text} {between.strip()} {second.text}")
                    joint = " ".join(_SIDE_WORDS.sub("", _vertebrae(joint)).split())
                    yield joint

    def _longer(self, text: str, mention: Mention, corrected: str) -> Iterator[str]:
        """The mention with the word or two before it, where that is a name: "seropositive", "post-traumatic"."""
        before = _BEFORE.search(text[mention.sentence.start : mention.span.start])
        if before is None:
            return
        taken = before.group().split()
        for count in range(1, len(taken) + 1):
            longer = self.linker.speller.corrected(f"{' '.join(taken[-count:])} {corrected}")
            found = self.linker.lookup.find(longer)
            if found and found[0].kind in _NAMED and not found[0].guessed:
                yield longer

    def _specific(self, candidates: Sequence[CodeCandidate], said: Said, text: str) -> tuple[CodeCandidate, ...]:
        """The candidates as the note says them in particular, each code once."""
        best: dict[str, float] = {}
        for candidate in _fitting(candidates, said, text):
            if candidate.confidence >= WEAKEST_SUGGESTION:
                code = self._specifier.refine(candidate.code, said)
                code = self._pregnancy.code(code, said) or code
                code = self._specifier.by_rule(code, said)
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
    ) -> Iterator[_Entry]:
        for index, (mention, candidates, said) in enumerate(zip(mentions, suggestions, contexts, strict=True)):
            if not candidates or said is None or candidates[0].confidence < self.linker.threshold:
                continue
            first = candidates[0]
            code = self._coded(first.code, mention.assertion, note_type)
            if code is not None:
                assumed = code == first.code and not said.encounter_said
                yield _Entry(code, first.confidence, (index,), assumed)

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

    def _statuses(self, text: str, mentions: Sequence[Mention]) -> Iterator[_Entry]:
        """Codes of devices, lost organs, drugs and the like; the mention that holds the words is their evidence."""
        for match in statuses(text):
            index = next(
                (i for i, m in enumerate(mentions) if m.span.start < match.end and match.start < m.span.end), None
            )
            if self._holds(match, None if index is None else mentions[index]):
                side = side_of(text[max(0, match.start - 25) : match.end + 15])
                code = self.conventions.sided(match.code, side) if side else None
                yield _Entry(code or match.code, STATUS_CONFIDENCE, () if index is None else (index,))

    @staticmethod
    def _weeks(entries: Sequence[_Entry], text: str) -> list[_Entry]:
        """The weeks of gestation go with every code of chapter 15 but those of abortive outcomes."""
        pregnant = [entry for entry in entries if entry.code[0] == "O" and entry.code[:3] > "O08"]
        code = gestation_code(gestational_weeks(text) or 0)
        if not pregnant or code is None or any(entry.code.startswith("Z3A") for entry in entries):
            return []
        return [_Entry(code, STATUS_CONFIDENCE, pregnant[0].evidence)]

    @staticmethod
    def _holds(match: StatusMatch, mention: Mention | None) -> bool:
        assertion = mention.assertion if mention else Assertion()
        if assertion.certainty is not Certainty.AFFIRMED or assertion.experiencer is not Experiencer.PATIENT:
            return False
        past = match.cue is StatusCue.PAST and mention is not None
        historical = past and (
            assertion.temporality is Temporality.HISTORICAL or mention.sentence.section in _SURGICAL_SECTIONS
        )
        return match.said or historical

    def _combined(
        self, entries: Sequence[_Entry], mentions: Sequence[Mention], contexts: Sequence[Said | None]
    ) -> list[_Entry]:
        by_code = {entry.code: entry for entry in entries}

        def related(first: str, second: str) -> bool:
            sentences = [
                {mentions[i].sentence.start for i in by_code[c].evidence} for c in (first, second) if c in by_code
            ]
            return len(sentences) < 2 or not sentences[0].isdisjoint(sentences[1])

        result: list[_Entry] = []
        for combined in self._combinations.combine([entry.code for entry in entries], related):
            parts = [by_code[part] for part in combined.parts if part in by_code]
            evidence = tuple(dict.fromkeys(i for part in parts for i in part.evidence))
            confidence = max((part.confidence for part in parts), default=0.5)
            code = combined.code
            said = next((contexts[i] for i in evidence if contexts[i] is not None), None)
            if said is not None and code not in by_code:
                code = self._specifier.by_rule(code, said)
            assumed = any(part.encounter_assumed for part in parts)
            result.append(_Entry(code, confidence, tuple(sorted(evidence)), assumed))
        return _merged(result)

    def _listed(self, entries: Sequence[_Entry]) -> Iterator[NoteCode]:
        """Flags, and the order of the list: what must be first, then what is sure, then the order of the note."""
        kept = [entry for entry in entries if not self._said_better(entry, entries)]
        codes = [entry.code for entry in kept]
        ordered = sorted(
            kept, key=lambda entry: (self._rank(entry.code, codes), entry.confidence < _SURE, entry.evidence)
        )
        for entry in ordered:
            yield NoteCode(
                entry.code,
                self.terminology.title(entry.code),
                entry.confidence,
                entry.evidence,
                tuple(self._flags(entry, codes)),
            )

    def _said_better(self, entry: _Entry, entries: Sequence[_Entry]) -> bool:
        """Whether another code of the same category says more, where this one says that nothing more is known."""
        code = entry.code
        if code.startswith(_ANY_INJURY) and any(
            other.code[0] in "ST" and not other.code.startswith(_ANY_INJURY) for other in entries
        ):
            return True
        if not self.conventions.is_unspecified(code) and "without complications" not in self.terminology.title(code):
            return False
        return any(
            other.code != code
            and other.code[:3] == code[:3]
            and not self.conventions.is_unspecified(other.code)
            and "without complications" not in self.terminology.title(other.code)
            and (len(code) < 8 or other.code[-1] == code[-1])
            and code[0] not in "ST"
            for other in entries
        )

    def _rank(self, code: str, codes: Sequence[str]) -> int:
        """0 for what stands first: conditions; then what follows from them, symptoms, and last what is only so."""
        if code[0] == "O":
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

    def _flags(self, entry: _Entry, codes: Sequence[str]) -> Iterator[str]:
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


def _vertebrae(text: str) -> str:
    """ "fracture of L1" → "fracture of first lumbar vertebra"."""

    def written(match: re.Match[str]) -> str:
        number = int(match[2])
        return f"{_ORDINALS[number - 1]} {_REGIONS[match[1]]} vertebra" if 1 <= number <= 12 else match.group()

    return _VERTEBRA.sub(written, text)


def _fitting(candidates: Sequence[CodeCandidate], said: Said, sentence: str) -> list[CodeCandidate]:
    """Candidates that fit whom and what the note is about, as likely as they are; the others far behind.

    Chapter 15 is for the pregnant, chapter 16 for the newborn, and a fracture is an injury unless the note says that bone
    gave way to disease or stress.
    """
    allowed = next((codes for pattern, codes in _NO_TRAUMA if pattern.search(sentence)), None)
    is_fracture = _FRACTURE.search(sentence) is not None
    fitting = []
    for candidate in candidates:
        code, odd = candidate.code, False
        if code[0] == "O":
            odd = not said.pregnant and candidate.confidence < _SURE
        elif code[0] == _CHILDHOOD:
            odd = not said.newborn
        elif is_fracture and allowed is None:
            odd = code.startswith(("M84", "M80", "M48.5"))
        elif is_fracture and allowed is not None and code[0] == "S":
            odd = True
        fitting.append(replace(candidate, confidence=candidate.confidence * _ODD) if odd else candidate)
    return sorted(fitting, key=lambda candidate: -candidate.confidence)


def _best_wording(rankings: Sequence[tuple[CodeCandidate, ...]]) -> tuple[CodeCandidate, ...]:
    """The ranking of the wording that says most, unless one that says less is clearly surer."""
    surest = max((ranking[0].confidence for ranking in rankings if ranking), default=0.0)
    sure = [ranking for ranking in rankings if ranking and ranking[0].confidence >= _NEARLY * surest]
    return sure[-1] if sure else ()


def _is_disease(mention: Mention) -> bool:
    return mention.span.type is EntityType.DIAGNOSIS


def _merged(entries: Sequence[_Entry]) -> list[_Entry]:
    """Each code once, with all that gave it and the highest of the confidences."""
    merged: dict[str, _Entry] = {}
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

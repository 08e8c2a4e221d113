"""The note's own list of codes, from the codes of its entities.

A code stands on the list when a mention affirms that the patient has the condition now. What is denied, only possible,
hypothetical or another person's gives no condition code, and neither does a condition of the past: the classification
codes history with codes of its own.
"""

import re
from collections.abc import Iterator, Sequence

from clincode.labels import EntityType
from clincode.types import Certainty, CodeCandidate, Entity, Experiencer, NoteCode, Temporality

LEAST_CONFIDENCE = 0.25
"""A best candidate below this stays with its entity as a suggestion, and off the note's list."""

_UNSPECIFIED = re.compile(r"\b(?:unspecified|NOS)\b")
_SIDE_UNKNOWN = re.compile(
    r"\bunspecified (?:side|eye|ear|breast|female breast|male breast|lung|bronchus or lung|kidney|ovary|testis|limb|arm"
    r"|leg|(?:upper|lower) (?:arm|leg|limb|extremity)|extremity|shoulder|elbow|forearm|wrist|hand|finger|thumb|hip"
    r"|thigh|knee|ankle|foot|toe|great toe|femur|radius|ulna|humerus|tibia|fibula|clavicle|scapula|patella|eyelid)\b"
)
_ENCOUNTER = re.compile(r"\b(?:initial|subsequent) encounter\b|\bsequela\b")
_MANIFESTATION = "in diseases classified elsewhere"


def note_codes(entities: Sequence[Entity]) -> tuple[NoteCode, ...]:
    """Billable codes of what the patient has, the most confident first, then the first mentioned.

    Each code once, with the indices into ``entities`` of every mention that gave it, in their order, and the highest of
    their confidences. Flags say what a coder must look at: ``unspecified``; ``needs_laterality`` (the note must say
    which side); ``encounter_assumed`` (the 7th character was not read from the mention); ``manifestation`` (the
    underlying disease must be coded first).
    """
    best: dict[str, CodeCandidate] = {}
    evidence: dict[str, list[int]] = {}
    for index, entity in enumerate(entities):
        for candidate in _first_candidate(entity):
            known = best.get(candidate.code)
            if known is None or candidate.confidence > known.confidence:
                best[candidate.code] = candidate
            evidence.setdefault(candidate.code, []).append(index)
    codes = [
        NoteCode(
            code,
            best[code].description,
            best[code].confidence,
            tuple(indices),
            _flags(best[code], [entities[i] for i in indices]),
        )
        for code, indices in evidence.items()
    ]
    return tuple(sorted(codes, key=lambda code: (-code.confidence, code.evidence)))


def _first_candidate(entity: Entity) -> Iterator[CodeCandidate]:
    """The entity's first billable candidate, if the entity gives a condition code and the candidate is good enough."""
    assertion = entity.assertion
    codable = (
        entity.span.type is EntityType.DIAGNOSIS
        and assertion.certainty is Certainty.AFFIRMED
        and assertion.temporality is Temporality.CURRENT
        and assertion.experiencer is Experiencer.PATIENT
    )
    first = next((candidate for candidate in entity.icd_codes if candidate.billable), None) if codable else None
    if first is not None and first.confidence >= LEAST_CONFIDENCE:
        yield first


def _flags(candidate: CodeCandidate, mentions: Sequence[Entity]) -> tuple[str, ...]:
    title = candidate.description
    said = any(_ENCOUNTER.search(mention.text.lower()) for mention in mentions)
    flags = {
        "unspecified": _UNSPECIFIED.search(title) is not None,
        "needs_laterality": _SIDE_UNKNOWN.search(title) is not None,
        "encounter_assumed": _ENCOUNTER.search(title) is not None and not said,
        "manifestation": _MANIFESTATION in title,
    }
    return tuple(flag for flag, holds in flags.items() if holds)

"""Whether a code fits the patient and the note that it is for."""

import re
from collections.abc import Sequence
from dataclasses import replace

from clincode.icd.said import Said
from clincode.types import CodeCandidate

_ODD = 0.02
"""What is left of the confidence in a code that does not fit."""
_SURE = 0.5
_FRACTURE = re.compile(r"\bfractures?\b|\bfx\b", re.IGNORECASE)
_NO_TRAUMA: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"\b(?:stress|fatigue|march)\b", re.IGNORECASE), ("M84.3",)),
    (re.compile(r"\bosteopor\w+|\bfragility\b|\binsufficiency\b", re.IGNORECASE), ("M80", "M84.4", "M48.5", "M97")),
    (
        re.compile(r"\bpatholog\w+|\bmetasta\w+|\bmyeloma\b|\bneoplas\w+", re.IGNORECASE),
        ("M84.4", "M84.5", "M84.6", "M80"),
    ),
)


def fitting(candidates: Sequence[CodeCandidate], said: Said, sentence: str) -> list[CodeCandidate]:
    """Candidates that fit whom and what the note is about, as likely as they are; the others far behind.

    Chapter 15 is for the pregnant, chapter 16 for the newborn, and a fracture is an injury unless the note says that
    bone gave way to disease or stress.
    """
    allowed = next((codes for pattern, codes in _NO_TRAUMA if pattern.search(sentence)), None)
    is_fracture = _FRACTURE.search(sentence) is not None
    fitting = []
    for candidate in candidates:
        code, odd = candidate.code, False
        if code[0] == "O":
            odd = not said.pregnant and candidate.confidence < _SURE
        elif code[0] == "P":
            odd = not said.newborn
        elif is_fracture and allowed is None:
            odd = code.startswith(("M84", "M80", "M48.5"))
        elif is_fracture and allowed is not None and code[0] == "S":
            odd = True
        fitting.append(replace(candidate, confidence=candidate.confidence * _ODD) if odd else candidate)
    return sorted(fitting, key=lambda candidate: -candidate.confidence)

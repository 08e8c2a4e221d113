"""A note, the answer to it, and two coders."""

from datetime import UTC, datetime
from typing import Any

from gateway.security.permissions import PERMISSIONS, Principal, Role

TEXT = "Type 2 diabetes with kidney disease. Denies chest pain. 🩺 Metformin 500 mg. Father had colon cancer."
RECEIVED = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
MARIA = Principal("user:maria", Role.CODER, PERMISSIONS[Role.CODER])
JOHN = Principal("user:john", Role.CODER, PERMISSIONS[Role.CODER])


def _entity(words: str, kind: str = "DIAGNOSIS", **context: str) -> dict[str, Any]:
    start = TEXT.index(words)
    code = {"code": "E11.9", "description": "Type 2 diabetes mellitus without complications", "confidence": 0.9}
    return {
        "text": words,
        "type": kind,
        "start_char": start,
        "end_char": start + len(words),
        "confidence": 0.91,
        "icd_codes": [code] if kind == "DIAGNOSIS" else [],
        "section": None,
        "expansion": None,
        "certainty": "affirmed",
        "temporality": "current",
        "experiencer": "patient",
        **context,
    }


def make_answer() -> dict[str, Any]:
    codes = [("E11.22", 0.95, [0, 1], []), ("N18.9", 0.8, [1], ["unspecified"]), ("Z80.0", 0.6, [4], [])]
    return {
        "entities": [
            _entity("Type 2 diabetes"),
            _entity("kidney disease"),
            _entity("chest pain", certainty="negated"),
            _entity("Metformin 500 mg", "MEDICATION"),
            _entity("colon cancer", temporality="historical", experiencer="family"),
        ],
        "codes": [
            {"code": code, "description": f"title of {code}", "confidence": each, "evidence": evidence, "flags": flags}
            for code, each, evidence, flags in codes
        ],
        "redactions": [],
    }

"""A note, the answer to it, and what a coder decided; and what must come of it, written by hand."""

from datetime import UTC, datetime
from typing import Any

from gateway.security.permissions import PERMISSIONS, Principal, Role

TEXT = "Type 2 diabetes. Denies chest pain. Metformin 500 mg given.\n🩺 MRI of left knee normal."
ANSWERED = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
"""A Tuesday, of the week 2026-W48."""
V1, V2 = "bert-clinical-ner-v1.0.0", "bert-clinical-ner-v1.1.0"
MARIA = Principal("user:maria", Role.CODER, PERMISSIONS[Role.CODER])
JOHN = Principal("user:john", Role.CODER, PERMISSIONS[Role.CODER])


def place(words: str) -> tuple[int, int]:
    start = TEXT.index(words)
    return start, start + len(words)


def _entity(words: str, kind: str, certainty: str = "affirmed") -> dict[str, Any]:
    start, end = place(words)
    values = {"text": words, "type": kind, "start_char": start, "end_char": end, "confidence": 0.9}
    codes = [{"code": "E11.9", "description": "a title", "confidence": 0.8}] if words.startswith("Type") else []
    context = {"certainty": certainty, "temporality": "current", "experiencer": "patient"}
    return {**values, **context, "icd_codes": codes, "section": None, "expansion": None}


def make_answer(*, codes: bool = True) -> dict[str, Any]:
    suggested = [("E11.9", 0.95, [0]), ("R07.9", 0.6, [1]), ("Z79.84", 0.55, [2])] if codes else []
    return {
        "entities": [
            _entity("Type 2 diabetes", "DIAGNOSIS"),
            _entity("chest pain", "DIAGNOSIS", "negated"),
            _entity("Metformin 500 mg", "MEDICATION"),
            _entity("MRI", "TEST"),
            _entity("left knee", "ANATOMY"),
        ],
        "codes": [
            {"code": code, "description": f"title of {code}", "confidence": each, "evidence": evidence, "flags": []}
            for code, each, evidence in suggested
        ],
        "references": [],
        "redactions": [],
    }


def _at(words: str) -> dict[str, int]:
    return dict(zip(("start_char", "end_char"), place(words), strict=True))


DECISIONS: tuple[dict[str, Any], ...] = (
    {"kind": "accept_code", "code": "E11.9"},
    {"kind": "replace_code", "code": "R07.9", "new_code": "R07.89"},
    {"kind": "reject_code", "code": "Z79.84", "reason": "not_documented"},
    {"kind": "add_code", "code": "I10", "evidence": ["0"]},
    {"kind": "accept_entity", "entity": "0"},
    {"kind": "change_context", "entity": "1", "certainty": "possible"},
    {"kind": "reject_entity", "entity": "2"},
    {"kind": "change_span", "entity": "3", **_at("MRI of left knee")},
    {"kind": "add_entity", **_at("Metformin"), "type": "MEDICATION"},
    {"kind": "finish", "comment": "Seen by Dr. Miriam Goldberg on 03/04/2026."},
)
"""The fourth suggestion is widened over the fifth, which nobody decides."""
ACCEPTED: tuple[dict[str, Any], ...] = (
    *({"kind": "accept_code", "code": code} for code in ("E11.9", "R07.9", "Z79.84")),
    {"kind": "finish"},
)
"""The codes are right, the entities are left standing."""

"""What is taken for a decision, and what is kept of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from clincode.errors import RequestError
from gateway.review.decisions import AddCode, Made, RejectCode, RejectReason, parse_decision

GOOD: list[dict[str, Any]] = [
    {"kind": "accept_code", "code": "E11.9"},
    {"kind": "accept_code", "code": "I10"},
    {"kind": "accept_code", "code": "Z3A.20"},
    {"kind": "reject_code", "code": "E11.9"},
    {"kind": "reject_code", "code": "E11.9", "reason": "integral"},
    {"kind": "replace_code", "code": "S52.502A", "new_code": "S52.501A"},
    {"kind": "add_code", "code": "E11.9", "evidence": ["0", "12", "d7"]},
    {"kind": "accept_entity", "entity": "0"},
    {"kind": "reject_entity", "entity": "31"},
    {"kind": "change_span", "entity": "d3", "start_char": 0, "end_char": 4},
    {"kind": "change_type", "entity": "3", "type": "TEST"},
    {"kind": "add_entity", "start_char": 3, "end_char": 9, "type": "DIAGNOSIS"},
    {"kind": "change_context", "entity": "3", "certainty": "negated", "experiencer": "family"},
    {"kind": "clear", "target": "code:E11.9"},
    {"kind": "clear", "target": "entity:d3"},
    {"kind": "finish", "comment": "a word to the next"},
    {"kind": "finish"},
    {"kind": "reopen"},
]
BAD: list[tuple[object, str]] = [
    (None, "decision.kind"),
    ([], "decision.kind"),
    ({}, "decision.kind"),
    ({"kind": "burn"}, "decision.kind"),
    ({"kind": "accept_code"}, "decision.code"),
    ({"kind": "accept_code", "code": "e11.9"}, "decision.code"),
    ({"kind": "accept_code", "code": "E11.9", "note": "x"}, "decision.note"),
    ({"kind": "reject_code", "code": "E11.9", "reason": "patient said so"}, "decision.reason"),
    ({"kind": "add_code", "code": "E11.9", "evidence": [3]}, "decision.evidence.0"),
    ({"kind": "accept_entity", "entity": 3}, "decision.entity"),
    ({"kind": "accept_entity", "entity": "d0"}, "decision.entity"),
    ({"kind": "accept_entity", "entity": "01"}, "decision.entity"),
    ({"kind": "change_span", "entity": "3", "start_char": -1, "end_char": 4}, "decision.start_char"),
    ({"kind": "change_span", "entity": "3", "start_char": 1.0, "end_char": 4}, "decision.start_char"),
    ({"kind": "change_span", "entity": "3", "start_char": True, "end_char": 4}, "decision.start_char"),
    ({"kind": "change_type", "entity": "3", "type": "SYMPTOM"}, "decision.type"),
    ({"kind": "change_context", "entity": "3", "certainty": "maybe"}, "decision.certainty"),
    ({"kind": "clear", "target": "note:3"}, "decision.target"),
    ({"kind": "finish", "comment": "x" * 2001}, "decision.comment"),
]


@pytest.mark.parametrize("value", GOOD, ids=lambda value: str(value["kind"]))
def test_what_is_sent_is_kept(value: dict[str, Any]) -> None:
    made = Made(7, "user:maria", datetime(2026, 11, 26, tzinfo=UTC), parse_decision(value), "A title", "TEST")
    row = made.to_row("n")
    assert (row.number, row.kind, row.by) == (7, value["kind"], "user:maria")
    assert {name: row.body[name] for name in value} == value
    assert Made.from_row(row) == made


@pytest.mark.parametrize(("value", "field"), BAD)
def test_what_does_not_fit_is_refused_by_field_and_not_quoted(value: object, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_decision(value)
    assert caught.value.status == 422
    assert caught.value.body.field == field
    assert "patient said so" not in str(caught.value)


def test_the_reason_is_one_of_the_list() -> None:
    decision = parse_decision({"kind": "reject_code", "code": "E11.9", "reason": "duplicate"})
    assert decision == RejectCode(code="E11.9", reason=RejectReason.DUPLICATE)


def test_evidence_may_be_left_out() -> None:
    assert parse_decision({"kind": "add_code", "code": "I10"}) == AddCode(code="I10", evidence=[])

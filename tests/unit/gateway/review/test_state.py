"""What decisions make of the model's answer, and which can be made."""

from collections.abc import Callable
from typing import Any

import pytest
from review_samples import TEXT

from clincode.errors import ClincodeError
from gateway.review.checks import check
from gateway.review.decisions import parse_decision
from gateway.review.state import ReviewState

After = Callable[..., ReviewState]
D = dict[str, Any]


def _code(kind: str, code: str = "E11.22", **more: Any) -> D:
    return {"kind": kind, "code": code, **more}


def _entity(kind: str, entity: str = "0", **more: Any) -> D:
    return {"kind": kind, "entity": entity, **more}


ACCEPT_ALL = [_code("accept_code", code) for code in ("E11.22", "N18.9", "Z80.0")]

CODES: list[tuple[list[D], str, list[str]]] = [
    # decisions, verdict of E11.22, final codes
    ([], "undecided", []),
    ([_code("accept_code")], "accepted", ["E11.22"]),
    ([_code("reject_code", reason="duplicate")], "rejected", []),
    ([_code("replace_code", new_code="E11.21")], "replaced", ["E11.21"]),
    ([_code("replace_code", new_code="E11.21"), _code("accept_code")], "accepted", ["E11.22"]),
    ([_code("accept_code"), {"kind": "clear", "target": "code:E11.22"}], "undecided", []),
    ([_code("add_code", "I10")], "undecided", ["I10"]),
    ([_code("add_code", "I10"), {"kind": "clear", "target": "code:I10"}], "undecided", []),
    ([*ACCEPT_ALL, _code("replace_code", new_code="N18.9")], "replaced", ["N18.9", "Z80.0"]),
]


@pytest.mark.parametrize(("decisions", "verdict", "final"), CODES)
def test_codes(after: After, decisions: list[D], verdict: str, final: list[str]) -> None:
    state = after(*decisions)
    code = state.code("E11.22")
    assert code is not None
    assert code.verdict == verdict
    assert [each.code for each in state.final_codes] == final


def test_a_replaced_code_keeps_the_suggestion_and_its_evidence(after: After) -> None:
    code = after(_code("replace_code", new_code="E11.21")).code("E11.22")
    assert code is not None
    assert (code.description, code.evidence) == ("title of E11.22", ("0", "1"))
    assert (code.replaced_by, code.new_description, code.decided_by) == ("E11.21", "a new title", "user:maria")
    final = after(_code("replace_code", new_code="E11.21")).final_codes[0]
    assert (final.suggested, final.evidence) == ("E11.22", ("0", "1"))


def test_evidence_that_was_taken_back_is_gone(after: After) -> None:
    add = {"kind": "add_entity", "start_char": 56, "end_char": 57, "type": "TEST"}
    state = after(add, _code("add_code", "I10", evidence=["0", "d1", "0"]))
    assert state.codes[-1].evidence == ("0", "d1")
    state = after(add, _code("add_code", "I10", evidence=["0", "d1", "0"]), {"kind": "clear", "target": "entity:d1"})
    assert state.codes[-1].evidence == ("0",)


ENTITIES: list[tuple[list[D], str, str, str, str]] = [
    # decisions, verdict of the first entity, its text, type and certainty
    ([], "undecided", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ([_entity("accept_entity")], "accepted", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ([_entity("reject_entity")], "rejected", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ([_entity("change_span", start_char=7, end_char=15)], "corrected", "diabetes", "DIAGNOSIS", "affirmed"),
    ([_entity("change_type", type="TEST")], "corrected", "Type 2 diabetes", "TEST", "affirmed"),
    ([_entity("change_context", certainty="possible")], "corrected", "Type 2 diabetes", "DIAGNOSIS", "possible"),
    (
        [_entity("change_type", type="TEST"), _entity("change_span", start_char=7, end_char=15)],
        *("corrected", "diabetes", "TEST", "affirmed"),
    ),
    (
        [_entity("change_type", type="TEST"), _entity("change_type", type="DIAGNOSIS")],
        *("accepted", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ),
    (
        [_entity("change_type", type="TEST"), _entity("accept_entity")],
        *("accepted", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ),
    (
        [_entity("change_type", type="TEST"), {"kind": "clear", "target": "entity:0"}],
        *("undecided", "Type 2 diabetes", "DIAGNOSIS", "affirmed"),
    ),
]


@pytest.mark.parametrize(("decisions", "verdict", "text", "kind", "certainty"), ENTITIES)
def test_entities(after: After, decisions: list[D], verdict: str, text: str, kind: str, certainty: str) -> None:
    entity = after(*decisions).entities[0]
    assert (entity.verdict, entity.text, entity.type, entity.certainty) == (verdict, text, kind, certainty)
    assert (entity.suggested.start, entity.suggested.end, entity.suggested.type) == (0, 15, "DIAGNOSIS")


def test_an_added_entity_has_the_key_of_its_decision_and_counts_code_points(after: After) -> None:
    start = TEXT.index("500")
    state = after(
        _code("accept_code"), {"kind": "add_entity", "start_char": start, "end_char": start + 6, "type": "TEST"}
    )
    added = state.entity("d2")
    assert added is not None
    assert (added.text, added.origin, added.verdict, added.confidence) == ("500 mg", "added", "accepted", None)
    assert [entity.key for entity in state.final_entities] == ["0", "1", "2", "3", "d2", "4"]


def test_rejected_entities_are_not_final(after: After) -> None:
    assert [entity.key for entity in after(_entity("reject_entity", "2")).final_entities] == ["0", "1", "3", "4"]


def test_finished_and_reopened(after: After) -> None:
    state = after(*ACCEPT_ALL, {"kind": "finish", "comment": "done"})
    assert (state.finished, state.comment, state.version) == (True, "done", 4)
    assert not after(*ACCEPT_ALL, {"kind": "finish"}, {"kind": "reopen"}).finished


REFUSED: list[tuple[list[D], D, str, str | None]] = [
    # decisions before, decision, error code, field
    ([], _code("accept_code", "I10"), "unknown_code", "decision.code"),
    ([], _code("replace_code", new_code="E11"), "not_billable", "decision.new_code"),
    ([], _code("replace_code", new_code="E11.22"), "same_code", "decision.new_code"),
    ([], _code("add_code", "E11"), "not_billable", "decision.code"),
    ([], _code("add_code", "E11.22"), "already_listed", "decision.code"),
    ([], _code("add_code", "I10", evidence=["9"]), "unknown_entity", "decision.evidence"),
    ([_code("add_code", "I10")], _code("reject_code", "I10"), "not_suggested", "decision.code"),
    ([], _entity("accept_entity", "5"), "unknown_entity", "decision.entity"),
    ([], _entity("accept_entity", "d1"), "unknown_entity", "decision.entity"),
    ([], _entity("change_span", start_char=5, end_char=5), "span_empty", "decision.end_char"),
    ([], _entity("change_span", start_char=6, end_char=5), "span_empty", "decision.end_char"),
    ([], _entity("change_span", start_char=6, end_char=7), "span_empty", "decision.start_char"),
    ([], _entity("change_span", start_char=0, end_char=len(TEXT) + 1), "span_out_of_range", "decision.end_char"),
    ([], _entity("change_span", start_char=0, end_char=15), "nothing_changes", "decision.start_char"),
    ([], _entity("change_type", type="DIAGNOSIS"), "nothing_changes", "decision.type"),
    ([], _entity("change_context"), "nothing_changes", "decision.certainty"),
    ([], _entity("change_context", experiencer="patient"), "nothing_changes", "decision.experiencer"),
    (
        [],
        {"kind": "add_entity", "start_char": 0, "end_char": 15, "type": "DIAGNOSIS"},
        *("already_there", "decision.start_char"),
    ),
    (
        [{"kind": "add_entity", "start_char": 0, "end_char": 4, "type": "TEST"}],
        _entity("reject_entity", "d1"),
        *("not_suggested", "decision.entity"),
    ),
    ([], {"kind": "clear", "target": "code:I10"}, "unknown_target", "decision.target"),
    ([], {"kind": "clear", "target": "entity:77"}, "unknown_target", "decision.target"),
    ([], {"kind": "finish"}, "codes_undecided", "decision.kind"),
    (ACCEPT_ALL[:2], {"kind": "finish"}, "codes_undecided", "decision.kind"),
    ([], {"kind": "reopen"}, "review_not_finished", None),
    ([*ACCEPT_ALL, {"kind": "finish"}], _code("accept_code"), "review_finished", None),
    ([*ACCEPT_ALL, {"kind": "finish"}], {"kind": "finish"}, "review_finished", None),
]


@pytest.mark.parametrize(("before", "decision", "code", "field"), REFUSED)
def test_refused(after: After, before: list[D], decision: D, code: str, field: str | None) -> None:
    with pytest.raises(ClincodeError) as caught:
        check(parse_decision(decision), after(*before), TEXT, lambda code: len(code) > 3 or code == "I10")
    assert (caught.value.body.code, caught.value.body.field) == (code, field)
    assert caught.value.status == (422 if field else 409)


_TEST = {"kind": "add_entity", "start_char": 0, "end_char": 4, "type": "TEST"}
ALLOWED: list[tuple[list[D], D]] = [
    ([_entity("reject_entity")], {**_TEST, "end_char": 15, "type": "DIAGNOSIS"}),
    ([_TEST], _entity("change_type", "d1", type="ANATOMY")),
    (ACCEPT_ALL, {"kind": "finish"}),
    ([*ACCEPT_ALL, {"kind": "finish"}], {"kind": "reopen"}),
    ([_code("accept_code")], _code("accept_code")),
]


@pytest.mark.parametrize(("before", "decision"), ALLOWED)
def test_allowed(after: After, before: list[D], decision: D) -> None:
    check(parse_decision(decision), after(*before), TEXT, lambda _: True)

"""Whether a decision can be made where a review stands."""

from collections.abc import Callable

from clincode.errors import RequestError
from gateway.errors import conflict
from gateway.review.decisions import (
    AcceptCode,
    AcceptEntity,
    AddCode,
    AddEntity,
    ChangeContext,
    ChangeSpan,
    ChangeType,
    Clear,
    Decision,
    Finish,
    OfEntity,
    RejectCode,
    RejectEntity,
    Reopen,
    ReplaceCode,
)
from gateway.review.state import ReviewedEntity, ReviewState


def check(decision: Decision, state: ReviewState, text: str, is_billable: Callable[[str], bool]) -> None:
    """Let a decision pass, or say what is wrong with it. ``is_billable`` is false of a code that does not exist too.

    Raises:
        RequestError: 422, naming the field at fault.
        GatewayError: 409 ``review_finished`` or ``review_not_finished``.
    """
    if isinstance(decision, Reopen):
        if not state.finished:
            raise conflict("review_not_finished", "the review is not finished")
        return
    if state.finished:
        raise conflict("review_finished", "the review is finished; reopen it first")
    match decision:
        case AcceptCode() | RejectCode() | ReplaceCode() | AddCode():
            _check_code(decision, state, is_billable)
        case AddEntity(start_char=start, end_char=end, type=kind):
            _check_span(start, end, text)
            if any((e.start, e.end, e.type) == (start, end, kind) for e in state.final_entities):
                raise _refused("already_there", "there is such an entity already", "start_char")
        case Clear():
            if _is_unknown(decision, state):
                raise _refused("unknown_target", "there is no such code or entity on this note", "target")
        case Finish():
            left = len(state.undecided_codes)
            if left:
                raise RequestError("codes_undecided", f"{left} of the suggested codes are not decided", "decision.kind")
        case _:
            _check_entity(decision, state, text)


def _is_unknown(decision: Clear, state: ReviewState) -> bool:
    if decision.code is not None:
        return state.code(decision.code) is None
    return decision.entity is None or state.entity(decision.entity) is None


def _check_code(
    decision: AcceptCode | RejectCode | ReplaceCode | AddCode, state: ReviewState, is_billable: Callable[[str], bool]
) -> None:
    known = state.code(decision.code)
    if isinstance(decision, AddCode):
        if known is not None:
            raise _refused("already_listed", "the code is on this note's list already", "code")
        _check_billable(decision.code, "code", is_billable)
        for key in decision.evidence:
            _known_entity(key, state, "evidence")
        return
    if known is None:
        raise _refused("unknown_code", "the code is not on this note's list", "code")
    if known.origin == "added":
        raise _refused("not_suggested", "a coder added the code: take it back instead", "code")
    if isinstance(decision, ReplaceCode):
        if decision.new_code == decision.code:
            raise _refused("same_code", "a code cannot replace itself", "new_code")
        _check_billable(decision.new_code, "new_code", is_billable)


def _check_entity(decision: OfEntity, state: ReviewState, text: str) -> None:
    entity = _known_entity(decision.entity, state, "entity")
    if entity.origin == "added" and isinstance(decision, AcceptEntity | RejectEntity):
        raise _refused("not_suggested", "a coder added the entity: take it back instead", "entity")
    if isinstance(decision, ChangeSpan):
        _check_span(decision.start_char, decision.end_char, text)
    _check_changes(decision, entity)


def _check_billable(code: str, field: str, is_billable: Callable[[str], bool]) -> None:
    if not is_billable(code):
        raise _refused("not_billable", "the code does not exist in the loaded year, or is not billable", field)


def _known_entity(key: str, state: ReviewState, field: str) -> ReviewedEntity:
    entity = state.entity(key)
    if entity is None:
        raise _refused("unknown_entity", "there is no such entity on this note", field)
    return entity


def _check_span(start: int, end: int, text: str) -> None:
    if end > len(text):
        raise _refused("span_out_of_range", f"the note has {len(text)} characters", "end_char")
    if start >= end:
        raise _refused("span_empty", "the end must lie behind the start", "end_char")
    if not text[start:end].strip():
        raise _refused("span_empty", "the span holds nothing but spaces", "start_char")


def _check_changes(decision: Decision, entity: ReviewedEntity) -> None:
    """A change that changes nothing is refused, so that what is kept as a correction is one."""
    now = entity.values
    match decision:
        case ChangeSpan(start_char=start, end_char=end):
            field, same = "start_char", (start, end) == (now.start, now.end)
        case ChangeType(type=kind):
            field, same = "type", kind == now.type
        case ChangeContext() as change:
            asked = {
                "certainty": change.certainty,
                "temporality": change.temporality,
                "experiencer": change.experiencer,
            }
            field = next((name for name, value in asked.items() if value), "certainty")
            same = all(value in (None, getattr(now, name)) for name, value in asked.items())
        case _:
            return
    if same:
        raise _refused("nothing_changes", "the entity has that already", field)


def _refused(code: str, message: str, field: str) -> RequestError:
    return RequestError(code, message, f"decision.{field}")

"""The pages under ``/review``: worklist, note and overview, and what their scripts ask for."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from clincode.errors import ClincodeError, RequestError
from gateway.errors import GatewayError
from gateway.review.decisions import AddEntity, Decision, Finish, Reopen, parse_decision
from gateway.review.store import ChangedMeanwhileError, CodePicker, NoteReview, ReviewStore
from gateway.review.worklist import Filters, Stage
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.web import charts, note_view, words
from gateway.web.pages import HEADERS, mount_static, page, render

__all__ = ["mount_static", "router"]

REVIEWER = require(Permission.REVIEW)
OVERSEER = require(Permission.OVERVIEW)
Reviewer = Annotated[Principal, REVIEWER]
Overseer = Annotated[Principal, OVERSEER]
_PERIODS = (7, 30, 90)
_MOST_HITS = 20
_LONGEST_QUERY = 200

router = APIRouter(prefix="/review", include_in_schema=False)


def _review(request: Request) -> ReviewStore:
    return cast(ReviewStore, request.app.state.services.review)


@router.get("")
def worklist(
    request: Request,
    principal: Reviewer,
    stage: str = "todo",
    department: str = "",
    above: str = "",
    below: str = "",
    number: Annotated[int, Query(alias="page")] = 1,
) -> Response:
    """A filter that does not fit is left out: the form shows which hold."""
    known = cast(Stage, stage if stage in words.STAGE_FILTERS else "todo")
    department = _storable(department)
    filters = Filters(known, department or None, below=_share(below), above=_share(above))
    store = _review(request)
    found = store.worklist(filters, number)
    asked = {"stage": known, "department": department, "above": filters.above, "below": filters.below}
    query = {name: value for name, value in asked.items() if value not in (None, "")}
    return page(
        *(request, "worklist.html", principal),
        found=found,
        filters=filters,
        query=query,
        departments=store.departments(),
    )


@router.get("/next")
def next_note(request: Request, principal: Reviewer, after: str = "") -> Response:
    note_id = _review(request).next_note(principal, _storable(after) or None)
    return RedirectResponse(f"/review/notes/{note_id}" if note_id else "/review", status_code=303)


@router.get("/overview")
def overview(request: Request, principal: Overseer, days: int = 30) -> Response:
    days = days if days in _PERIODS else 30
    store = _review(request)
    found = store.overview(days)
    return page(
        *(request, "overview.html", principal),
        found=found,
        days=days,
        periods=_PERIODS,
        charts=charts,
        titles=_titles(request, [code.name for code in found.codes]),
        set_aside=store.set_aside() if principal.may(Permission.JOBS) else (),
    )


@router.get("/codes", dependencies=[REVIEWER])
def codes(request: Request, q: Annotated[str, Query(max_length=_LONGEST_QUERY)] = "") -> Response:
    """Codes for what somebody types; those of no use for a claim are among them, for the way leads through them."""
    picker = cast(CodePicker, request.app.state.services.codes)
    hits = picker.search(q, limit=_MOST_HITS) if q.strip() else []
    shown = [{name: hit.get(name) for name in ("code", "title", "term", "billable")} for hit in hits]
    return JSONResponse({"codes": shown}, headers=HEADERS)


@router.get("/notes/{note_id}")
def note(request: Request, principal: Reviewer, note_id: str) -> Response:
    try:
        review = _review(request).open(note_id, principal)
    except GatewayError as error:
        return page(request, "error.html", principal, status=error.status, message=error.body.message)
    return page(request, "note.html", principal, **note_view.values(review, principal))


@router.get("/notes/{note_id}/entities/{key}", dependencies=[REVIEWER])
def entity(request: Request, note_id: str, key: str) -> Response:
    """What the page shows of one entity. Belongs to a page that was opened, and audited, before."""
    try:
        review = _review(request).read(note_id)
    except GatewayError as error:
        return _refusal(error)
    found = note_view.entity_html(review, key)
    if found is None:
        return _refusal(RequestError("unknown_entity", "there is no such entity on this note", "entity", status=404))
    return JSONResponse({"version": review.state.version, "entity": found}, headers=HEADERS)


@router.post("/notes/{note_id}/decisions")
def decide(request: Request, principal: Reviewer, note_id: str, body: Annotated[Any, Body()]) -> Response:
    """``{"version": 3, "decision": {…}, "selected": "12"}`` → the parts of the page that changed. ``selected`` is the
    entity that the page shows, which may be left out."""
    store = _review(request)
    try:
        version, decision, selected = _asked(body)
        made = store.decide(note_id, principal, decision, version)
        review = store.read(note_id)
    except ClincodeError as error:
        return _refusal(error)
    return JSONResponse(
        {
            "version": review.state.version,
            "finished": review.state.finished,
            "parts": _parts(review, decision, f"d{made.version}" if isinstance(decision, AddEntity) else selected),
        },
        headers=HEADERS,
    )


def _asked(body: object) -> tuple[int, Decision, str | None]:
    if not isinstance(body, dict):
        raise RequestError("not_an_object", "the body must be a JSON object")
    if unknown := set(body) - {"version", "decision", "selected"}:
        raise RequestError("unknown_field", "there is no such field", _printable(min(unknown)))
    version, selected = body.get("version"), body.get("selected")
    if type(version) is not int or version < 0:
        raise RequestError("int_type", "must be a number of a decision, or 0", "version")
    if selected is not None and not isinstance(selected, str):
        raise RequestError("string_type", "must be an entity's key", "selected")
    return version, parse_decision(body.get("decision")), selected


def _parts(review: NoteReview, decision: Decision, selected: str | None) -> dict[str, str]:
    values = note_view.values(review, None)
    parts = {"codes": render("codes.html", **values), "progress": render("progress.html", **values)}
    whole = isinstance(decision, Finish | Reopen)
    if whole or note_view.changes_note(decision):
        parts["note"] = str(values["note_html"])
    if isinstance(decision, Finish | Reopen):
        parts["banner"] = render("banner.html", **values)
    shown = note_view.entity_html(review, selected) if selected is not None else None
    parts["entity"] = shown or render("no_entity.html")
    return parts


def _refusal(error: ClincodeError) -> Response:
    content: dict[str, Any] = dict(error.body.to_dict())
    if isinstance(error, ChangedMeanwhileError):
        content |= {"by": words.person(error.by), "version": error.version}
    return JSONResponse(content, status_code=error.status, headers=HEADERS)


def _storable(text: str) -> str:
    """What PostgreSQL does not take is nobody's department or id."""
    return "" if "\x00" in text else text


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:64]


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _titles(request: Request, codes: list[str]) -> Mapping[str, str]:
    picker = cast(CodePicker, request.app.state.services.codes)
    return {code: picker.describe(code) or "" for code in codes}

"""``/notes``: notes are stored first and predicted later; nothing that was accepted is lost."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from clincode.errors import RequestError
from clincode.request import parse_request
from clincode.types import Note
from gateway.api.bodies import json_object
from gateway.api.predict import EXAMPLE
from gateway.api.responses import Json
from gateway.api.schemas import JobList, JobResponse, OriginalResponse, faults, json_body, predict_schema
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.serving.webhooks import check_webhook_url
from gateway.storage.notes import Intake
from gateway.storage.tables import JobState, NoteRow

router = APIRouter(tags=["notes"])
_WEBHOOK = {"anyOf": [{"type": "string", "maxLength": 2000}, {"type": "null"}], "default": None}


@router.post(
    "/notes",
    status_code=202,
    response_model=JobResponse,
    responses=faults(400, 409, 413, 415, 422),
    openapi_extra=json_body(predict_schema(webhook_url=_WEBHOOK), EXAMPLE),
)
async def post_note(request: Request, principal: Annotated[Principal, require(Permission.NOTES_WRITE)]) -> Json:
    """Store a note and predict it when its turn comes. Poll ``url`` for the result, or name a ``webhook_url``, which
    is told when it is there. The same note again finds the same job."""
    content = await json_object(request)
    webhook_url = content.pop("webhook_url", None)
    note = parse_request(content)
    services: Services = request.app.state.services
    if webhook_url is not None:
        if not isinstance(webhook_url, str):
            raise RequestError("string_type", "'webhook_url' must be a string", "webhook_url")
        check_webhook_url(webhook_url, services.settings.webhook_hosts)
    row = await taken_in(services, note, Intake("notes", principal, webhook_url=webhook_url))
    return accepted(row)


async def taken_in(services: Services, note: Note, intake: Intake) -> NoteRow:
    """The row of a note that is stored now; the worker knows of it."""
    row = await run_in_threadpool(services.notes.accept, note, intake)
    services.worker.ring()
    return row


def accepted(row: NoteRow) -> Json:
    body = job(row)
    return Json(body, status_code=202, headers={"Location": body["url"]})


def job(row: NoteRow) -> dict[str, Any]:
    """A note's row as ``JobResponse``."""
    return {
        "note_id": row.sent_id,
        "state": row.state,
        "url": f"/api/v1/notes/{row.id}",
        "attempts": row.attempts,
        "error": row.error,
        "received_at": row.received_at,
        "answered_at": row.answered_at,
        "review_state": row.review_state,
        "result": row.answer,
    }


@router.get("/notes/{note_id}", response_model=JobResponse, responses=faults(404))
def get_note(request: Request, note_id: str, _: Annotated[Principal, require(Permission.NOTES_READ)]) -> Json:
    """Where a note stands, and its result once it is done."""
    services: Services = request.app.state.services
    return Json(job(services.notes.get(note_id)))


@router.get("/notes", response_model=JobList, responses=faults(422))
def list_notes(
    request: Request,
    _: Annotated[Principal, require(Permission.JOBS)],
    state: Literal["queued", "running", "done", "dead"] = "dead",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Json:
    """Notes in a state, oldest first: by default those that were given up and wait for a person."""
    services: Services = request.app.state.services
    rows, total = services.notes.listed(JobState(state), limit=limit, offset=offset)
    return Json({"notes": [job(row) for row in rows], "total": total})


@router.post("/notes/{note_id}/requeue", status_code=202, response_model=JobResponse, responses=faults(404, 409))
async def requeue(request: Request, note_id: str, principal: Annotated[Principal, require(Permission.JOBS)]) -> Json:
    """Give a note that was given up another round of tries."""
    services: Services = request.app.state.services
    row = await run_in_threadpool(services.notes.requeue, note_id, principal)
    services.worker.ring()
    return accepted(row)


@router.get("/notes/{note_id}/original", response_model=OriginalResponse, responses=faults(404))
def original(request: Request, note_id: str, principal: Annotated[Principal, require(Permission.ORIGINAL)]) -> Json:
    """The note as it was sent, where this deployment keeps it; that it was read stands in the audit log."""
    services: Services = request.app.state.services
    return Json({"note_id": note_id, "note_text": services.notes.original(note_id, principal)})

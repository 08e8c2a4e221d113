"""``/predict`` and ``/predict/batch``: a client waits for the answer."""

import asyncio
import time
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool

from clincode.errors import ClincodeError, ErrorBody, RequestError
from clincode.request import parse_json, parse_request
from clincode.types import Note
from gateway.api.bodies import checked_media_type
from gateway.api.responses import Json
from gateway.api.schemas import BatchResponse, PredictResponse, faults, json_body, predict_schema
from gateway.log import place_of
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.serving.failures import keep_failure
from gateway.serving.scheduler import Priority, deadline_exceeded
from gateway.storage.answers import Answer, with_texts_of
from gateway.storage.notes import Intake

log = structlog.get_logger(__name__)
router = APIRouter(tags=["predict"])
Predicting = Annotated[Principal, require(Permission.PREDICT)]
LONGEST_MS = 600_000
# Described in docs/gateway.md: in OpenAPI, tools that try values out would take the 504 that they ask for for a fault.
Deadline = Annotated[int, Header(alias="X-Deadline-Ms", ge=1, le=LONGEST_MS, include_in_schema=False)]
MAX_BATCH_BYTES = 8 << 20
_UNDER_WAY: "set[asyncio.Task[tuple[Answer, str]]]" = set()
"""The event loop itself does not keep a task alive."""

EXAMPLE = {
    "note_id": "3f2b8c1e-5d7a-4e0b-9c6f-2a1d4b8e7f90",
    "note_text": "ASSESSMENT: Acute myocardial infarction. Denies dyspnea. Started metoprolol 25mg daily.",
    "note_type": "progress_note",
}
# One that does not fit has its error in its own place, and the batch is taken all the same.
_ANY_NOTE = {"anyOf": [predict_schema(), {}]}


@router.post(
    "/predict",
    response_model=PredictResponse,
    responses=faults(400, 409, 413, 415, 422, 500, 503, 504),
    openapi_extra=json_body(predict_schema(), EXAMPLE),
)
async def predict(request: Request, principal: Predicting, deadline: Deadline = LONGEST_MS) -> Json:
    """Entities, context and codes of a note. The same ``note_id`` with the same text gets the stored answer; with
    another text it is refused (409). Urgent notes overtake waiting ones."""
    checked_media_type(request)
    note = parse_request(await request.body())
    answer, timing = await answered(request, note, principal, _seconds(request, deadline))
    return Json(answer, headers={"Server-Timing": timing})


@router.post(
    "/predict/batch",
    response_model=BatchResponse,
    responses=faults(400, 413, 415, 422),
    openapi_extra=json_body(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["notes"],
            "properties": {
                "notes": {"type": "array", "minItems": 1, "maxItems": 32, "items": _ANY_NOTE},
                "max_batch_size": {"type": "integer", "minimum": 1, "maximum": 32},
            },
        },
        {"notes": [EXAMPLE]},
    ),
)
async def predict_batch(request: Request, principal: Predicting, deadline: Deadline = LONGEST_MS) -> Json:
    """Many notes at once: results in the order of the notes, each its answer or its own error."""
    checked_media_type(request)
    start = time.perf_counter()
    items = _items(parse_json(await request.body(), max_bytes=MAX_BATCH_BYTES), _services(request).settings.batch_limit)
    seconds = _seconds(request, deadline)
    results = await asyncio.gather(*(_one_of_batch(request, item, principal, seconds) for item in items))
    body = {
        "results": results,
        "total_processing_time_ms": round((time.perf_counter() - start) * 1000),
        "notes_processed": sum("error" not in result for result in results),
    }
    return Json(body)


async def answered(request: Request, note: Note, principal: Principal, seconds: float) -> tuple[Answer, str]:
    """The answer for a note, kept or new, and the value of ``Server-Timing``.

    The time holds for the database's part too, which may have to wait for the disk. What is under way then is finished,
    so that the same request finds its answer later.

    Raises:
        ClincodeError: as ``Predictor.predict`` and ``NoteStore.keep_answer`` have it.
    """
    work = asyncio.create_task(_answered(request, note, principal, asyncio.get_running_loop().time() + seconds))
    _UNDER_WAY.add(work)
    work.add_done_callback(_done)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(work)
    except TimeoutError:
        raise deadline_exceeded() from None


async def _answered(request: Request, note: Note, principal: Principal, ends: float) -> tuple[Answer, str]:
    services = _services(request)
    row = await run_in_threadpool(services.notes.known, note)
    if row is not None and row.answer is not None:
        return _own(row.answer, note), "stored"
    seconds = ends - asyncio.get_running_loop().time()
    if seconds <= 0:
        raise deadline_exceeded()
    priority = Priority.URGENT_REQUEST if note.priority == "urgent" else Priority.NORMAL_REQUEST
    try:
        prediction = await services.predictor.predict(
            note, priority, seconds=seconds, request_id=request.state.request_id
        )
        services.metrics.predicted(prediction, priority, "predict")
        intake = Intake("predict", principal)
        row = await run_in_threadpool(services.notes.keep_answer, note, prediction.answer, prediction.route, intake)
    except Exception as error:
        routing = services.predictor.routing.current()
        await run_in_threadpool(keep_failure, services.database, routing, note.note_id, error)
        raise
    services.drift.saw(row.text, prediction.answer, row.note_type)
    timing = f"wait;dur={prediction.waited * 1000:.1f}, model;dur={prediction.model_time * 1000:.1f}"
    return _own(row.answer or prediction.answer, note), timing


def _done(work: "asyncio.Task[tuple[Answer, str]]") -> None:
    _UNDER_WAY.discard(work)
    if not work.cancelled():
        work.exception()  # where the client was told 504 already, nobody else asks for it


def _own(answer: Answer, note: Note) -> Answer:
    """A kept answer with the texts of the note that the client has sent, and the id in its spelling."""
    return {**with_texts_of(note.text, answer), "note_id": note.note_id}


async def _one_of_batch(request: Request, item: Any, principal: Principal, seconds: float) -> Answer:
    try:
        if not isinstance(item, dict):
            raise RequestError("not_an_object", "a note must be a JSON object")
        return (await answered(request, parse_request(item), principal, seconds))[0]
    except ClincodeError as error:
        fault = error.body
    except Exception as error:
        log.error("note_of_batch_failed", error=type(error).__name__, at=place_of(error))
        fault = ErrorBody("internal_error", "the gateway failed on this note")
    return {"note_id": _readable_id(item), **fault.to_dict()}


def _readable_id(item: Any) -> str | None:
    """The id of a note that is not answered, where it is short and can be written."""
    note_id = item.get("note_id") if isinstance(item, dict) else None
    return note_id if isinstance(note_id, str) and len(note_id) <= 64 and note_id.isprintable() else None


def _items(content: Any, limit: int) -> list[Any]:
    if not isinstance(content, dict):
        raise RequestError("not_an_object", "the body must be a JSON object", status=400)
    if unknown := content.keys() - {"notes", "max_batch_size"}:
        field = "".join(c for c in min(unknown) if c.isprintable())[:40]
        raise RequestError("unknown_field", f"'{field}' is not a field of this request", field)
    asked = content.get("max_batch_size", limit)
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= limit:
        raise RequestError("out_of_range", f"'max_batch_size' must be an integer from 1 to {limit}", "max_batch_size")
    notes = content.get("notes")
    if not isinstance(notes, list):
        kind = "missing" if notes is None else "list_type"
        raise RequestError(kind, "'notes' must be a list of notes", "notes")
    if not 1 <= len(notes) <= asked:
        raise RequestError("batch_size", f"'notes' must hold 1 to {asked} notes", "notes")
    return notes


def _seconds(request: Request, deadline_ms: int) -> float:
    return min(_services(request).settings.deadline_seconds, deadline_ms / 1000)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services

"""FHIR R4: an EHR posts a DocumentReference and fetches a Bundle of what the note says."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from gateway.api.bodies import checked_media_type
from gateway.api.notes import taken_in
from gateway.api.responses import FhirJson
from gateway.api.schemas import json_body
from gateway.errors import GatewayError
from gateway.fhir.bundle import result_bundle
from gateway.fhir.context import DocumentContext
from gateway.fhir.document import read_document
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.storage.notes import Intake
from gateway.storage.tables import JobState, NoteRow

router = APIRouter(prefix="/fhir", tags=["fhir"])
MEDIA_TYPES = ("application/fhir+json", "application/json")
_RESOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}
_ATTACHMENT = {
    "type": "object",
    "required": ["contentType", "data"],
    "properties": {"contentType": {"type": "string"}, "data": {"type": "string", "format": "byte"}},
}
_DOCUMENT: dict[str, Any] = {
    "type": "object",
    "required": ["resourceType", "status", "content"],
    "properties": {
        "resourceType": {"const": "DocumentReference"},
        "status": {"enum": ["current", "superseded"]},
        "content": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["attachment"], "properties": {"attachment": _ATTACHMENT}},
        },
    },
}
_NOTIFICATION: dict[str, Any] = {
    "type": "object",
    "required": ["resourceType", "type", "entry"],
    "properties": {
        "resourceType": {"const": "Bundle"},
        "type": {"type": "string"},
        "entry": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    },
}
_OUTCOME = {"content": {"application/fhir+json": {"schema": _RESOURCE}}, "description": "OperationOutcome"}


def _answers(ok: int, *statuses: int) -> dict[int | str, dict[str, Any]]:
    outcomes: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 429, *statuses), _OUTCOME)
    outcomes[ok] = {"content": {"application/fhir+json": {"schema": _RESOURCE}}}
    return outcomes


@router.post(
    "/DocumentReference",
    status_code=202,
    response_class=FhirJson,
    responses=_answers(202, 400, 409, 413, 415, 422),
    openapi_extra=json_body({"anyOf": [_DOCUMENT, _NOTIFICATION]}, media_type="application/fhir+json"),
)
async def post_document(request: Request, principal: Annotated[Principal, require(Permission.NOTES_WRITE)]) -> FhirJson:
    """A DocumentReference with its text inline, or a notification's Bundle that holds one. Stored, then predicted when
    its turn comes; ``Location`` names the Bundle to fetch."""
    checked_media_type(request, MEDIA_TYPES)
    document = await run_in_threadpool(read_document, await request.body())
    services: Services = request.app.state.services
    row = await taken_in(services, document.note, Intake("fhir", principal, document.context.to_dict()))
    return _pending(row.id, row.state)


@router.get(
    "/Bundle/{note_id}", response_class=FhirJson, responses={**_answers(200, 404, 410), 202: _answers(202)[202]}
)
def get_bundle(request: Request, note_id: str, _: Annotated[Principal, require(Permission.NOTES_READ)]) -> FhirJson:
    """The note's Bundle; 202 as long as it waits, 410 where the note was given up."""
    services: Services = request.app.state.services
    row = services.notes.get(note_id)
    if row.state == JobState.DEAD:
        raise GatewayError(410, "given_up", "no answer could be had for this note; a person looks at it", "note_id")
    if row.answer is None or row.answered_at is None:
        return _pending(row.id, row.state)
    release = services.codes.terminology.release
    return FhirJson(result_bundle(row.answer, _context(row), timestamp=row.answered_at, icd_version=release))


def _context(row: NoteRow) -> DocumentContext:
    """Where the note came from, as far as its door has said."""
    if row.source == "fhir" and row.context:
        return DocumentContext.from_dict(row.context)
    patient = row.context.get("patient_id") if row.source == "hl7" and row.context else None
    return DocumentContext(note_id=row.id, note_type=row.note_type, subject_value=patient)


def _pending(note_id: str, state: str) -> FhirJson:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational", "diagnostics": f"The note is {state}."}],
    }
    url = f"/api/v1/fhir/Bundle/{note_id}"
    headers = {"Location": url, "Content-Location": url, "Retry-After": "1"}
    return FhirJson(outcome, status_code=202, headers=headers)

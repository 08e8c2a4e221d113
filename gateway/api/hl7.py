"""HL7 v2: an interface engine posts MDM^T02 messages over HTTP and gets the acknowledgement back."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from clincode.errors import ClincodeError
from gateway.api.bodies import checked_media_type
from gateway.api.notes import taken_in
from gateway.api.schemas import json_fault
from gateway.hl7.acknowledgement import acknowledgement, refusal
from gateway.hl7.header import MessageHeader, open_message
from gateway.hl7.mdm import read_mdm
from gateway.security.access import require
from gateway.security.permissions import Permission, Principal
from gateway.services import Services
from gateway.storage.notes import Intake

router = APIRouter(tags=["hl7"])
MEDIA_TYPE = "application/hl7-v2"
MEDIA_TYPES = (MEDIA_TYPE, "x-application/hl7-v2+er7", "text/plain")
_TEXT = {"schema": {"type": "string", "pattern": r"^\x0b?MSH\|"}}
_ACK_TEXT = {"schema": {"type": "string"}}
_ACK: dict[str, Any] = {"content": {MEDIA_TYPE: _ACK_TEXT}, "description": "ACK^T02^ACK"}


class Hl7(Response):
    media_type = MEDIA_TYPE


@router.post(
    "/hl7/v2",
    response_class=Hl7,
    responses={
        **{status: json_fault() for status in (401, 403, 415, 429)},
        **dict.fromkeys((200, 400, 409, 413, 422), _ACK),
    },
    openapi_extra={"requestBody": {"required": True, "content": dict.fromkeys(MEDIA_TYPES, _TEXT)}},
)
async def post_message(request: Request, principal: Annotated[Principal, require(Permission.NOTES_WRITE)]) -> Hl7:
    """An MDM^T02 with the note's text in its OBX segments. Stored, then acknowledged (AA) and predicted when its turn
    comes; ``Location`` names the note. What is refused is acknowledged with AE or AR."""
    checked_media_type(request, MEDIA_TYPES)
    payload = await request.body()
    services: Services = request.app.state.services
    now = datetime.now(UTC)
    try:
        message = await run_in_threadpool(read_mdm, payload)
        context = {
            "control_id": message.control_id,
            "document_id": message.document_id,
            "patient_id": message.patient_id,
        }
        row = await taken_in(services, message.note, Intake("hl7", principal, context))
    except ClincodeError as error:
        return Hl7(refusal(_header(payload), error, now=now), status_code=error.status)
    answer = acknowledgement(message, code="AA", now=now)
    return Hl7(answer, headers={"Location": f"/api/v1/notes/{row.id}"})


def _header(payload: bytes) -> MessageHeader | None:
    try:
        return open_message(payload).header
    except ClincodeError:
        return None

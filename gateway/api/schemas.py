"""The bodies of the API as OpenAPI describes them. Requests are checked by the core, not by these."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from clincode.request import MAX_NOTE_CHARS, PredictRequest

Confidence = Annotated[float, Field(ge=0, le=1)]
Offset = Annotated[int, Field(ge=0)]


class Fault(BaseModel):
    code: str
    message: str
    field: str | None


class ErrorResponse(BaseModel):
    error: Fault


class IcdCode(BaseModel):
    code: str
    description: str
    confidence: Confidence


class EntityOut(BaseModel):
    """``note_text[start_char:end_char] == text``, in Unicode code points."""

    text: str
    type: Literal["DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"]
    start_char: Offset
    end_char: Offset
    confidence: Confidence
    icd_codes: list[IcdCode]
    is_negated: bool
    negation_trigger: str | None
    certainty: Literal["affirmed", "negated", "possible"]
    temporality: Literal["current", "historical", "hypothetical"]
    experiencer: Literal["patient", "family", "other"]
    section: str | None
    expansion: str | None


class NoteCodeOut(IcdCode):
    evidence: list[int]
    flags: list[str]


class ReferenceOut(BaseModel):
    text: str
    start_char: Offset
    end_char: Offset
    antecedent_start: Offset
    antecedent_end: Offset


class RedactionOut(BaseModel):
    start_char: Offset
    end_char: Offset
    category: str


class PredictResponse(BaseModel):
    note_id: str
    entities: list[EntityOut]
    processing_time_ms: Annotated[int, Field(ge=0)]
    model_version: str
    codes: list[NoteCodeOut]
    references: list[ReferenceOut]
    redactions: list[RedactionOut]
    warnings: list[str]


class BatchFault(BaseModel):
    """In the place of a note that could not be answered; ``note_id`` is null where it could not be read."""

    note_id: str | None
    error: Fault


class BatchResponse(BaseModel):
    """``results`` in the order of the notes; ``notes_processed`` counts those that were answered."""

    results: list[PredictResponse | BatchFault]
    total_processing_time_ms: Annotated[int, Field(ge=0)]
    notes_processed: Annotated[int, Field(ge=0)]


class JobResponse(BaseModel):
    """``result`` is there once the state is done; its texts are those of the masked note."""

    note_id: str
    state: Literal["queued", "running", "done", "dead"]
    url: str
    attempts: int
    error: str | None
    received_at: datetime
    answered_at: datetime | None
    review_state: Literal["open", "in_review", "finished"]
    result: PredictResponse | None


class JobList(BaseModel):
    notes: list[JobResponse]
    total: int


class OriginalResponse(BaseModel):
    note_id: str
    note_text: Annotated[str, Field(max_length=MAX_NOTE_CHARS)]


class CodeOut(BaseModel):
    code: str
    title: str
    term: str
    billable: bool


class CodesResponse(BaseModel):
    release: str
    codes: list[CodeOut]


class HealthResponse(BaseModel):
    status: Literal["ok"]
    model_version: str
    processing_time_ms: Annotated[int, Field(ge=0)]


class Liveness(BaseModel):
    status: Literal["ok"]


class Readiness(BaseModel):
    status: Literal["ready", "not_ready"]
    checks: dict[str, bool]


_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def predict_schema(**further: Any) -> dict[str, Any]:
    """The JSON schema of one note's request, with further properties."""
    schema = PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    metadata = schema.pop("$defs")["RequestMetadata"]
    properties = schema["properties"]
    properties["note_id"] = {"type": "string", "format": "uuid", "pattern": f"^{_UUID}$"}
    # \S: not white space alone. \x00: NUL is refused.
    properties["note_text"] |= {"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}
    for field in metadata["properties"].values():
        for choice in field["anyOf"]:
            if choice["type"] == "string":
                choice["pattern"] = r"^[^\x00]*$"
    properties["metadata"] = {"anyOf": [metadata, {"type": "null"}], "default": None}
    properties |= further
    return schema


def json_body(schema: dict[str, Any], example: Any = None, media_type: str = "application/json") -> dict[str, Any]:
    """``openapi_extra`` of a route whose body the core reads."""
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {media_type: content}}}


def json_fault() -> dict[str, Any]:
    """A fault of a route that answers in another format otherwise."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    return {"description": "The request is refused.", "content": content}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route: these and what every route may answer."""
    return {status: {"model": ErrorResponse} for status in sorted({401, 403, 429, *statuses})}

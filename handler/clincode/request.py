"""A client's JSON → a validated ``Note``, or a ``RequestError`` that names the field and never quotes the note."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from clincode.errors import RequestError
from clincode.types import Note, NoteType

MAX_NOTE_CHARS = 10_000
MAX_BODY_BYTES = 1 << 20
"""More than 10,000 characters need in JSON, each of them escaped as a surrogate pair."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _clean(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("nul_character", "must not contain NUL characters")
    # Pydantic itself refuses lone surrogates in strings (string_unicode).
    return value


def _blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank_text", "must contain text, not white space alone")
    return value


def _uuid(value: str) -> str:
    try:
        UUID(value)
    except ValueError:
        raise PydanticCustomError("bad_uuid", "must be a UUID") from None
    return value


_ShortText = Annotated[str, StringConstraints(max_length=256), AfterValidator(_clean)]
_NoteText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NOTE_CHARS),
    AfterValidator(_clean),
    AfterValidator(_blank),
]


class RequestMetadata(BaseModel):
    """What a client may say of where a note comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    encounter_id: _ShortText | None = None
    department: _ShortText | None = None
    provider_id: _ShortText | None = None


class PredictRequest(BaseModel):
    """The contract's request for one note."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    note_id: Annotated[str, StringConstraints(max_length=64), AfterValidator(_clean), AfterValidator(_uuid)]
    note_text: _NoteText
    note_type: Literal["discharge_summary", "progress_note", "operative_report"]
    priority: Literal["normal", "urgent"] = "normal"
    metadata: RequestMetadata | None = None

    def to_note(self) -> Note:
        metadata = self.metadata.model_dump(exclude_none=True) if self.metadata else {}
        return Note(self.note_id, self.note_text, NoteType(self.note_type), self.priority, metadata)


def parse_request(payload: bytes | bytearray | str | Mapping[str, Any]) -> Note:
    """The note of a request body, given raw or as parsed JSON.

    Raises:
        RequestError: 413 where the body is over 1 MiB, 400 where it is not a JSON object in UTF-8, 422 where a field
            does not fit the contract; the first fault is named.
    """
    if isinstance(payload, bytes | bytearray | str):
        payload = parse_json(payload)
    if not isinstance(payload, Mapping):
        raise RequestError("not_an_object", "the body must be a JSON object", status=400)
    try:
        return PredictRequest.model_validate(dict(payload)).to_note()
    except ValidationError as error:
        _refuse(error)


def loggable_id(sent: str | None) -> str:
    """A client's request id as it may stand in a log: "-" for what is none, for it might be a piece of a note."""
    return sent if sent and _REQUEST_ID.fullmatch(sent) else "-"


def parse_json(payload: bytes | bytearray | str, *, max_bytes: int = MAX_BODY_BYTES) -> Any:
    """The value of a JSON body, without repeated names, NaN or Infinity.

    Raises:
        RequestError: 413 where the body is over ``max_bytes``, 400 where it is not such JSON in UTF-8.
    """
    if len(payload) > max_bytes:
        raise RequestError("body_too_large", f"the body is larger than {max_bytes} bytes", status=413)
    try:
        text = payload if isinstance(payload, str) else payload.decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RequestError:
        raise
    except (ValueError, RecursionError):
        # The cause is dropped on purpose: a decoder's message may carry a piece of the body.
        raise RequestError("invalid_json", "the body is not valid JSON in UTF-8", status=400) from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise RequestError("duplicate_field", "the body names a field twice", status=400)
    return data


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "must not contain lone surrogates",
    "literal_error": "must be one of {expected}",
    "model_type": "must be an object",
}


def _refuse(error: ValidationError) -> NoReturn:
    fault = error.errors(include_url=False, include_input=False)[0]
    kind = fault["type"]
    # An unknown field's name comes from the client, so it is cut short and stripped of what is not printable.
    field = ".".join("".join(c for c in str(part) if c.isprintable())[:40] for part in fault["loc"])
    detail = _MESSAGES.get(kind, fault["msg"]).format_map({k: str(v) for k, v in fault.get("ctx", {}).items()})
    code = "unknown_field" if kind == "extra_forbidden" else kind
    raise RequestError(code, f"'{field}' {detail}", field) from None

"""FHIR R4 DocumentReference, alone or in a Bundle → a ``Note``.

Specification: https://hl7.org/fhir/R4/documentreference.html. A Bundle is what a server sends to a subscriber or a
client posts (type ``history``, ``transaction``, ``collection`` or ``message``): exactly one of its entries must hold a
DocumentReference, and the others are not looked at. Neither are contained resources.

``note_id``, so that what is sent twice is one note and a new version of a document is a new note:

- the resource's id where it is a UUID, and there is no ``meta.versionId``;
- else UUIDv5 over the first that there is: the UUID id and its version; ``masterIdentifier``, which by R4 is specific
  to a version; the first ``identifier``, or the id, and the version; the text with subject and date.

An entry without an id that has a ``urn:uuid:`` fullUrl is taken to have that id.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.reference import Reference

from clincode.errors import RequestError
from clincode.request import parse_json, parse_request
from clincode.types import NoteType
from gateway.fhir.attachment import AttachedText, read_attachment
from gateway.fhir.context import DocumentContext, IncomingDocument
from gateway.fhir.document_types import LOINC, note_type_of
from gateway.fhir.validation import check_objects, join_path, validate

BUNDLE_TYPES = ("collection", "history", "message", "transaction")
MAX_REFERENCE_CHARS = 1024

_NAMESPACE = uuid5(NAMESPACE_URL, "https://clincode.dev/fhir/note")
_MAX_METADATA_CHARS = 256


def read_document(payload: bytes | Mapping[str, Any], *, source: str = "") -> IncomingDocument:
    """The note of a DocumentReference or of a Bundle with exactly one.

    ``source`` names the sender; it keeps ids that are unique within a server alone apart (UUIDs do not need it).
    Parsed JSON is not held to the limit of 1 MiB; its sender must have been.

    Raises:
        RequestError: 400 where the payload is not a JSON object, 413 where it is over 1 MiB, 422 where it does not fit.
            ``field`` is the path of the element from the posted resource down, ``content[0].attachment.data``, or
            ``entry[2].resource.content[0].attachment.data`` in a Bundle. No message quotes what was posted.
    """
    body = parse_json(payload) if isinstance(payload, bytes) else payload
    if not isinstance(body, Mapping):
        raise RequestError("not_an_object", "the body must be a JSON object", status=400)
    resource, prefix, full_url = _find(body)
    # Contained resources are not read; an unknown one is no reason to refuse the document.
    resource = {k: v for k, v in resource.items() if k != "contained"}
    check_objects(resource, prefix)
    document = validate(DocumentReference, resource, prefix)
    _check_status(document, prefix)
    attached = read_attachment(resource["content"] if isinstance(resource["content"], list) else [], prefix)
    return _incoming(document, attached, prefix, full_url, source)


def _find(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, str | None]:
    """The DocumentReference of the body, its path there and its ``urn:uuid:`` fullUrl."""
    if body.get("resourceType") == "DocumentReference":
        return body, "", None
    if body.get("resourceType") != "Bundle":
        detail = "must be DocumentReference, or Bundle with one"
        raise RequestError("unsupported_resource", f"'resourceType' {detail}", "resourceType")
    if body.get("type") not in BUNDLE_TYPES:
        raise RequestError("unsupported_bundle", f"'type' must be one of {', '.join(BUNDLE_TYPES)}", "type")
    entries = body.get("entry")
    found = []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if isinstance(resource, Mapping) and resource.get("resourceType") == "DocumentReference":
            found.append((resource, f"entry[{index}].resource", _urn_uuid(entry.get("fullUrl"))))
    if len(found) != 1:
        detail = f"'entry' must hold exactly one DocumentReference; it holds {len(found)}"
        raise RequestError("not_one_document", detail, "entry")
    return found[0]


def _urn_uuid(full_url: object) -> str | None:
    if not isinstance(full_url, str) or not full_url.startswith("urn:uuid:"):
        return None
    uuid = _uuid(full_url.removeprefix("urn:uuid:"))
    return f"urn:uuid:{uuid}" if uuid else None


def _check_status(document: DocumentReference, prefix: str) -> None:
    if document.status not in {"current", "superseded"}:
        field = join_path(prefix, "status")
        code = "entered_in_error" if document.status == "entered-in-error" else "invalid_value"
        raise RequestError(code, f"'{field}' must be current or superseded", field)
    if document.docStatus == "entered-in-error":
        field = join_path(prefix, "docStatus")
        raise RequestError("entered_in_error", f"'{field}' says that the document was entered in error", field)


def _incoming(
    document: DocumentReference, attached: AttachedText, prefix: str, full_url: str | None, source: str
) -> IncomingDocument:
    encounters = document.context.encounter if document.context else None
    first_encounter = encounters[0] if encounters else None
    author = document.author[0] if document.author else None
    request: dict[str, Any] = {
        "note_id": _note_id(document, attached.text, full_url, source),
        "note_text": attached.text,
        "note_type": _note_type(document).value,
        "metadata": {
            "encounter_id": _short(_last_part(first_encounter)),
            "department": _short(_department(document)),
            "provider_id": _short(_last_part(author)),
        },
    }
    try:
        note = parse_request(request)
    except RequestError as error:
        # Only the text can be at fault: the ids are made here, and what is metadata was cut to fit.
        message = error.body.message.replace("'note_text'", f"'{attached.path}'", 1)
        raise RequestError(error.body.code, message, attached.path, status=error.status) from None
    subject = document.subject
    identifier = subject.identifier if subject else None
    context = DocumentContext(
        note_id=note.note_id,
        note_type=note.note_type.value,
        document=f"DocumentReference/{document.id}" if document.id else full_url,
        version=document.meta.versionId if document.meta else None,
        content=attached.index,
        subject=_subject(subject, join_path(prefix, "subject.reference")),
        subject_system=_short(identifier.system) if identifier else None,
        subject_value=_short(identifier.value) if identifier else None,
        encounter=_reference(first_encounter, join_path(prefix, "context.encounter[0].reference")),
        author=_reference(author, join_path(prefix, "author[0].reference")),
        date=document.date.isoformat() if document.date else None,
    )
    return IncomingDocument(note, context)


def _note_type(document: DocumentReference) -> NoteType:
    """Of the LOINC codings of ``type``, else of ``category``; a progress note where they say nothing."""
    concepts: list[CodeableConcept | None] = [document.type, *(document.category or [])]
    codings = [coding for concept in concepts if concept for coding in concept.coding or []]
    return note_type_of(c.code for c in codings if c.system == LOINC) or NoteType.PROGRESS_NOTE


def _note_id(document: DocumentReference, text: str, full_url: str | None, source: str) -> str:
    version = document.meta.versionId if document.meta else None
    identity = document.id or (full_url.removeprefix("urn:uuid:") if full_url else None)
    uuid = _uuid(identity)
    master = document.masterIdentifier
    other = document.identifier[0] if document.identifier else None
    key: list[str | None]
    if uuid and version is None:
        return uuid
    if uuid:
        key = ["uuid", uuid, version]
    elif master and master.value:
        key = [source, "masterIdentifier", master.system, master.value]
    elif other and other.value:
        key = [source, "identifier", other.system, other.value, version]
    elif identity:
        key = [source, "id", identity, version]
    else:
        subject = document.subject.model_dump_json() if document.subject else None
        key = [source, "text", text, subject, document.date.isoformat() if document.date else None]
    return str(uuid5(_NAMESPACE, json.dumps(key)))


def _uuid(value: str | None) -> str | None:
    try:
        return str(UUID(value)) if value else None
    except ValueError:
        return None


def _subject(subject: Reference | None, field: str) -> str | None:
    """A patient's reference. A group's, a device's or a practitioner's document is refused."""
    reference = _reference(subject, field)
    if subject is None or reference is None:
        return None
    parts = reference.split("?")[0].split("/_history/")[0].split("/")
    kind = subject.type or (parts[-2] if len(parts) > 1 else parts[0])
    if kind in {"Group", "Device", "Practitioner"}:
        raise RequestError("unsupported_subject", f"'{field}' must be a Patient", field)
    return reference


def _reference(reference: Reference | None, field: str) -> str | None:
    """The reference's text; None where it points into the document, which is not there when the answer is read."""
    value = reference.reference if reference else None
    if not value or value.startswith("#"):
        return None
    if len(value) > MAX_REFERENCE_CHARS or not value.isprintable():
        raise RequestError("invalid_value", f"'{field}' is not a reference", field)
    return str(value)


def _last_part(reference: Reference | None) -> str | None:
    """The id of ``Encounter/7``, ``https://…/Encounter/7/_history/2``, ``urn:uuid:7``, ``Encounter?identifier=s|7``."""
    if reference is None:
        return None
    value = reference.reference
    if not value or value.startswith("#"):
        return reference.identifier.value if reference.identifier else None
    value = value.split("/_history/")[0]
    for separator in ("?", "|", "/", ":"):
        value = value.rpartition(separator)[2]
    return str(value)


def _department(document: DocumentReference) -> str | None:
    setting = document.context.practiceSetting if document.context else None
    if setting:
        displays = [coding.display for coding in setting.coding or []]
        name = next((text for text in (setting.text, *displays) if text), None)
        if name:
            return str(name)
    return document.custodian.display if document.custodian else None


def _short(value: str | None) -> str | None:
    """Fit for metadata: printable, at most 256 characters; None where nothing is left."""
    return "".join(c for c in value or "" if c.isprintable())[:_MAX_METADATA_CHARS].strip() or None

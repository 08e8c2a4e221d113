"""DocumentReference → note."""

import base64
import contextlib
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.errors import RequestError
from clincode.types import NoteType
from gateway.fhir import DocumentContext, operation_outcome, read_document

Json = dict[str, Any]

TEXT = "CHIEF COMPLAINT\n- Zyxwort carcinoma, Sjögren's syndrome\n\nASSESSMENT\nDenies chest pain.\n"
NOTE_ID = "9b1fd1b3-6d2c-a0a6-4d2f-3d2b5cf1f0aa"


def document(text: str = TEXT) -> Json:
    """In the form in which Synthea writes its notes."""
    return {
        "resourceType": "DocumentReference",
        "id": NOTE_ID,
        "meta": {
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-documentreference"],
        },
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{NOTE_ID}"}],
        "status": "current",
        "type": {
            "coding": [
                {"system": "http://loinc.org", "code": "34117-2", "display": "History and physical note"},
                {"system": "http://loinc.org", "code": "51847-2", "display": "Evaluation + Plan note"},
            ]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                        "code": "clinical-note",
                        "display": "Clinical Note",
                    }
                ]
            }
        ],
        "subject": {"reference": "Patient/p-1"},
        "date": "2026-03-01T10:15:00.000-05:00",
        "author": [
            {
                "reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999945592",
                "display": "Dr. Ann Smith",
            }
        ],
        "custodian": {"reference": "Organization?identifier=https://synthea|o-1", "display": "NORTH HOSPITAL"},
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": base64.b64encode(text.encode()).decode(),
                },
                "format": {"system": "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem", "code": "urn:ihe:x"},
            }
        ],
        "context": {
            "encounter": [{"reference": "Encounter/e-7"}],
            "period": {"start": "2026-03-01T10:15:00-05:00", "end": "2026-03-01T10:30:00-05:00"},
        },
    }


def bundle(kind: str = "history", *resources: Json) -> Json:
    notified = {"fullUrl": "urn:uuid:4c1c7c0e-0000-4000-8000-000000000001", "resource": {"resourceType": "Parameters"}}
    entries = [{"fullUrl": f"https://ehr.example/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": [notified, *entries]}


def with_(change: Callable[[Json], object]) -> bytes:
    resource = document()
    change(resource)
    return json.dumps(resource).encode()


def put(path: str, value: object) -> Callable[[Json], object]:
    """``content.0.attachment.data`` set to a value; ``...`` takes it away."""

    def change(resource: Any) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps:
            resource = resource[step]
        if value is ...:
            del resource[last]
        else:
            resource[last] = value

    return change


def encoded(text: str, codec: str, charset: str, prefix: bytes = b"") -> Callable[[Json], object]:
    data = base64.b64encode(prefix + text.encode(codec)).decode()
    return put("content.0.attachment", {"contentType": f"text/plain{charset}", "data": data})


def test_what_is_read() -> None:
    read = read_document(json.dumps(document()).encode())
    assert read.note.text == TEXT
    assert read.note.note_id == NOTE_ID
    assert read.note.note_type is NoteType.PROGRESS_NOTE
    assert read.note.metadata == {
        "encounter_id": "e-7",
        "department": "NORTH HOSPITAL",
        "provider_id": "9999945592",
    }
    assert (read.subject, read.encounter, read.document) == (
        "Patient/p-1",
        "Encounter/e-7",
        f"DocumentReference/{NOTE_ID}",
    )
    assert read.context.date == "2026-03-01T10:15:00-05:00"
    assert read == read_document(document())


def test_context_is_json() -> None:
    context = read_document(document()).context
    assert DocumentContext.from_dict(json.loads(json.dumps(context.to_dict()))) == context


@pytest.mark.parametrize("kind", ["history", "transaction", "collection", "message"])
def test_bundles(kind: str) -> None:
    read = read_document(bundle(kind, document()))
    assert read == read_document(document())


def test_entry_without_an_id_is_known_by_its_full_url() -> None:
    resource = document()
    del resource["id"]
    posted = bundle("transaction")
    posted["entry"].append({"fullUrl": f"urn:uuid:{NOTE_ID}", "resource": resource})
    read = read_document(posted)
    assert (read.note.note_id, read.document) == (NOTE_ID, f"urn:uuid:{NOTE_ID}")


@pytest.mark.parametrize(
    "change",
    [
        encoded(TEXT, "utf-8", ""),
        encoded(TEXT, "utf-8-sig", ";charset=UTF-8"),
        encoded(TEXT, "utf-16", "; charset=utf-16"),
        encoded(TEXT, "utf-16-be", "; charset=utf-16"),
        encoded(TEXT, "utf-16-le", "; charset=UTF-16LE"),
        encoded(TEXT, "latin-1", '; charset="ISO-8859-1"'),
        encoded(TEXT, "latin-1", "; charset=latin-1"),
        encoded(TEXT, "cp1252", "; format=flowed; charset=windows-1252"),
        put("content.0.attachment.data", base64.encodebytes(TEXT.encode()).decode()),
        put("content.0.attachment.size", len(TEXT.encode())),
        put("content.0.attachment.hash", base64.b64encode(hashlib.sha1(TEXT.encode()).digest()).decode()),
        put("contained", [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Unknown"}]),
        lambda r: r["content"].insert(0, {"attachment": {"contentType": "application/pdf", "data": "JVBERi0="}}),
        lambda r: r["content"].insert(0, {"attachment": {"contentType": "text/plain", "url": "Binary/1"}}),
    ],
)
def test_the_same_text_however_it_is_attached(change: Callable[[Json], object]) -> None:
    assert read_document(with_(change)).note.text == TEXT


@pytest.mark.parametrize(
    ("loinc", "note_type"),
    [
        (["18842-5"], "discharge_summary"),
        (["34133-9"], "discharge_summary"),
        (["11506-3"], "progress_note"),
        (["11488-4"], "progress_note"),
        (["11504-8"], "operative_report"),
        (["28570-0"], "operative_report"),
        (["99999-9", "28570-0"], "operative_report"),
        (["99999-9"], "progress_note"),
    ],
)
def test_note_types(loinc: list[str], note_type: str) -> None:
    codings = [{"system": "http://loinc.org", "code": code} for code in loinc]
    assert read_document(with_(put("type.coding", codings))).note.note_type == note_type
    concept = [{"coding": codings}]
    by_category = with_(lambda r: (r.pop("type"), r.update(category=concept)))
    assert read_document(by_category).note.note_type == note_type


def test_codes_of_other_systems_are_no_loinc_codes() -> None:
    coding = [{"system": "urn:local", "code": "18842-5"}]
    assert read_document(with_(put("type.coding", coding))).note.note_type == "progress_note"


def ids(*changes: Callable[[Json], object], source: str = "") -> set[str]:
    return {read_document(with_(change), source=source).note.note_id for change in changes}


def both(*changes: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda resource: [change(resource) for change in changes]


def test_note_ids() -> None:
    local = put("id", "doc-1")
    plain = both(local, put("identifier", ...))
    master = both(local, put("masterIdentifier", {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2"}))
    first, second = put("meta.versionId", "1"), put("meta.versionId", "2")
    retyped = put("content.0.attachment.data", base64.b64encode(b"Another text.").decode())
    bare = both(put("id", ...), put("identifier", ...))

    same = [
        [put("status", "current"), retyped, put("status", "superseded")],  # the UUID alone
        [first, both(first, retyped)],
        [master, both(master, first), both(master, second)],  # by R4 specific to a version
        [local, both(local, put("status", "superseded"))],
        [plain, both(plain, retyped)],
        [bare, both(bare, put("status", "superseded"))],
    ]
    assert [len(ids(*changes)) for changes in same] == [1] * len(same)
    different = [put("status", "current"), first, second, master, local, both(local, first), plain, both(plain, first)]
    different += [bare, both(bare, retyped), both(bare, put("subject.reference", "Patient/p-2"))]
    assert len(ids(*different)) == len(different)
    assert ids(put("id", NOTE_ID.upper())) == {NOTE_ID}
    assert all(str(UUID(note_id)) == note_id for note_id in ids(*different))
    assert ids(plain) != ids(plain, source="another hospital")
    assert ids(put("status", "current"), source="another hospital") == {NOTE_ID}


@pytest.mark.parametrize(
    ("reference", "encounter_id"),
    [
        ({"reference": "Encounter/7"}, "7"),
        ({"reference": "https://ehr.example/fhir/Encounter/7/_history/2"}, "7"),
        ({"reference": "urn:uuid:7"}, "7"),
        ({"reference": "Encounter?identifier=urn:x|7"}, "7"),
        ({"identifier": {"system": "urn:x", "value": "7"}}, "7"),
        ({"reference": "#contained"}, None),
        ({"display": "an encounter"}, None),
        ({"reference": "Encounter/" + "7" * 300}, "7" * 256),
    ],
)
def test_last_part_of_a_reference(reference: Json, encounter_id: str | None) -> None:
    read = read_document(with_(put("context.encounter", [reference])))
    assert read.note.metadata.get("encounter_id") == encounter_id


def test_practice_setting_is_the_department() -> None:
    setting = {"coding": [{"system": "http://snomed.info/sct", "code": "394579002", "display": "Cardiology"}]}
    assert read_document(with_(put("context.practiceSetting", setting))).note.metadata["department"] == "Cardiology"


def test_subjects() -> None:
    contained = read_document(with_(put("subject.reference", "#p"))).context
    assert contained.subject is None
    by_identifier = read_document(with_(put("subject", {"identifier": {"system": "urn:mrn", "value": "800"}}))).context
    assert (by_identifier.subject, by_identifier.subject_system, by_identifier.subject_value) == (
        None,
        "urn:mrn",
        "800",
    )
    assert read_document(with_(put("subject", ...))).subject is None


DATA = "content.0.attachment.data"
PATH = "content[0].attachment"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        (put("resourceType", "Patient"), 422, "resourceType"),
        (put("resourceType", ...), 422, "resourceType"),
        (put("status", ...), 422, "status"),
        (put("status", "entered-in-error"), 422, "status"),
        (put("status", "final"), 422, "status"),
        (put("docStatus", "entered-in-error"), 422, "docStatus"),
        (put("unknownElement", 1), 422, "unknownElement"),
        (put("content", ...), 422, "content"),
        (put("content", []), 422, "content"),
        (put("content", [None]), 422, "content"),
        (put("content", [json.dumps({"attachment": {"contentType": "text/plain"}})]), 422, "content[0].attachment"),
        (put("content.0.attachment", ...), 422, PATH),
        (put("content.0.attachment", {"contentType": "text/plain", "url": "Binary/1"}), 422, f"{PATH}.data"),
        (put("content.0.attachment.contentType", ...), 422, f"{PATH}.contentType"),
        (put("content.0.attachment.contentType", "text/html"), 422, f"{PATH}.contentType"),
        (put("content.0.attachment.contentType", "application/rtf"), 422, f"{PATH}.contentType"),
        (put("content.0.attachment.contentType", "application/pdf"), 422, f"{PATH}.contentType"),
        (put("content.0.attachment.contentType", "text/plain; charset=koi8-r"), 422, f"{PATH}.contentType"),
        (put("content.0.attachment.contentType", "text/plain; charset=us-ascii"), 422, f"{PATH}.data"),
        (put("content.0.attachment.contentType", 5), 422, f"{PATH}.contentType"),
        (put(DATA, "%%%"), 422, f"{PATH}.data"),
        (put(DATA, "QUJ"), 422, f"{PATH}.data"),
        (put(DATA, 5), 422, f"{PATH}.data"),
        (put(DATA, "é"), 422, f"{PATH}.data"),
        (put(DATA, base64.b64encode(b"\xff\xfe").decode()), 422, f"{PATH}.data"),
        (put(DATA, ""), 422, f"{PATH}.data"),
        (put(DATA, base64.b64encode(b" \n ").decode()), 422, f"{PATH}.data"),
        (put(DATA, base64.b64encode(b"a\x00b").decode()), 422, f"{PATH}.data"),
        (put(DATA, base64.b64encode(b"a" * 10_001).decode()), 422, f"{PATH}.data"),
        (put("content.0.attachment.size", 3), 422, f"{PATH}.size"),
        (put("content.0.attachment.hash", "AAAA"), 422, f"{PATH}.hash"),
        (put("content.0.attachment.hash", "%"), 422, f"{PATH}.hash"),
        (put("subject", {"reference": "Group/1"}), 422, "subject.reference"),
        (put("subject", {"reference": "https://x/fhir/Device/1/_history/2"}), 422, "subject.reference"),
        (put("subject", {"reference": "Patient/\x01"}), 422, "subject.reference"),
        (put("subject", []), 422, "subject"),
        (put("date", "yesterday"), 422, "date"),
        (put("id", "no id"), 422, "id"),
        (put("extension", [{"valueString": "x"}]), 422, "extension[0].url"),
        (put("author", [{}] * 5000), 422, None),
    ],
)
def test_refused(change: Callable[[Json], object], status: int, field: str | None) -> None:
    payload = with_(change)
    with pytest.raises(RequestError) as caught:
        read_document(payload)
    assert (caught.value.status, caught.value.body.field) == (status, field)
    assert operation_outcome(caught.value.body, status)["issue"][0].get("expression") == ([field] if field else None)
    if field != "resourceType":
        with pytest.raises(RequestError) as caught:
            read_document(bundle("history", json.loads(payload)))
        assert caught.value.body.field == ".".join(filter(None, ["entry[1].resource", field]))


@pytest.mark.parametrize(
    ("payload", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"a": NaN}', 400, None),
        (b'{"resourceType": "DocumentReference", "resourceType": "Bundle"}', 400, None),
        (b"[" * 100_000, 400, None),
        (b'"' + b"a" * (1 << 20) + b'"', 413, None),
        (json.dumps(bundle("searchset", document())).encode(), 422, "type"),
        (json.dumps(bundle("history")).encode(), 422, "entry"),
        (json.dumps(bundle("history", document(), document())).encode(), 422, "entry"),
        (b'{"resourceType": "Bundle", "type": "history", "entry": [1, {"resource": []}]}', 422, "entry"),
        (b'{"resourceType": "Bundle", "type": ["history"]}', 422, "type"),
        (b'{"resourceType": ["Bundle"]}', 422, "resourceType"),
    ],
)
def test_payloads_refused(payload: bytes, status: int, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        read_document(payload)
    assert (caught.value.status, caught.value.body.field) == (status, field)


def test_nesting_without_end() -> None:
    nested: Json = {"url": "x", "valueString": TEXT}
    for _ in range(200):
        nested = {"url": "x", "extension": [nested]}
    with pytest.raises(RequestError) as caught:
        read_document(with_(put("extension", [nested])))
    assert caught.value.status == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    *("id", "meta", "identifier", "masterIdentifier", "status", "docStatus", "type", "category", "subject", "date"),
    *("author", "custodian", "content", "context", "text", "extension", "contained", "resourceType", "_status"),
    *("subject.reference", "subject.identifier", "subject.type", "author.0", "context.encounter", "type.coding.0"),
    *("content.0.attachment", DATA, "content.0.attachment.contentType", "content.0.attachment.size", "meta.versionId"),
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(JSON, st.dictionaries(st.sampled_from([p for p in PATHS if "." not in p]), JSON)))
def test_json_gives_a_note_or_a_request_error(payload: Any) -> None:
    body = {"resourceType": "DocumentReference"} | payload if isinstance(payload, dict) else payload
    with contextlib.suppress(RequestError):
        read_document(body)
    with contextlib.suppress(RequestError):
        read_document({"resourceType": "Bundle", "type": "message", "entry": payload})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_bytes_give_a_request_error(payload: bytes) -> None:
    with pytest.raises(RequestError):
        read_document(payload)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATHS), JSON | st.just(TEXT) | st.just({"div": TEXT}) | st.just([TEXT]))
def test_no_message_quotes_what_was_posted(path: str, value: object) -> None:
    resource = copy.deepcopy(document())
    put(path, value)(resource)
    caught = None
    try:
        read = read_document(resource)
    except RequestError as error:
        caught = error
    else:
        assert json.dumps(read.context.to_dict())
        assert "\x00" not in json.dumps(read.context.to_dict())
    if caught is not None:
        assert 400 <= caught.status < 500
        said = json.dumps(caught.body.to_dict(), ensure_ascii=False) + str(caught)
        assert "Zyxwort" not in said
        assert "9999945592" not in said
        assert json.dumps(operation_outcome(caught.body, caught.status))

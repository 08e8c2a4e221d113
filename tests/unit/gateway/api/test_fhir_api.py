"""FHIR and HL7 over HTTP: a document goes in, a Bundle that R4 knows comes out, and faults in the form of each."""

import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from gateway_site import GatewaySite
from hl7apy.parser import parse_message
from torchserve_stand_in import answer, says, slowly

from gateway.fhir.terms import SOURCE_SPAN

Json = dict[str, Any]
POST, GET, HL7 = "/api/v1/fhir/DocumentReference", "/api/v1/fhir/Bundle", "/api/v1/hl7/v2"
TEXT = "ASSESSMENT\nSjögren's pneumonia 𝔸gain, treated with amoxicillin after bronchoscopy.\n"


def document(text: str = TEXT, **changes: Any) -> Json:
    """In the form in which Synthea writes its notes."""
    note_id = str(uuid4())
    return {
        "resourceType": "DocumentReference",
        "id": note_id,
        "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-documentreference"]},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{note_id}"}],
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34117-2", "display": "History and physical note"}]},
        "subject": {"reference": "Patient/p-1"},
        "date": "2026-03-01T10:15:00.000-05:00",
        "author": [{"reference": "Practitioner/a-1", "display": "Dr. Ann Smith"}],
        "custodian": {"reference": "Organization/o-1", "display": "NORTH HOSPITAL"},
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": base64.b64encode(text.encode()).decode(),
                }
            }
        ],
        "context": {"encounter": [{"reference": "Encounter/e-7"}]},
        **changes,
    }


def notification(*resources: Json) -> Json:
    status = {"fullUrl": "urn:uuid:4c1c7c0e-0000-4000-8000-000000000001", "resource": {"resourceType": "Parameters"}}
    entries = [{"fullUrl": f"https://ehr.example/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": "history", "entry": [status, *entries]}


def post(site: GatewaySite, resource: Any, media_type: str = "application/fhir+json") -> Any:
    content = resource if isinstance(resource, bytes) else json.dumps(resource)
    return site.client.post(POST, content=content, headers={"Content-Type": media_type})


def resources(bundle: Json, kind: str) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("form", [dict, notification], ids=["document", "notification"])
def test_a_document_becomes_a_bundle(gateway_site: GatewaySite, form: Callable[[Json], Json]) -> None:
    sent = document()
    response = post(gateway_site, form(sent))
    assert response.status_code == 202, response.text
    assert response.headers["Content-Type"] == "application/fhir+json"
    OperationOutcome.model_validate(response.json())
    address = response.headers["Location"]
    assert address == f"{GET}/{sent['id']}" == response.headers["Content-Location"]
    row = gateway_site.wait(sent["id"])
    assert (row.source, row.encounter_id, row.department, row.provider_id) == (
        *("fhir", "e-7"),
        *("NORTH HOSPITAL", "a-1"),
    )
    fetched = gateway_site.client.get(address)
    assert (fetched.status_code, fetched.headers["Content-Type"]) == (200, "application/fhir+json")
    bundle = fetched.json()
    Bundle.model_validate(bundle)
    subjects = {r["subject"]["reference"] for k in ("Condition", "Procedure", "List") for r in resources(bundle, k)}
    assert subjects == {"Patient/p-1"}
    assert {c["encounter"]["reference"] for c in resources(bundle, "Condition")} == {"Encounter/e-7"}
    (provenance,) = resources(bundle, "Provenance")
    assert provenance["entity"][0]["what"]["reference"] == f"DocumentReference/{sent['id']}"
    assert resources(bundle, "Device")[0]["version"][0]["value"] == gateway_site.torchserve.version


def test_spans_fit_the_document_and_codings_name_their_release(gateway_site: GatewaySite) -> None:
    sent = document()
    post(gateway_site, sent)
    gateway_site.wait(sent["id"])
    bundle = gateway_site.client.get(f"{GET}/{sent['id']}").json()
    wanted = {
        (e["start_char"], e["end_char"]): e["text"] for e in answer({"note_id": "", "note_text": TEXT})["entities"]
    }
    seen = set()
    for entry in bundle["entry"]:
        for extension in entry["resource"].get("extension", []):
            if extension["url"] == SOURCE_SPAN:
                span = {part["url"]: part["valueInteger"] for part in extension["extension"]}
                seen.add((span["start"], span["end"]))
                if len(entry["resource"].get("extension", [])) and "mention" in json.dumps(entry["resource"]):
                    assert TEXT[span["start"] : span["end"]] == wanted[span["start"], span["end"]]
    assert len(seen) >= 4
    assert seen <= wanted.keys()
    release = gateway_site.services.codes.terminology.release
    codings = [c for r in resources(bundle, "Condition") for c in r["code"].get("coding", [])]
    assert codings
    assert {coding["version"] for coding in codings} == {release}


def test_as_long_as_it_waits_the_bundle_is_a_202(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.next.append(slowly(0.4))
    sent = document()
    post(gateway_site, sent)
    waiting = gateway_site.client.get(f"{GET}/{sent['id']}")
    assert waiting.status_code == 202
    assert waiting.headers["Retry-After"] == "1"
    OperationOutcome.model_validate(waiting.json())
    gateway_site.wait(sent["id"])
    assert gateway_site.client.get(f"{GET}/{sent['id']}").status_code == 200


def test_a_note_that_was_given_up_is_gone(gateway_site: GatewaySite) -> None:
    gateway_site.torchserve.by_word["poison"] = says(422, "string_too_long")
    sent = document("Rat poison.")
    post(gateway_site, sent)
    gateway_site.wait(sent["id"], "dead")
    response = gateway_site.client.get(f"{GET}/{sent['id']}")
    assert response.status_code == 410
    outcome = OperationOutcome.model_validate(response.json())
    assert outcome.issue[0].details.coding[0].code == "given_up"


def test_the_same_document_again_is_the_same_note_and_a_changed_one_is_refused(gateway_site: GatewaySite) -> None:
    sent = document()
    first, again = post(gateway_site, sent), post(gateway_site, sent)
    assert first.headers["Location"] == again.headers["Location"]
    gateway_site.wait(sent["id"])
    assert post(gateway_site, sent).status_code == 202
    assert len(gateway_site.torchserve.received) == 1
    changed = post(gateway_site, {**document("Another text."), "id": sent["id"]})
    assert (changed.status_code, code(changed)) == (409, "note_id_taken")


def code(response: Any) -> str:
    """The code of an OperationOutcome, which it is checked to be."""
    assert response.headers["Content-Type"] == "application/fhir+json"
    return str(OperationOutcome.model_validate(response.json()).issue[0].details.coding[0].code)


@pytest.mark.parametrize(
    ("content", "status", "fault"),
    [
        (b"", 400, "invalid_json"),
        (b"[]", 400, "not_an_object"),
        ({"resourceType": "Patient"}, 422, "unsupported_resource"),
        (notification(), 422, "not_one_document"),
        (notification(document(), document()), 422, "not_one_document"),
        (document(content=[]), 422, None),
        (document(content=[{"attachment": {"contentType": "application/pdf", "data": "JVBERi0="}}]), 422, None),
        (document(content=[{"attachment": {"contentType": "text/plain", "url": "http://x/"}}]), 422, None),
        (document(content=[{"attachment": {"contentType": "text/plain", "data": "§"}}]), 422, None),
        (document(""), 422, None),
        (document("a\x00b"), 422, "nul_character"),
        (document("x" * 10_001), 422, "string_too_long"),
        (document(status="entered-in-error"), 422, None),
        (document(subject={"reference": "Group/1"}), 422, "unsupported_subject"),
        (document(subject={"reference": "Patient/\ud800"}), 422, None),
        (document(id="\ud800"), 422, None),
        (document(quote="Zyxwort"), 422, None),
    ],
)
def test_faults_are_operation_outcomes(
    refusing_site: GatewaySite, content: Any, status: int, fault: str | None
) -> None:
    response = post(refusing_site, content)
    assert response.status_code == status, response.text
    assert code(response) == fault or fault is None
    assert "Zyxwort" not in response.text
    assert sum(refusing_site.services.notes.counts().values()) == 0


def test_other_faults_of_the_fhir_routes_are_operation_outcomes_too(refusing_site: GatewaySite) -> None:
    assert (post(refusing_site, document(), "text/plain").status_code) == 415
    assert code(post(refusing_site, document(), "text/plain")) == "unsupported_media_type"
    assert code(post(refusing_site, b" " * ((1 << 20) + 1))) == "body_too_large"
    assert code(refusing_site.client.get(f"{GET}/{uuid4()}")) == "not_found"
    assert code(refusing_site.client.get("/api/v1/fhir/Patient/1")) == "not_found"
    assert code(refusing_site.client.get(POST)) == "method_not_allowed"
    assert code(refusing_site.stranger().get(f"{GET}/{uuid4()}")) == "unauthenticated"


def test_notes_of_other_doors_have_a_bundle_too(gateway_site: GatewaySite) -> None:
    sent = {"note_id": str(uuid4()), "note_text": TEXT, "note_type": "progress_note"}
    gateway_site.client.post("/api/v1/predict", json=sent)
    bundle = gateway_site.client.get(f"{GET}/{sent['note_id']}").json()
    Bundle.model_validate(bundle)
    assert {c["subject"]["display"] for c in resources(bundle, "Condition")} == {"unknown patient"}


# --- HL7

MESSAGE = "\r".join(
    [
        r"MSH|^~\&|TRANSCRIPT|NORTH|CLINCODE|CODING|20260301101500||MDM^T02^MDM_T02|MSG0001|P|2.5.1||||||UNICODE UTF-8",
        "EVN|T02|20260301101500",
        "PID|1||800123^^^NORTH^MR||DOE^JANE||19500101|F",
        "PV1|1|I|W3^12^A|||||||CAR|||||||||V4711",
        "TXA|1|DS^Discharge summary|TX|202603011000+0100|77^WELBY||||88^SMITH^ANN|||DOC-1001|||||AU||AV",
        "OBX|1|TX|18842-5||Zyxwort pneumonia, treated with amoxicillin.||||||F",
    ]
)


def hl7(site: GatewaySite, message: str | bytes, media_type: str = "application/hl7-v2") -> Any:
    content = message if isinstance(message, bytes) else message.encode()
    return site.client.post(HL7, content=content, headers={"Content-Type": media_type})


def acknowledged(response: Any) -> str:
    """MSA-1 of the acknowledgement, which it is checked to be."""
    assert response.headers["Content-Type"].startswith("application/hl7-v2")
    message = parse_message(response.text, find_groups=False)
    return str(message.msa.msa_1.value)


def test_a_message_is_acknowledged_and_its_bundle_names_the_patient(gateway_site: GatewaySite) -> None:
    response = hl7(gateway_site, MESSAGE)
    assert (response.status_code, acknowledged(response)) == (200, "AA")
    assert "MSG0001" in response.text
    note_id = response.headers["Location"].rpartition("/")[2]
    row = gateway_site.wait(note_id)
    assert (row.source, row.encounter_id, row.note_type) == ("hl7", "V4711", "discharge_summary")
    assert row.context == {"control_id": "MSG0001", "document_id": "DOC-1001", "patient_id": "800123"}
    bundle = gateway_site.client.get(f"{GET}/{note_id}").json()
    Bundle.model_validate(bundle)
    subjects = [condition["subject"] for condition in resources(bundle, "Condition")]
    assert subjects[0] == {"type": "Patient", "identifier": {"value": "800123"}}
    assert gateway_site.client.get(response.headers["Location"]).json()["state"] == "done"


def test_a_message_sent_again_is_accepted_again_and_a_changed_one_is_an_error(gateway_site: GatewaySite) -> None:
    first, again = hl7(gateway_site, MESSAGE), hl7(gateway_site, MESSAGE.replace("MSG0001", "MSG0002"))
    assert (first.headers["Location"], acknowledged(again)) == (again.headers["Location"], "AA")
    changed = hl7(gateway_site, MESSAGE.replace("Zyxwort", "Other"))
    assert (changed.status_code, acknowledged(changed)) == (409, "AE")


@pytest.mark.parametrize(
    ("message", "status", "kind"),
    [
        (MESSAGE.replace("MDM^T02", "ADT^A01"), 422, "AR"),
        (MESSAGE.replace("|2.5.1|", "|9.9|"), 422, "AR"),
        (MESSAGE.replace("OBX|1|TX", "OBX|1|ED"), 422, "AE"),
        (MESSAGE.split("\rOBX")[0], 422, "AE"),
        (MESSAGE.encode().replace(b"Zyxwort", b"Zyx\xff"), 422, "AR"),  # its bytes are not those of MSH-18
    ],
)
def test_what_is_refused_is_acknowledged_so(
    refusing_site: GatewaySite, message: str | bytes, status: int, kind: str
) -> None:
    response = hl7(refusing_site, message)
    assert (response.status_code, acknowledged(response)) == (status, kind)
    assert "Zyx" not in response.text
    assert sum(refusing_site.services.notes.counts().values()) == 0


@pytest.mark.parametrize("content", [b"", b"Zyxwort", b"MSH", b"\x0b\x1c\r", b"\x00" * 50, b"MSH|^~\\&|" * 1000])
def test_what_is_no_message_is_refused(refusing_site: GatewaySite, content: bytes) -> None:
    response = hl7(refusing_site, content)
    assert 400 <= response.status_code < 500
    assert acknowledged(response) in {"AR", "AE"}
    assert "Zyx" not in response.text


def test_a_message_of_another_media_type_or_of_nobody_gets_the_envelope(refusing_site: GatewaySite) -> None:
    assert hl7(refusing_site, MESSAGE, "application/json").json()["error"]["code"] == "unsupported_media_type"
    nobody = refusing_site.stranger().post(HL7, content=MESSAGE, headers={"Content-Type": "text/plain"})
    assert nobody.json()["error"]["code"] == "unauthenticated"

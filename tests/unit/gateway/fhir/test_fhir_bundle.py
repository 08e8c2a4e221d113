"""Answer → Bundle, and the way from a DocumentReference to it."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from clincode.errors import AnalysisError, ErrorBody
from gateway.fhir import DocumentContext, operation_outcome, read_document, result_bundle
from gateway.fhir.terms import ASSERTION, CANDIDATE, CODING_FLAG, CONFIDENCE, EXPANSION, ICD_10_CM, SOURCE_SPAN

Json = dict[str, Any]

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NOTE_ID = "9b1fd1b3-6d2c-a0a6-4d2f-3d2b5cf1f0aa"
TEXT = (
    "PMH: Breast cancer. FH: Father had colon cancer. Mother had no stroke. ASSESSMENT: 😀 Possible pneumonia; T2DM. "
    "Denies chest pain. Chest x-ray was ordered. No lumbar puncture. Appendectomy in 2010. Started metoprolol 25mg, "
    "stopped warfarin, never took aspirin, ibuprofen if needed. Left lung clear. Return if dyspnea."
)
CONTEXT = DocumentContext(
    note_id=NOTE_ID,
    note_type="discharge_summary",
    document="DocumentReference/d-1",
    version="3",
    subject="Patient/p-1",
    encounter="Encounter/e-7",
    author="Practitioner/a-1",
    date="2026-03-01T10:15:00-05:00",
)


def entity(text: str, kind: str, codes: list[tuple[str, str, float]] | None = None, **context: Any) -> Json:
    start = TEXT.index(text)
    return {
        "text": text,
        "type": kind,
        "start_char": start,
        "end_char": start + len(text),
        "confidence": 0.9,
        "icd_codes": [{"code": c, "description": d, "confidence": p} for c, d, p in codes or []],
        "is_negated": context.get("certainty") == "negated",
        "negation_trigger": None,
        "certainty": "affirmed",
        "temporality": "current",
        "experiencer": "patient",
        "section": None,
        "expansion": None,
    } | context


T2DM = [
    ("E11.9", "Type 2 diabetes mellitus without complications", 0.9),
    ("E11.8", "Type 2 diabetes mellitus with unspecified complications", 0.1),
]
PNEUMONIA = [("J18.9", "Pneumonia, unspecified organism", 0.8)]
COLON = [("C18.9", "Malignant neoplasm of colon, unspecified", 0.7)]
BREAST = [("C50.919", "Malignant neoplasm of unspecified site of unspecified female breast", 0.6)]

ENTITIES = [
    entity("Breast cancer", "DIAGNOSIS", BREAST, temporality="historical"),
    entity("colon cancer", "DIAGNOSIS", COLON, experiencer="family"),
    entity("stroke", "DIAGNOSIS", experiencer="family", certainty="negated"),
    entity("pneumonia", "DIAGNOSIS", PNEUMONIA, certainty="possible"),
    entity("T2DM", "DIAGNOSIS", T2DM, expansion="type 2 diabetes mellitus"),
    entity("chest pain", "DIAGNOSIS", [("R07.9", "Chest pain, unspecified", 0.9)], certainty="negated"),
    entity("Chest x-ray", "TEST"),
    entity("lumbar puncture", "PROCEDURE", certainty="negated"),
    entity("Appendectomy", "PROCEDURE", temporality="historical"),
    entity("metoprolol 25mg", "MEDICATION"),
    entity("warfarin", "MEDICATION", temporality="historical"),
    entity("aspirin", "MEDICATION", certainty="negated"),
    entity("ibuprofen", "MEDICATION", temporality="hypothetical"),
    entity("Left lung", "ANATOMY"),
    entity("dyspnea", "DIAGNOSIS", temporality="hypothetical"),
]


def answer(entities: list[Json] = ENTITIES, **changes: Any) -> Json:
    return {
        "note_id": NOTE_ID,
        "entities": entities,
        "processing_time_ms": 22,
        "model_version": "bert-clinical-ner-v1.0.0",
        "codes": [],
        "references": [],
        "redactions": [],
        "warnings": [],
    } | changes


CODES = [
    {"code": "J18.9", "description": "Pneumonia, unspecified organism", "evidence": [3], "flags": ["unspecified"]},
    {"code": "E11.9", "description": "Type 2 diabetes mellitus without complications", "evidence": [4], "flags": []},
    {"code": "Z85.3", "description": "Personal history of breast cancer", "evidence": [0, 13], "flags": []},
    {"code": "Z79.899", "description": "Other long term (current) drug therapy", "evidence": [], "flags": []},
]
ANSWER = answer(codes=[code | {"confidence": 0.8} for code in CODES], warnings=["a warning"])


def resources(bundle: Json, kind: str) -> list[Json]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def extension(element: Json, url: str) -> list[Json]:
    return [extension for extension in element["extension"] if extension["url"] == url]


def spans(resource: Json) -> list[tuple[int, int]]:
    parts = [{part["url"]: part["valueInteger"] for part in s["extension"]} for s in extension(resource, SOURCE_SPAN)]
    return [(part["start"], part["end"]) for part in parts]


def code_of(concept: Json) -> str:
    return str(concept["coding"][0]["code"])


def text_of(resource: Json) -> str:
    if resource["resourceType"] == "FamilyMemberHistory":
        return str(resource["condition"][0]["code"]["text"])
    return str(resource.get("code", resource.get("medicationCodeableConcept"))["text"])


@pytest.fixture(scope="module")
def bundle() -> Json:
    return result_bundle(ANSWER, CONTEXT, timestamp=NOW, icd_version="2026")


def mentions(bundle: Json) -> list[Json]:
    kinds = {"Condition", "Procedure", "MedicationStatement", "Observation", "FamilyMemberHistory"}
    found = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] in kinds]
    return [r for r in found if code_of(r.get("category", [{"coding": [{"code": ""}]}])[0]) != "encounter-diagnosis"]


def coded(bundle: Json) -> list[Json]:
    return [r for r in resources(bundle, "Condition") if code_of(r["category"][0]) == "encounter-diagnosis"]


def test_it_is_a_bundle(bundle: Json) -> None:
    Bundle.model_validate(json.loads(json.dumps(bundle)))
    assert (bundle["type"], bundle["timestamp"]) == ("collection", "2026-03-04T05:06:07.000+00:00")
    assert bundle["identifier"]["value"] == NOTE_ID
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert urls == [f"urn:uuid:{entry['resource']['id']}" for entry in bundle["entry"]]
    kinds = Counter(entry["resource"]["resourceType"] for entry in bundle["entry"])
    assert kinds == {
        "List": 1,
        "Condition": 8,
        "FamilyMemberHistory": 1,
        "Observation": 1,
        "Procedure": 2,
        "MedicationStatement": 4,
        "OperationOutcome": 1,
        "Device": 1,
        "Provenance": 1,
    }


def test_from_a_document_to_the_spans_of_its_bundle() -> None:
    resource = {
        "resourceType": "DocumentReference",
        "id": NOTE_ID,
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18842-5"}]},
        "subject": {"reference": "Patient/p-1"},
        "date": "2026-03-01T10:15:00.000-05:00",
        "content": [{"attachment": {"contentType": "text/plain", "data": base64.b64encode(TEXT.encode()).decode()}}],
    }
    read = read_document(json.dumps(resource).encode())
    kept = DocumentContext.from_dict(json.loads(json.dumps(read.context.to_dict())))
    bundle = result_bundle(ANSWER, kept, timestamp=NOW)
    assert len(mentions(bundle)) == 12
    for mention in mentions(bundle):
        ((start, end),) = spans(mention)
        assert read.note.text[start:end] == text_of(mention)
        subject = mention.get("subject", mention.get("patient"))
        assert subject == {"reference": "Patient/p-1"}


@pytest.mark.parametrize(
    ("text", "clinical", "verification"),
    [
        ("Breast cancer", "inactive", "provisional"),
        ("pneumonia", "active", "unconfirmed"),
        ("T2DM", "active", "provisional"),
        ("chest pain", None, "refuted"),
    ],
)
def test_conditions(bundle: Json, text: str, clinical: str | None, verification: str) -> None:
    (condition,) = [mention for mention in mentions(bundle) if text_of(mention) == text]
    assert code_of(condition["verificationStatus"]) == verification
    assert (code_of(condition["clinicalStatus"]) if "clinicalStatus" in condition else None) == clinical
    assert code_of(condition["category"][0]) == "mention"
    assert condition["evidence"] == [{"detail": [{"reference": "DocumentReference/d-1", "type": "DocumentReference"}]}]
    assert condition["encounter"] == {"reference": "Encounter/e-7"}


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        ("colon cancer", "FamilyMemberHistory", "partial"),
        ("Chest x-ray", "Observation", "preliminary"),
        ("lumbar puncture", "Procedure", "not-done"),
        ("Appendectomy", "Procedure", "completed"),
        ("metoprolol 25mg", "MedicationStatement", "active"),
        ("warfarin", "MedicationStatement", "completed"),
        ("aspirin", "MedicationStatement", "not-taken"),
        ("ibuprofen", "MedicationStatement", "intended"),
    ],
)
def test_other_mentions(bundle: Json, text: str, kind: str, status: str) -> None:
    (mention,) = [mention for mention in mentions(bundle) if text_of(mention) == text]
    assert (mention["resourceType"], mention["status"]) == (kind, status)


def test_a_code_has_its_system_year_and_confidence_and_the_others_are_candidates(bundle: Json) -> None:
    (condition,) = [mention for mention in mentions(bundle) if text_of(mention) == "T2DM"]
    (coding,) = condition["code"]["coding"]
    assert (coding["system"], coding["version"], coding["code"]) == (ICD_10_CM, "2026", "E11.9")
    assert extension(coding, CONFIDENCE) == [{"url": CONFIDENCE, "valueDecimal": 0.9}]
    assert [candidate["valueCoding"]["code"] for candidate in extension(condition, CANDIDATE)] == ["E11.8"]
    assert extension(condition, EXPANSION) == [{"url": EXPANSION, "valueString": "type 2 diabetes mellitus"}]
    (said,) = extension(condition, ASSERTION)
    assert {part["url"]: part["valueCode"] for part in said["extension"]} == {
        "certainty": "affirmed",
        "temporality": "current",
        "experiencer": "patient",
    }


def test_the_codes_of_the_note_are_a_list_of_their_own(bundle: Json) -> None:
    (codes,) = resources(bundle, "List")
    conditions = {f"urn:uuid:{condition['id']}": condition for condition in coded(bundle)}
    ranked = [conditions[entry["item"]["reference"]] for entry in codes["entry"]]
    assert [code_of(condition["code"]) for condition in ranked] == ["J18.9", "E11.9", "Z85.3", "Z79.899"]
    assert [code_of(condition["verificationStatus"]) for condition in ranked] == ["unconfirmed"] + ["provisional"] * 3
    assert [flag["valueCode"] for flag in extension(ranked[0], CODING_FLAG)] == ["unspecified"]
    ids = {text_of(mention): f"urn:uuid:{mention['id']}" for mention in mentions(bundle)}
    evidence = [[detail["reference"] for detail in condition["evidence"][0]["detail"][1:]] for condition in ranked]
    assert evidence == [[ids["pneumonia"]], [ids["T2DM"]], [ids["Breast cancer"]], []]
    assert [[TEXT[start:end] for start, end in spans(condition)] for condition in ranked] == [
        ["pneumonia"],
        ["T2DM"],
        ["Breast cancer", "Left lung"],
        [],
    ]


def test_nothing_is_left_out_in_silence(bundle: Json) -> None:
    (outcome,) = resources(bundle, "OperationOutcome")
    assert [issue["diagnostics"] for issue in outcome["issue"]] == [
        "a warning",
        "not in this Bundle: 1 (a relative's, not affirmed)",
        "not in this Bundle: 1 (anatomy)",
        "not in this Bundle: 1 (hypothetical)",
    ]
    assert {issue["severity"] for issue in outcome["issue"]} == {"information"}


def test_what_made_it(bundle: Json) -> None:
    (provenance,) = resources(bundle, "Provenance")
    (device,) = resources(bundle, "Device")
    assert device["version"] == [{"value": "bert-clinical-ner-v1.0.0"}]
    assert provenance["agent"][0]["who"] == {"reference": f"urn:uuid:{device['id']}"}
    assert provenance["entity"][0]["what"]["reference"] == "DocumentReference/d-1/_history/3"
    made = {target["reference"] for target in provenance["target"]}
    others = {"OperationOutcome", "Device", "Provenance"}
    tagged = [entry for entry in bundle["entry"] if entry["resource"]["resourceType"] not in others]
    assert made == {entry["fullUrl"] for entry in tagged}
    assert {entry["resource"]["meta"]["tag"][0]["code"] for entry in tagged} == {"machine-suggestion"}


@pytest.mark.parametrize("kind", ["DIAGNOSIS", "PROCEDURE", "MEDICATION", "TEST", "ANATOMY"])
def test_every_context_is_valid_and_keeps_the_invariants(kind: str) -> None:
    contexts = product(
        ["affirmed", "negated", "possible"], ["current", "historical", "hypothetical"], ["patient", "family", "other"]
    )
    for certainty, temporality, experiencer in contexts:
        one = entity("T2DM", kind, T2DM, certainty=certainty, temporality=temporality, experiencer=experiencer)
        bundle = result_bundle(answer([one]), CONTEXT, timestamp=NOW)
        found = mentions(bundle)
        assert len(found) + len(resources(bundle, "OperationOutcome")) == 1
        for mention in found:
            if experiencer != "patient":
                assert mention["resourceType"] == "FamilyMemberHistory"
            if mention["resourceType"] == "Condition":  # con-3, con-4 and con-5
                assert temporality != "hypothetical"
                assert code_of(mention["verificationStatus"]) != "entered-in-error"
                assert code_of(mention["category"][0]) != "problem-list-item"
                assert not any(name.startswith("abatement") for name in mention)
            if mention["resourceType"] == "Observation":  # obs-6
                assert "dataAbsentReason" in mention
                assert not any(name.startswith("value") for name in mention)


def test_an_empty_answer() -> None:
    bundle = result_bundle(answer([]), DocumentContext(NOTE_ID, "progress_note"), timestamp=NOW)
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == ["List", "Device", "Provenance"]
    assert "entry" not in bundle["entry"][0]["resource"]


def test_subjects_and_documents_that_are_not_known() -> None:
    one = answer([entity("T2DM", "DIAGNOSIS")])
    (condition,) = mentions(result_bundle(one, DocumentContext(NOTE_ID, "progress_note"), timestamp=NOW))
    assert condition["subject"] == {"display": "unknown patient"}
    assert condition["evidence"][0]["detail"][0]["identifier"]["value"] == NOTE_ID
    known = DocumentContext(NOTE_ID, "progress_note", subject_system="urn:mrn", subject_value="800")
    (condition,) = mentions(result_bundle(one, known, timestamp=NOW))
    assert condition["subject"] == {"type": "Patient", "identifier": {"system": "urn:mrn", "value": "800"}}


def test_ids_are_stable() -> None:
    other = answer(codes=ANSWER["codes"], model_version="bert-clinical-ner-v2.0.0")
    first, second = (result_bundle(a, CONTEXT, timestamp=NOW) for a in (ANSWER, other))
    assert [m["id"] for m in mentions(first)] == [m["id"] for m in mentions(second)]
    assert [m["id"] for m in coded(first)] == [m["id"] for m in coded(second)]
    assert resources(first, "Device")[0]["id"] != resources(second, "Device")[0]["id"]


def test_repeated_spans_get_ids_of_their_own() -> None:
    bundle = result_bundle(answer([ENTITIES[4], ENTITIES[4]]), CONTEXT, timestamp=NOW)
    assert len({mention["id"] for mention in mentions(bundle)}) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"entities": [{"text": "Zyxwort"}]},
        answer([ENTITIES[0] | {"start_char": "Zyxwort"}]),
        answer([ENTITIES[0] | {"type": "Zyxwort"}]),
        answer([ENTITIES[0] | {"text": ""}]),
        answer(codes=[ANSWER["codes"][0] | {"evidence": [99]}]),
        answer(codes=[ANSWER["codes"][0] | {"code": " Zyxwort "}]),
    ],
)
def test_answers_that_are_none(bad: Json) -> None:
    with pytest.raises(AnalysisError) as caught:
        result_bundle(bad, CONTEXT, timestamp=NOW)
    assert "Zyxwort" not in str(caught.value)


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        result_bundle(ANSWER, CONTEXT, timestamp=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("code", "status", "field", "issue", "severity", "expression"),
    [
        ("missing", 422, "content[0].attachment.data", "required", "error", ["content[0].attachment.data"]),
        ("invalid_json", 400, None, "structure", "error", None),
        ("body_too_large", 413, None, "too-long", "error", None),
        ("string_too_long", 422, "entry[2].resource.content[0]", "too-long", "error", ["entry[2].resource.content[0]"]),
        ("hash_mismatch", 422, "not a path", "value", "error", None),
        ("unsupported_content_type", 422, "content", "not-supported", "error", ["content"]),
        ("forbidden", 403, None, "forbidden", "error", None),
        ("not_found", 404, None, "not-found", "error", None),
        ("teapot", 418, None, "invalid", "error", None),
        ("internal_error", 500, None, "exception", "fatal", None),
        ("model_unavailable", 503, None, "transient", "fatal", None),
    ],
)
def test_operation_outcome(
    code: str, status: int, field: str | None, issue: str, severity: str, expression: list[str] | None
) -> None:
    outcome = operation_outcome(ErrorBody(code, "it does not fit", field), status)
    OperationOutcome.model_validate(outcome)
    (only,) = outcome["issue"]
    assert (only["code"], only["severity"], only.get("expression")) == (issue, severity, expression)
    assert only["details"]["text"] == "it does not fit"
    assert code_of(only["details"]) == code

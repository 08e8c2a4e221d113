"""One mention of the answer → one R4 resource, or the reason why there is none.

| mention | resource | what its status says |
|---|---|---|
| DIAGNOSIS of the patient | Condition | ``refuted``, ``unconfirmed`` (possible), else ``provisional`` |
| DIAGNOSIS of a relative, affirmed | FamilyMemberHistory | ``partial``; the relative is an unnamed family member |
| PROCEDURE | Procedure | ``not-done``, ``completed`` (historical), else ``unknown`` |
| MEDICATION | MedicationStatement | ``not-taken``, ``intended``, ``completed``, ``active``, else ``unknown`` |
| TEST | Observation | ``preliminary`` without a value |

An affirmed diagnosis is ``provisional``, in R4 "a tentative diagnosis - still a candidate that is under
consideration": the note states it, but a machine read it and nobody has agreed. ``confirmed`` is for whoever reviews
it. ``clinicalStatus`` is ``active``, for what is historical ``inactive``, and is left out where the diagnosis is
refuted; so con-3, con-4 and con-5 hold.

A current procedure is ``unknown``, for the contract does not tell a planned one from one that was done. A denied test
may be one that was not done or one that found nothing, so its Observation claims neither; the assertion extension
says that it is denied.

Nothing is made of what is hypothetical ("return if …") save medications, of other people's mentions, of a relative's
other than affirmed diagnoses (R4 has no place for a denied one, nor for procedures), and of ANATOMY, for the contract
does not say which finding a body part belongs to.
"""

from collections.abc import Mapping
from typing import Any

from gateway.fhir.terms import (
    EXPANSION,
    LEVEL_SYSTEM,
    MACHINE_TAG,
    Resource,
    assertion,
    concept,
    confidence,
    fhir_string,
    icd_coding,
    other_candidates,
    source_span,
)

CLINICAL_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION_STATUS = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"

MENTION_CATEGORY = concept(LEVEL_SYSTEM, "mention", "A mention in the note")

Entity = Mapping[str, Any]


def left_out(entity: Entity) -> str | None:
    """Why nothing is made of a mention; None where something is."""
    if entity["type"] == "ANATOMY":
        return "anatomy"
    if entity["experiencer"] == "other":
        return "another person's"
    if entity["temporality"] == "hypothetical" and (
        entity["type"] != "MEDICATION" or entity["certainty"] == "negated" or entity["experiencer"] == "family"
    ):
        return "hypothetical"
    if entity["experiencer"] == "family":
        if entity["type"] != "DIAGNOSIS":
            return "a relative's, not a diagnosis"
        if entity["certainty"] != "affirmed":
            return "a relative's, not affirmed"
    return None


def mention_resource(
    entity: Entity, *, id: str, subject: Resource, document: Resource, version: str | None
) -> Resource:
    """The resource of a mention that ``left_out`` lets pass, without encounter and dates.

    ``document`` is the reference to the DocumentReference, ``version`` that of ICD-10-CM.
    """
    common: Resource = {
        "id": id,
        "meta": {"tag": [MACHINE_TAG]},
        "extension": [source_span(entity), assertion(entity), confidence(entity["confidence"])],
    }
    if entity["expansion"]:
        common["extension"].append({"url": EXPANSION, "valueString": fhir_string(entity["expansion"])})
    common["extension"].extend(other_candidates(entity, version))
    code: Resource = {"text": fhir_string(entity["text"])}
    if entity["icd_codes"]:
        code = {"coding": [icd_coding(entity["icd_codes"][0], version)], **code}
    match entity["type"]:
        case "DIAGNOSIS" if entity["experiencer"] == "family":
            return _family_history(common, code, subject)
        case "DIAGNOSIS":
            return _condition(entity, common, code, subject, document)
        case "PROCEDURE":
            status = _procedure_status(entity)
            rest = {"status": status, "code": code, "subject": subject, "report": [document]}
            return {"resourceType": "Procedure", **common, **rest}
        case "MEDICATION":
            return {
                "resourceType": "MedicationStatement",
                **common,
                "status": _medication_status(entity),
                "medicationCodeableConcept": code,
                "subject": subject,
                "derivedFrom": [document],
            }
        case "TEST":
            return {
                "resourceType": "Observation",
                **common,
                "status": "preliminary",
                "code": code,
                "subject": subject,
                "dataAbsentReason": concept(DATA_ABSENT, "unknown", "Unknown"),
                "derivedFrom": [document],
            }
        case _:
            raise ValueError("a mention of an unknown type")


def verification_status(certainty: str) -> Resource:
    code = {"negated": "refuted", "possible": "unconfirmed"}.get(certainty, "provisional")
    return concept(VERIFICATION_STATUS, code)


def _condition(entity: Entity, common: Resource, code: Resource, subject: Resource, document: Resource) -> Resource:
    condition: Resource = {"resourceType": "Condition", **common}
    if entity["certainty"] != "negated":
        historical = entity["temporality"] == "historical"
        condition["clinicalStatus"] = concept(CLINICAL_STATUS, "inactive" if historical else "active")
    return condition | {
        "verificationStatus": verification_status(entity["certainty"]),
        "category": [MENTION_CATEGORY],
        "code": code,
        "subject": subject,
        "evidence": [{"detail": [document]}],
    }


def _family_history(common: Resource, code: Resource, subject: Resource) -> Resource:
    return {
        "resourceType": "FamilyMemberHistory",
        **common,
        "status": "partial",
        "patient": subject,
        "relationship": concept(ROLE_CODE, "FAMMEMB", "family member"),
        "condition": [{"code": code}],
    }


def _procedure_status(entity: Entity) -> str:
    if entity["certainty"] == "negated":
        return "not-done"
    affirmed = entity["certainty"] == "affirmed"
    return "completed" if affirmed and entity["temporality"] == "historical" else "unknown"


def _medication_status(entity: Entity) -> str:
    if entity["certainty"] == "negated":
        return "not-taken"
    if entity["temporality"] == "hypothetical":
        return "intended"
    if entity["certainty"] == "possible":
        return "unknown"
    return "completed" if entity["temporality"] == "historical" else "active"

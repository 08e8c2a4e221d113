"""Systems, codes and extensions of the answer's resources; those under ``https://clincode.dev/fhir`` are its own."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

BASE = "https://clincode.dev/fhir"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"

SOURCE_SPAN = f"{BASE}/StructureDefinition/source-span"
ASSERTION = f"{BASE}/StructureDefinition/assertion"
CONFIDENCE = f"{BASE}/StructureDefinition/confidence"
CANDIDATE = f"{BASE}/StructureDefinition/code-candidate"
EXPANSION = f"{BASE}/StructureDefinition/expansion"
CODING_FLAG = f"{BASE}/StructureDefinition/coding-flag"

NOTE_SYSTEM = f"{BASE}/sid/note"
LEVEL_SYSTEM = f"{BASE}/CodeSystem/level"
ERROR_SYSTEM = f"{BASE}/CodeSystem/error"

MACHINE_TAG = {
    "system": f"{BASE}/CodeSystem/origin",
    "code": "machine-suggestion",
    "display": "Suggested by a machine, not reviewed by a person",
}

Resource = dict[str, Any]


def concept(system: str, code: str, display: str | None = None) -> Resource:
    """A CodeableConcept of one coding."""
    coding = {"system": system, "code": code}
    return {"coding": [coding | {"display": display} if display else coding]}


def stable_uuid(*key: object) -> str:
    """The same UUIDv5 for the same key, whenever and wherever it is asked."""
    return str(uuid5(NAMESPACE_URL, "/".join([BASE, *map(str, key)])))


def fhir_string(text: str) -> str:
    """The text as FHIR's ``string`` may hold it: control characters other than tab and line ends become spaces."""
    return "".join(" " if ord(c) < 32 and c not in "\t\r\n" else c for c in text)


def source_span(entity: Mapping[str, Any]) -> Resource:
    """Where a mention stands: half-open, in Unicode code points of the text of the attachment that was read."""
    bounds = {"start": entity["start_char"], "end": entity["end_char"]}
    return {"url": SOURCE_SPAN, "extension": [{"url": url, "valueInteger": at} for url, at in bounds.items()]}


def assertion(entity: Mapping[str, Any]) -> Resource:
    """The clinical context as the contract has it."""
    names = ("certainty", "temporality", "experiencer")
    return {"url": ASSERTION, "extension": [{"url": name, "valueCode": entity[name]} for name in names]}


def confidence(value: float) -> Resource:
    return {"url": CONFIDENCE, "valueDecimal": value}


def icd_coding(candidate: Mapping[str, Any], version: str | None) -> Resource:
    """A code of the contract with its official title, and its confidence as an extension of the coding."""
    coding: Resource = {"extension": [confidence(candidate["confidence"])], "system": ICD_10_CM}
    if version:
        coding["version"] = version
    return {**coding, "code": candidate["code"], "display": candidate["description"]}


def other_candidates(entity: Mapping[str, Any], version: str | None) -> Iterable[Resource]:
    """The ranked codes of a mention after the first, which is its code. (``CodeableConcept.coding`` is no place for
    them: R4 wants there the same concept in several systems, not several concepts.)"""
    for candidate in entity["icd_codes"][1:]:
        yield {"url": CANDIDATE, "valueCoding": icd_coding(candidate, version)}

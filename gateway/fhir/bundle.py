"""The contract's answer → an R4 Bundle of type ``collection``.

It holds, in this order:

- a List, the note's own code list, best first, whose entries are
- Conditions of category ``encounter-diagnosis``, one for each billable code;
- one resource for each mention (``gateway.fhir.mentions``); mention-level Conditions have the category ``mention`` of
  this project's own system, so the two are never mixed up;
- an OperationOutcome of informational issues, where the answer has warnings or mentions are left out;
- a Device, the model's version, and a Provenance that says that it made all of these from the DocumentReference.

Ids are UUIDv5 over the note's id, level, type and span (or code): the same note gives the same ids, whichever model
reads it, so what a server keeps of an older answer is replaced. No ``asserter``, ``recorder`` or ``performer`` is
named: the author signed the note, not what a machine read in it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from clincode.errors import AnalysisError
from gateway.fhir.context import DocumentContext
from gateway.fhir.mentions import left_out, mention_resource, verification_status
from gateway.fhir.terms import (
    CODING_FLAG,
    MACHINE_TAG,
    NOTE_SYSTEM,
    Resource,
    concept,
    icd_coding,
    source_span,
    stable_uuid,
)

CATEGORY_SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-category"
AGENT_SYSTEM = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
UNKNOWN_PATIENT: Resource = {"display": "unknown patient"}

_ENCOUNTER_ELEMENT = {"MedicationStatement": "context", "FamilyMemberHistory": None}


def result_bundle(
    answer: Mapping[str, Any], context: DocumentContext, *, timestamp: datetime, icd_version: str | None = None
) -> Resource:
    """The Bundle of an answer, JSON-ready and checked against the models of fhir.resources.

    ``timestamp`` (aware) is when the answer was made; ``icd_version`` goes into every ICD-10-CM coding. A document
    without a subject gives resources whose subject is only the words "unknown patient".

    Raises:
        ValueError: ``timestamp`` has no time zone.
        AnalysisError: the answer is not one of the contract's, or what came of it is no R4. Nothing of it is quoted.
    """
    if timestamp.tzinfo is None:
        raise ValueError("timestamp needs a time zone")
    try:
        bundle = _Answer(answer, context, timestamp.isoformat(timespec="milliseconds"), icd_version).bundle()
        Bundle.model_validate(bundle)
    except Exception as error:  # a ValidationError's message has values of the note in it
        raise AnalysisError("fhir_bundle", type(error).__name__) from None
    return bundle


class _Answer:
    """One answer on its way to a Bundle."""

    def __init__(self, answer: Mapping[str, Any], context: DocumentContext, time: str, icd_version: str | None) -> None:
        self.answer = answer
        self.context = context
        self.time = time
        self.icd_version = icd_version
        self.document = _document(context)
        self.subject = _subject(context)
        self.ids: set[str] = set()

    def bundle(self) -> Resource:
        note_id = self.context.note_id
        mentions, omitted = self._mentions()
        conditions = [self._coded_condition(code, mentions) for code in self.answer["codes"]]
        resources = [self._list(conditions), *conditions, *mentions.values()]
        targets = [_urn(resource) for resource in resources]
        outcome = self._outcome(omitted)
        device = self._device()
        resources += [*outcome, device, self._provenance(targets, device)]
        return {
            "resourceType": "Bundle",
            "id": stable_uuid(note_id, "bundle"),
            "meta": {"tag": [MACHINE_TAG]},
            "identifier": {"system": NOTE_SYSTEM, "value": note_id},
            "type": "collection",
            "timestamp": self.time,
            "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources],
        }

    def _mentions(self) -> tuple[dict[int, Resource], Counter[str]]:
        """Resources by the index of their entity, and how many were left out for which reason."""
        resources: dict[int, Resource] = {}
        omitted: Counter[str] = Counter()
        for index, entity in enumerate(self.answer["entities"]):
            reason = left_out(entity)
            if reason is not None:
                omitted[reason] += 1
                continue
            resource = mention_resource(
                entity,
                id=self._id("mention", entity["type"], entity["start_char"], entity["end_char"]),
                subject=self.subject,
                document=self.document,
                version=self.icd_version,
            )
            self._place(resource)
            resources[index] = resource
        return resources, omitted

    def _place(self, resource: Resource) -> None:
        """The encounter and the dates, under the names that the resource has for them."""
        kind = resource["resourceType"]
        element = _ENCOUNTER_ELEMENT.get(kind, "encounter")
        if element and self.context.encounter:
            resource[element] = {"reference": self.context.encounter}
        if kind == "Condition":
            resource["recordedDate"] = self.time
        if kind == "MedicationStatement" and self.context.date:
            resource["dateAsserted"] = self.context.date

    def _coded_condition(self, code: Mapping[str, Any], mentions: Mapping[int, Resource]) -> Resource:
        entities = [self.answer["entities"][index] for index in code["evidence"]]
        details = [_urn(mentions[index]) for index in code["evidence"] if index in mentions]
        # A discharge summary's "possible" is coded as if it existed (guideline II.H); it is unconfirmed all the same.
        possible = bool(entities) and all(entity["certainty"] == "possible" for entity in entities)
        resource: Resource = {
            "resourceType": "Condition",
            "id": self._id("code", code["code"]),
            "meta": {"tag": [MACHINE_TAG]},
            "extension": [
                *({"url": CODING_FLAG, "valueCode": flag} for flag in code["flags"]),
                *(source_span(entity) for entity in entities),
            ],
            "verificationStatus": verification_status("possible" if possible else "affirmed"),
            "category": [concept(CATEGORY_SYSTEM, "encounter-diagnosis", "Encounter Diagnosis")],
            "code": {"coding": [icd_coding(code, self.icd_version)], "text": code["description"]},
            "subject": self.subject,
            "evidence": [{"detail": [self.document, *details]}],
        }
        self._place(resource)
        return resource

    def _list(self, conditions: Sequence[Resource]) -> Resource:
        resource: Resource = {
            "resourceType": "List",
            "id": self._id("codes"),
            "meta": {"tag": [MACHINE_TAG]},
            "identifier": [{"system": NOTE_SYSTEM, "value": self.context.note_id}],
            "status": "current",
            "mode": "snapshot",
            "title": "Suggested ICD-10-CM codes of the note, best first",
            "subject": self.subject,
            "date": self.time,
            "orderedBy": concept("http://terminology.hl7.org/CodeSystem/list-order", "priority", "Sorted by Priority"),
        }
        if conditions:
            resource["entry"] = [{"item": _urn(condition)} for condition in conditions]
        self._place(resource)
        return resource

    def _outcome(self, omitted: Counter[str]) -> list[Resource]:
        """One issue for each warning and for each reason for which mentions are left out."""
        counts = [f"not in this Bundle: {count} ({reason})" for reason, count in sorted(omitted.items())]
        texts = [*self.answer["warnings"], *counts]
        issues = [{"severity": "information", "code": "informational", "diagnostics": text} for text in texts]
        if not issues:
            return []
        return [{"resourceType": "OperationOutcome", "id": self._id("outcome"), "issue": issues}]

    def _device(self) -> Resource:
        version = self.answer["model_version"]
        return {
            "resourceType": "Device",
            "id": stable_uuid("device", version),
            "deviceName": [{"name": "clincode", "type": "model-name"}],
            "version": [{"value": version}],
        }

    def _provenance(self, targets: list[Resource], device: Resource) -> Resource:
        what = dict(self.document)
        if "reference" in what and what["reference"].startswith("DocumentReference/") and self.context.version:
            what["reference"] += f"/_history/{self.context.version}"
        return {
            "resourceType": "Provenance",
            "id": self._id("provenance", self.answer["model_version"]),
            "target": targets,
            "recorded": self.time,
            "agent": [{"type": concept(AGENT_SYSTEM, "author", "Author"), "who": _urn(device)}],
            "entity": [{"role": "source", "what": what}],
        }

    def _id(self, *key: object) -> str:
        """A stable id; a repeated key, which no answer of the engine has, gets another."""
        id = stable_uuid(self.context.note_id, *key)
        while id in self.ids:
            id = stable_uuid(id, "again")
        self.ids.add(id)
        return id


def _urn(resource: Resource) -> Resource:
    return {"reference": f"urn:uuid:{resource['id']}"}


def _document(context: DocumentContext) -> Resource:
    if context.document:
        return {"reference": context.document, "type": "DocumentReference"}
    identifier = {"system": NOTE_SYSTEM, "value": context.note_id}
    return {"type": "DocumentReference", "identifier": identifier}


def _subject(context: DocumentContext) -> Resource:
    if context.subject:
        return {"reference": context.subject}
    if context.subject_value:
        system = {"system": context.subject_system} if context.subject_system else {}
        return {"type": "Patient", "identifier": {**system, "value": context.subject_value}}
    return dict(UNKNOWN_PATIENT)

"""An analysis → the contract's response, field by field in its order."""

from clincode.types import Analysis, Entity, JsonObject, NoteCode

CONFIDENCE_DIGITS = 4


def response_body(analysis: Analysis, *, version: str, processing_time_ms: int) -> JsonObject:
    """The JSON-ready response for one note; ``processing_time_ms`` is wall time in whole milliseconds."""
    return {
        "note_id": analysis.note.note_id,
        "entities": [_entity(entity) for entity in analysis.entities],
        "processing_time_ms": processing_time_ms,
        "model_version": version,
        "codes": [_note_code(code) for code in analysis.codes],
        "references": [
            {
                "text": analysis.note.text[reference.start : reference.end],
                "start_char": reference.start,
                "end_char": reference.end,
                "antecedent_start": reference.antecedent_start,
                "antecedent_end": reference.antecedent_end,
            }
            for reference in analysis.references
        ],
        "redactions": [
            {"start_char": redaction.start, "end_char": redaction.end, "category": redaction.category}
            for redaction in analysis.redactions
        ],
        "warnings": list(analysis.warnings),
    }


def _entity(entity: Entity) -> JsonObject:
    assertion = entity.assertion
    return {
        "text": entity.text,
        "type": entity.span.type.value,
        "start_char": entity.span.start,
        "end_char": entity.span.end,
        "confidence": round(entity.span.confidence, CONFIDENCE_DIGITS),
        "icd_codes": [
            {
                "code": candidate.code,
                "description": candidate.description,
                "confidence": round(candidate.confidence, CONFIDENCE_DIGITS),
            }
            for candidate in entity.icd_codes
        ],
        "is_negated": assertion.is_negated,
        "negation_trigger": assertion.trigger if assertion.is_negated else None,
        "certainty": assertion.certainty.value,
        "temporality": assertion.temporality.value,
        "experiencer": assertion.experiencer.value,
        "section": entity.section,
        "expansion": entity.expansion,
    }


def _note_code(code: NoteCode) -> JsonObject:
    return {
        "code": code.code,
        "description": code.description,
        "confidence": round(code.confidence, CONFIDENCE_DIGITS),
        "evidence": list(code.evidence),
        "flags": list(code.flags),
    }

"""The response has the contract's fields, in its order, with its types."""

import json

from clincode.labels import EntityType
from clincode.response import response_body
from clincode.types import (
    Analysis,
    Assertion,
    Certainty,
    CodeCandidate,
    Entity,
    Note,
    NoteCode,
    Redaction,
    Reference,
    Span,
)

TEXT = "Mr. Q denies fever. It was never there."
ENTITY = Entity(
    "fever",
    Span(13, 18, EntityType.DIAGNOSIS, 0.987654),
    Assertion(certainty=Certainty.NEGATED, trigger="denies"),
    "ASSESSMENT",
    (CodeCandidate("R50.9", "Fever, unspecified", 0.87654),),
)
ANALYSIS = Analysis(
    Note("7d444840-9dc0-11d1-b245-5ffdce74fad2", TEXT),
    (ENTITY,),
    (NoteCode("R50.9", "Fever, unspecified", 0.5, (0,), ("unspecified",)),),
    (Reference(20, 22, 13, 18),),
    (Redaction(0, 5, "NAME"),),
    ("careful",),
)


def body() -> dict[str, object]:
    answer = response_body(ANALYSIS, version="bert-clinical-ner-v0.1.0", processing_time_ms=12)
    return json.loads(json.dumps(answer))


def test_fields_stand_in_the_contracts_order() -> None:
    assert list(body()) == [
        "note_id",
        "entities",
        "processing_time_ms",
        "model_version",
        "codes",
        "references",
        "redactions",
        "warnings",
    ]
    assert list(body()["entities"][0]) == [  # type: ignore[index]
        "text",
        "type",
        "start_char",
        "end_char",
        "confidence",
        "icd_codes",
        "is_negated",
        "negation_trigger",
        "certainty",
        "temporality",
        "experiencer",
        "section",
        "expansion",
    ]


def test_values_are_those_of_the_analysis() -> None:
    answer = body()
    assert answer["entities"] == [
        {
            "text": "fever",
            "type": "DIAGNOSIS",
            "start_char": 13,
            "end_char": 18,
            "confidence": 0.9877,
            "icd_codes": [{"code": "R50.9", "description": "Fever, unspecified", "confidence": 0.8765}],
            "is_negated": True,
            "negation_trigger": "denies",
            "certainty": "negated",
            "temporality": "current",
            "experiencer": "patient",
            "section": "ASSESSMENT",
            "expansion": None,
        }
    ]
    assert answer["codes"] == [
        {
            "code": "R50.9",
            "description": "Fever, unspecified",
            "confidence": 0.5,
            "evidence": [0],
            "flags": ["unspecified"],
        }
    ]
    assert answer["references"] == [
        {"text": "It", "start_char": 20, "end_char": 22, "antecedent_start": 13, "antecedent_end": 18}
    ]
    assert answer["redactions"] == [{"start_char": 0, "end_char": 5, "category": "NAME"}]
    assert answer["warnings"] == ["careful"]


def test_a_cue_of_possibility_is_no_negation_trigger() -> None:
    possible = Entity("fever", ENTITY.span, Assertion(certainty=Certainty.POSSIBLE, trigger="suspected"), None)
    answer = response_body(Analysis(ANALYSIS.note, (possible,)), version="v", processing_time_ms=1)
    entity = answer["entities"][0]
    assert (entity["is_negated"], entity["negation_trigger"], entity["certainty"]) == (False, None, "possible")

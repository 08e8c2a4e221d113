"""The note's list: whose conditions it holds, in which order, with which flags."""

import pytest

from clincode.icd import note_codes
from clincode.labels import EntityType
from clincode.types import Assertion, Certainty, CodeCandidate, Entity, Experiencer, Span, Temporality

FEVER = CodeCandidate("R50.9", "Fever, unspecified", 0.7)
HYPERTENSION = CodeCandidate("I10", "Essential (primary) hypertension", 0.8)
CATEGORY = CodeCandidate("I21", "Acute myocardial infarction", 0.9, billable=False)
INFARCTION = CodeCandidate("I21.9", "Acute myocardial infarction, unspecified", 0.6)


def entity(
    *candidates: CodeCandidate,
    assertion: Assertion | None = None,
    type_: EntityType = EntityType.DIAGNOSIS,
    text: str = "x",
) -> Entity:
    return Entity(text, Span(0, 1, type_, 0.9), assertion or Assertion(), None, candidates)


@pytest.mark.parametrize(
    ("assertion", "coded"),
    [
        (Assertion(), True),
        (Assertion(certainty=Certainty.NEGATED, trigger="denies"), False),
        (Assertion(certainty=Certainty.POSSIBLE, trigger="possible"), False),
        (Assertion(temporality=Temporality.HISTORICAL), False),
        (Assertion(temporality=Temporality.HYPOTHETICAL), False),
        (Assertion(experiencer=Experiencer.FAMILY), False),
        (Assertion(experiencer=Experiencer.OTHER), False),
    ],
)
def test_only_what_the_patient_has_now_is_coded(assertion: Assertion, coded: bool) -> None:
    assert bool(note_codes([entity(FEVER, assertion=assertion)])) is coded


@pytest.mark.parametrize("type_", [each for each in EntityType if each is not EntityType.DIAGNOSIS])
def test_only_diagnoses_are_coded(type_: EntityType) -> None:
    assert note_codes([entity(FEVER, type_=type_)]) == ()


def test_nothing_gives_nothing() -> None:
    assert note_codes([]) == ()
    assert note_codes([entity()]) == ()


def test_each_code_once_with_all_its_evidence_best_first() -> None:
    weaker = CodeCandidate("R50.9", "Fever, unspecified", 0.5)
    denied = entity(FEVER, assertion=Assertion(certainty=Certainty.NEGATED))
    codes = note_codes([entity(weaker), denied, entity(HYPERTENSION, FEVER), entity(FEVER)])
    assert [(code.code, code.confidence, code.evidence) for code in codes] == [
        ("I10", 0.8, (2,)),
        ("R50.9", 0.7, (0, 3)),
    ]


def test_ties_go_to_the_first_mentioned() -> None:
    other = CodeCandidate("A41.9", "Sepsis, unspecified organism", 0.7)
    assert [code.code for code in note_codes([entity(FEVER), entity(other)])] == ["R50.9", "A41.9"]


def test_a_category_gives_way_to_the_first_billable_code() -> None:
    assert [code.code for code in note_codes([entity(CATEGORY, INFARCTION)])] == ["I21.9"]
    assert note_codes([entity(CATEGORY)]) == ()


def test_a_weak_candidate_stays_off_the_list() -> None:
    assert note_codes([entity(CodeCandidate("R50.9", "Fever, unspecified", 0.1))]) == ()


@pytest.mark.parametrize(
    ("title", "text", "flags"),
    [
        ("Essential (primary) hypertension", "htn", ()),
        ("Fever, unspecified", "fever", ("unspecified",)),
        ("Pain in right knee", "right knee pain", ()),
        ("Pain in unspecified knee", "knee pain", ("unspecified", "needs_laterality")),
        (
            "Malignant neoplasm of unspecified site of unspecified female breast",
            "x",
            ("unspecified", "needs_laterality"),
        ),
        ("Fracture of neck of right femur, initial encounter for closed fracture", "fracture", ("encounter_assumed",)),
        ("Fracture of neck of right femur, initial encounter for closed fracture", "fracture, initial encounter", ()),
        ("Other fracture of right femur, sequela", "old fracture", ("encounter_assumed",)),
        ("Glomerular disorders in diseases classified elsewhere", "x", ("manifestation",)),
    ],
)
def test_flags(title: str, text: str, flags: tuple[str, ...]) -> None:
    assert note_codes([entity(CodeCandidate("X", title, 0.9), text=text)])[0].flags == flags

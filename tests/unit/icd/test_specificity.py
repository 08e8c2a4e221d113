"""From a code to the one of its category that says what the note says, no more and no less."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clincode.icd import Coder, Mention, Terminology
from clincode.icd.conventions import Conventions
from clincode.icd.defaults import Defaults
from clincode.icd.said import Said, facts_of, said_around
from clincode.icd.specificity import Specifier
from clincode.labels import EntityType
from clincode.types import Assertion, Sentence, Span

REFINED = [
    # code, note with the mention, what it becomes
    ("J45.909", "{Asthma}, severe persistent, with acute exacerbation.", "J45.51"),
    ("J45.909", "{Asthma} exacerbation.", "J45.901"),
    ("J44.9", "{Chronic obstructive pulmonary disease} with acute exacerbation.", "J44.1"),
    ("I50.9", "{Heart failure}, acute on chronic, systolic.", "I50.23"),
    ("I50.9", "Chronic diastolic {heart failure}.", "I50.32"),
    ("I48.91", "{Atrial fibrillation}, paroxysmal.", "I48.0"),
    ("I48.91", "Permanent {atrial fibrillation}.", "I48.21"),
    ("N18.9", "{Chronic kidney disease}, stage 3b.", "N18.32"),
    ("N18.9", "{Chronic kidney disease}, stage IV.", "N18.4"),
    ("N18.9", "{Chronic kidney disease}, stage 5.", "N18.5"),
    ("F33.9", "{Major depressive disorder}, recurrent, moderate.", "F33.1"),
    ("F32.9", "{Major depressive disorder}, single episode, mild.", "F32.0"),
    ("G43.909", "{Migraine} with aura.", "G43.109"),
    ("G43.909", "{Migraine} without aura.", "G43.009"),
    ("K57.92", "{Diverticulitis} of the sigmoid colon.", "K57.32"),
    ("K57.92", "{Diverticulitis} of the large intestine with perforation and abscess.", "K57.20"),
    ("K25.9", "Chronic {gastric ulcer} with hemorrhage.", "K25.4"),
    ("K80.20", "{Gallstones} with acute cholecystitis.", "K80.00"),
    ("C18.9", "{Malignant neoplasm} of the cecum.", "C18.0"),
    ("C18.9", "{Colon cancer}, sigmoid.", "C18.7"),
    ("C34.90", "{Lung cancer}, left upper lobe.", "C34.12"),
    ("C50.919", "{Breast cancer}, upper outer quadrant of the left breast.", "C50.412"),
    ("D50.9", "{Iron deficiency anemia} secondary to chronic blood loss.", "D50.0"),
    ("I21.3", "{STEMI} involving the left anterior descending coronary artery.", "I21.02"),
    ("I82.409", "Acute {deep vein thrombosis} of the right femoral vein.", "I82.411"),
    ("L89.90", "{Pressure ulcer} of the sacral region, stage 3.", "L89.153"),
    ("L89.90", "{Pressure ulcer} of the right heel, unstageable.", "L89.610"),
    ("L03.90", "{Cellulitis} of the face.", "L03.211"),
    ("E11.9", "{Type 2 diabetes} with hyperglycemia.", "E11.65"),
    ("E11.9", "{Type 2 diabetes} with foot ulcer.", "E11.621"),
    ("H40.1190", "Primary open-angle {glaucoma}, right eye, moderate stage.", "H40.1112"),
    ("M25.569", "{Pain} in the left knee.", "M25.562"),
    ("M17.9", "Primary {osteoarthritis} of both knees.", "M17.0"),
    ("S52.509A", "{Fracture} of the lower end of the right radius.", "S52.501A"),
    ("S52.509A", "{Colles' fracture}, left.", "S52.532A"),
    ("S72.009A", "Intertrochanteric {hip fracture}, displaced, right.", "S72.141A"),
    ("S83.209A", "{Tear} of the medial meniscus, bucket-handle, left knee, current injury.", "S83.212A"),
    # The side of the same part of the body elsewhere in the note.
    ("M25.569", "{Knee pain}. The left knee is swollen, the right hip stiff.", "M25.562"),
    ("M25.569", "{Knee pain}. Left hip replaced.", "M25.569"),
    # What is not said is not said by the code.
    ("J45.909", "{Asthma}.", "J45.909"),
    ("J18.9", "{Pneumonia}, improving.", "J18.9"),
    ("I48.91", "{Atrial fibrillation} on apixaban.", "I48.91"),
    ("I50.9", "{Heart failure}.", "I50.9"),
    ("N18.9", "{Chronic kidney disease}.", "N18.9"),
    ("E11.9", "{Type 2 diabetes}, on metformin.", "E11.9"),
    ("C50.919", "{Breast cancer}.", "C50.919"),
    ("M25.569", "{Knee pain} for a week.", "M25.569"),
    ("I10", "{Hypertension} with headache.", "I10"),
    # Nor what is denied, or said of something else.
    ("K57.92", "{Diverticulitis} without bleeding, no perforation or abscess.", "K57.92"),
    ("J45.909", "{Asthma}, no exacerbation.", "J45.909"),
    ("E11.9", "{Type 2 diabetes} without retinopathy or neuropathy.", "E11.9"),
    ("J44.9", "{Chronic obstructive pulmonary disease}. Asthma exacerbation last year.", "J44.9"),
    ("N18.9", "{Chronic kidney disease}. Grade 3 murmur.", "N18.9"),
    # A code that says more already keeps it.
    ("I50.22", "{Systolic heart failure}, chronic.", "I50.22"),
    ("K35.80", "Acute {appendicitis}.", "K35.80"),
]
RULES: list[tuple[str, dict[str, Any], str]] = [
    # code, what is said, what it becomes
    ("M25.569", {"side": "left"}, "M25.562"),
    ("M25.561", {"side": "left"}, "M25.562"),
    ("M25.561", {}, "M25.561"),
    ("M25.561", {"side": "bilateral"}, "M25.561"),
    ("M17.9", {"side": "left"}, "M17.9"),
    ("H25.11", {"side": "bilateral"}, "H25.13"),
    ("I10", {"side": "left", "trimester": 2, "encounter": "sequela", "open_": True}, "I10"),
    ("O14.90", {"trimester": 3}, "O14.93"),
    ("O14.92", {"trimester": 3}, "O14.93"),
    ("O14.93", {}, "O14.93"),
    ("O14.90", {"trimester": 1}, "O14.90"),
    ("Z34.00", {"trimester": 1}, "Z34.01"),
    ("S52.501A", {"encounter": "subsequent"}, "S52.501D"),
    ("S52.501A", {"encounter": "subsequent", "healing": "nonunion"}, "S52.501K"),
    ("S52.501A", {"encounter": "subsequent", "healing": "delayed", "open_": True}, "S52.501H"),
    ("S52.501A", {"encounter": "sequela"}, "S52.501S"),
    ("S52.501A", {"open_": True}, "S52.501B"),
    ("S52.501D", {}, "S52.501A"),
    ("S52.501A", {"side": "left", "open_": True}, "S52.502B"),
    ("S52.521A", {"open_": True}, "S52.521A"),  # a torus fracture is never open
    ("S93.409A", {"side": "right", "encounter": "subsequent"}, "S93.401D"),
    ("T36.0X1A", {"encounter": "sequela"}, "T36.0X1S"),
]


@pytest.fixture(scope="module")
def specifier(terminology: Terminology) -> Specifier:
    return Specifier(terminology, Defaults(terminology), Conventions(terminology))


@pytest.mark.parametrize(("code", "note", "refined"), REFINED)
def test_refined(specifier: Specifier, marked: Callable[[str], Any], code: str, note: str, refined: str) -> None:
    read = marked(note)
    assert specifier.refine(code, said_around(facts_of(read.text), read.mentions, 0, str)) == refined


@pytest.mark.parametrize(("code", "said", "becomes"), RULES)
def test_by_rule(specifier: Specifier, code: str, said: dict[str, Any], becomes: str) -> None:
    assert specifier.by_rule(code, Said(frozenset(), frozenset(), frozenset(), **said)) == becomes


def test_what_the_list_says_whole_is_its_code(coder: Coder, terminology: Terminology) -> None:
    """A title with nothing around it is coded as the list has it, but for what only says that there is another."""
    vague = re.compile(r"\bother\b|unspecified|not elsewhere|\{|\}", re.IGNORECASE)
    codes = [c for c in terminology.base_codes() if c[0] not in "OPVWXYZ" and not vague.search(terminology.title(c))]
    codes = [c for c in codes if terminology.is_billable(c)][::37]
    assert len(codes) > 200
    wrong = []
    for code in codes:
        text = f"Dx: {terminology.title(code)}"
        sentence = Sentence(0, len(text))
        mention = Mention(Span(4, len(text), EntityType.DIAGNOSIS, 0.9), text[4:], Assertion(), sentence)
        said = said_around(facts_of(text), [mention], 0, str)
        refined = coder._specifier.refine(code, said)
        if refined != code:
            wrong.append((code, refined))
    assert len(wrong) / len(codes) < 0.02, wrong


WORDS = (
    *(
        "acute",
        "chronic",
        "severe",
        "mild",
        "moderate",
        "recurrent",
        "left",
        "right",
        "bilateral",
        "eye",
        "knee",
        "hip",
    ),
    *("femur", "open", "displaced", "type2", "stage3b", "with", "exacerbation", "hemorrhage", "perforation", "abscess"),
    *("neuropathy", "ketoacidosis", "heart", "failure", "systolic", "other", "specified", "infection", "insulin"),
    *("aura", "status", "primary", "secondary", "sequela", "upper", "lower", "unspecified", "2", ""),
)


@st.composite
def anything_said(draw: st.DrawFn) -> Said:
    words = st.frozensets(st.sampled_from(WORDS), max_size=6)
    mention, near, far = draw(words), draw(words), draw(words)
    return Said(
        mention,
        near | mention,
        far | near | mention,
        draw(words),
        draw(st.sampled_from([None, "left", "right", "bilateral", "unspecified"])),
        draw(st.sampled_from(["initial", "subsequent", "sequela"])),
        draw(st.booleans()),
        draw(st.sampled_from(["routine", "delayed", "nonunion", "malunion"])),
        trimester=draw(st.integers(0, 3)),
        pregnant=draw(st.booleans()),
        neighbours=tuple(draw(st.lists(words, max_size=2))),
        denied=draw(words) - mention,
    )


@pytest.fixture(scope="module")
def billable(terminology: Terminology) -> list[str]:
    return [code for code in terminology if terminology.is_billable(code)]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(0), said=anything_said())
def test_a_billable_code_stays_billable_and_in_its_category(
    specifier: Specifier, terminology: Terminology, billable: list[str], place: int, said: Said
) -> None:
    code = billable[place % len(billable)]
    for found in (specifier.refine(code, said), specifier.by_rule(code, said)):
        assert terminology.is_billable(found)
        assert found[:3] == code[:3]
    by_rule = specifier.by_rule(code, said)
    assert specifier.by_rule(by_rule, said) == by_rule
    assert specifier.refine(code, said) == specifier.refine(code, said)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(0))
def test_of_a_code_of_which_nothing_is_said_the_side_and_the_site_stay(
    specifier: Specifier, billable: list[str], place: int
) -> None:
    code = billable[place % len(billable)]
    nothing = Said(frozenset(), frozenset(), frozenset())
    by_rule = specifier.by_rule(code, nothing)
    assert by_rule[:6] == code[:6] or len(code) < 8
    assert len(by_rule) == len(code)

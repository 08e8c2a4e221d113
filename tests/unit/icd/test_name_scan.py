"""Names of the classification in a text: which, where exactly, and how they go with what the model found."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clincode.icd import IcdLinker, with_names
from clincode.icd.name_scan import CONFIDENCE, NameScanner
from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.types import Sentence, Span

FOUND = [
    # text, the names in it
    ("Pneumonia", ["Pneumonia"]),
    ("PNEUMONIA, improving.", ["PNEUMONIA"]),
    ("Right lower lobe pneumonia.", ["pneumonia"]),
    (
        "Admitted with acute on chronic systolic heart failure and CKD stage 3.",
        ["acute on chronic systolic heart failure", "CKD stage 3"],
    ),
    (
        "Type 2 diabetes mellitus without complications, on metformin",
        ["Type 2 diabetes mellitus without complications"],
    ),
    ("Major depressive disorder, recurrent, moderate.", ["Major depressive disorder, recurrent, moderate"]),
    ("pain in the right knee for a week", ["pain in the right knee"]),
    ("end stage  renal disease", ["end stage  renal disease"]),
    ("end-stage renal disease on dialysis", ["end-stage renal disease"]),
    ("non-small cell lung cancer", ["non-small cell lung cancer"]),
    ("Essential (primary) hypertension is stable", ["Essential (primary) hypertension"]),
    ("Parkinson's disease and dementia", ["Parkinson's disease", "dementia"]),
    ("Guillain-Barré syndrome", ["Guillain-Barré syndrome"]),
    ("Alzheimer’s disease", ["Alzheimer’s disease"]),
    ("hypertension (essential), stable", ["hypertension (essential)"]),
    ("gastro-esophageal reflux disease", ["gastro-esophageal reflux disease"]),
    ("vitamin D deficiency, hepatitis C", ["vitamin D deficiency", "hepatitis C"]),
    ("COVID-19 ruled out", ["COVID-19"]),
    ("low back pain: lumbar radiculopathy", ["low back pain", "lumbar radiculopathy"]),
    ("denies chest pain, shortness of breath", ["chest pain", "shortness of breath"]),
    ("nausea and vomiting", ["nausea and vomiting"]),
    ("Acute kidney injury on CKD", ["Acute kidney injury"]),
    ("fracture of the left femur", ["fracture of the left femur"]),
    # The longest, and not a shorter one in it.
    ("asthma exacerbation", ["asthma exacerbation"]),
    ("iron deficiency anemia", ["iron deficiency anemia"]),
    # One word that is short, or that is said of much else, is none.
    ("He has asthma and gout.", []),
    ("HTN, DM2, UTI, MI", []),
    ("screening after discharge, no smoking or alcohol; surgery", []),
    ("Acute, severe, chronic, unspecified", []),
    # Nothing reaches over the end of a sentence, of a line, or of what a colon opens.
    ("Chronic obstructive. Pulmonary disease", []),
    ("Chronic obstructive\npulmonary disease", []),
    ("Chronic kidney: disease", []),
    ("Chronic kidney; disease", []),
    # Nor does a name end in a word that says nothing.
    ("pneumonia of the, chest pain and in", ["pneumonia", "chest pain"]),
    ("", []),
    ("the of and", []),
]
D, P, M, A, T = (
    EntityType.DIAGNOSIS,
    EntityType.PROCEDURE,
    EntityType.MEDICATION,
    EntityType.ANATOMY,
    EntityType.TEST,
)


@pytest.fixture(scope="module")
def scanner(linker: IcdLinker) -> NameScanner:
    return linker.lookup.scanner


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_names_of_a_text(scanner: NameScanner, text: str, names: list[str]) -> None:
    found = list(scanner.find(text, split_sentences(text)))
    assert [text[span.start : span.end] for span in found] == names
    assert {(span.type, span.confidence) for span in found} <= {(D, CONFIDENCE)}


def test_offsets_are_of_the_text_and_sentences_bound_the_search(scanner: NameScanner) -> None:
    text = "Assessment 🤒: chest pain. Known chronic kidney disease, stage 4."
    found = list(scanner.find(text, split_sentences(text)))
    assert [(span.start, span.end) for span in found] == [(14, 24), (32, 63)]
    # Only what is called a sentence is searched, and only as far as it goes.
    assert list(scanner.find(text, [])) == []
    assert [(s.start, s.end) for s in scanner.find(text, [Sentence(26, 54)])] == [(32, 54)]
    assert [(s.start, s.end) for s in scanner.find(text, [Sentence(26, 46)])] == []


WITH_NAMES = [
    # spans of the model, names, what is left
    ([], [(0, 9)], [(0, 9, D, 0.6)]),
    ([(0, 9, D, 0.9)], [], [(0, 9, D, 0.9)]),
    ([(0, 9, D, 0.9)], [(0, 9)], [(0, 9, D, 0.9)]),
    ([(0, 9, D, 0.9)], [(12, 20)], [(0, 9, D, 0.9), (12, 20, D, 0.6)]),
    ([(12, 20, M, 0.9)], [(0, 9)], [(0, 9, D, 0.6), (12, 20, M, 0.9)]),
    # Touching is not overlapping.
    ([(0, 5, A, 0.9)], [(5, 9)], [(0, 5, A, 0.9), (5, 9, D, 0.6)]),
    # A name takes the place of what is inside it, and its confidence where that is a disease.
    ([(6, 13, D, 0.95)], [(0, 13)], [(0, 13, D, 0.95)]),
    ([(0, 5, A, 0.99), (6, 10, D, 0.4)], [(0, 10)], [(0, 10, D, 0.4)]),
    ([(0, 5, D, 0.3), (6, 10, D, 0.7)], [(0, 10)], [(0, 10, D, 0.7)]),
    ([(0, 5, A, 0.99)], [(0, 5)], [(0, 5, D, 0.6)]),
    ([(0, 9, P, 0.9)], [(0, 9)], [(0, 9, D, 0.6)]),
    # One inside a longer mention is left out, whatever the mention is.
    ([(0, 13, D, 0.9)], [(6, 13)], [(0, 13, D, 0.9)]),
    ([(0, 13, P, 0.9)], [(6, 13)], [(0, 13, P, 0.9)]),
    ([(0, 13, T, 0.9)], [(3, 10)], [(0, 13, T, 0.9)]),
    # And one that overlaps a mention.
    ([(4, 13, A, 0.9)], [(0, 9)], [(4, 13, A, 0.9)]),
    ([(0, 5, D, 0.9), (8, 15, A, 0.8)], [(0, 10)], [(0, 5, D, 0.9), (8, 15, A, 0.8)]),
    # Each name is for itself.
    (
        [(0, 3, D, 0.9), (8, 15, A, 0.8)],
        [(0, 6), (7, 10), (16, 20)],
        [(0, 6, D, 0.9), (8, 15, A, 0.8), (16, 20, D, 0.6)],
    ),
]


@pytest.mark.parametrize(("spans", "names", "left"), WITH_NAMES)
def test_with_names(
    spans: list[tuple[int, int, EntityType, float]],
    names: list[tuple[int, int]],
    left: list[tuple[int, int, EntityType, float]],
) -> None:
    found = with_names([Span(*span) for span in spans], [Span(*name, D, CONFIDENCE) for name in names])
    assert [(span.start, span.end, span.type, span.confidence) for span in found] == left


PIECES = st.sampled_from(
    [
        *(
            "chronic",
            "acute",
            "kidney",
            "disease",
            "stage",
            "4",
            "3b",
            "heart",
            "failure",
            "systolic",
            "of",
            "the",
            "with",
        ),
        *(
            "pain",
            "in",
            "right",
            "knee",
            "chest",
            "Parkinson's",
            "type",
            "2",
            "diabetes",
            "mellitus",
            "pneumonia",
            "and",
        ),
        *(
            "fracture",
            "femur",
            "unspecified",
            "(primary)",
            "hypertension",
            "[HIV]",
            ",",
            ".",
            ";",
            ":",
            "\n",
            "-",
            "’s",
        ),
        *("Essential (primary) hypertension", "Abscess of liver", "with", "and", "’s", "🤒", "e\u0301", "\u200b"),
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=25).map(" ".join) | st.lists(PIECES, max_size=12).map("".join) | st.text())
def test_names_lie_apart_in_sentences(scanner: NameScanner, text: str) -> None:
    sentences = split_sentences(text)
    found = list(scanner.find(text, sentences))
    assert found == list(scanner.find(text, sentences))
    assert all(before.end <= after.start for before, after in pairwise(found))
    for span in found:
        assert span.type is D
        assert any(sentence.start <= span.start < span.end <= sentence.end for sentence in sentences)
        name = text[span.start : span.end]
        assert name[0].isalnum()
        assert name[-1].isalnum() or (name[-1] == ")" and "(" in name)
        assert not set(name) & set("\n.;:")


@st.composite
def apart(draw: st.DrawFn, types: st.SearchStrategy[EntityType]) -> list[Span]:
    """Spans that lie apart, in order."""
    places = draw(st.lists(st.integers(0, 60), unique=True, max_size=16).map(sorted))
    pairs = list(zip(places[::2], places[1::2], strict=False))
    return [Span(start, end, draw(types), draw(st.sampled_from([0.2, 0.6, 0.9]))) for start, end in pairs]


@given(apart(st.sampled_from(EntityType)), apart(st.just(D)))
def test_what_lay_apart_lies_apart_together(spans: list[Span], names: list[Span]) -> None:
    together = with_names(spans, names)
    assert all(before.end <= after.start for before, after in pairwise(together))
    covered = [(span.start, span.end) for span in together]
    # Whatever the model found is there, or in a longer mention of a disease.
    for span in spans:
        assert span in together or any(
            each.type is D and each.start <= span.start and span.end <= each.end for each in together
        )
    assert set(covered) <= {(span.start, span.end) for span in (*spans, *names)}
    assert with_names(together, names) == together

"""Names of one meaning: their forms, their spelling mistakes, their groups and the pairs that are drawn from these."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clincode.icd import Terminology
from clincode.icd.disease_ontology import DiseaseTerm, read_disease_ontology
from training.linking_names import (
    NameGroup,
    abbreviation_groups,
    code_groups,
    key_of,
    misspelt,
    ontology_groups,
    pairs,
    varied,
)


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("Gout", []),
        ("Essential (primary) hypertension",
         ["Essential hypertension", "Essential primary hypertension", "primary hypertension"]),
        ("Acute myocardial infarction, unspecified", ["Acute myocardial infarction"]),
        ("Rupture of the spleen", ["spleen rupture"]),
        ("Fracture of lower end of radius", ["Fracture of distal radius", "distal radius fracture"]),
        ("Malignant neoplasm of esophagus", ["esophagus cancer", "carcinoma of esophagus"]),
        ("Malignant neoplasm of pancreas, unspecified",
         ["pancreas, unspecified cancer", "carcinoma of pancreas, unspecified", "Malignant neoplasm of pancreas",
          "pancreas cancer", "carcinoma of pancreas"]),
        # None of these is a cancer that the patient has, of that organ.
        ("Secondary malignant neoplasm of bone", ["bone secondary malignant neoplasm"]),
        ("Family history of malignant neoplasm of breast", None),
        ("Encounter for screening for malignant neoplasm of colon", None),
        ("Personal history of malignant neoplasm of prostate", None),
    ],
)  # fmt: skip
def test_varied(name: str, forms: list[str] | None) -> None:
    found = varied(name)
    assert found[0] == name
    if forms is None:
        assert not [form for form in found if "cancer" in form or "carcinoma" in form]
    else:
        assert found[1:] == forms


def test_half_of_a_name_is_not_the_name() -> None:
    assert not {"Phlebitis", "thrombophlebitis"} & set(varied("Phlebitis and thrombophlebitis"))


def edits(one: str, other: str) -> int:
    """Letters left out, put in, replaced, or neighbours exchanged (optimal string alignment)."""
    table = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


texts = st.lists(st.text("abillssSE", min_size=1, max_size=9), min_size=1, max_size=4).map(" ".join)


@settings(deadline=None)
@given(texts, st.integers(0, 999))
def test_a_misspelt_name_is_one_edit_away(text: str, seed: int) -> None:
    wrong = misspelt(text, random.Random(seed))
    assert edits(text, wrong) == (1 if re.search("[A-Za-z]{5}", text) else 0)
    assert (wrong.lower() == text.lower()) == (wrong == text)


@pytest.mark.parametrize("seed", range(40))
def test_short_words_and_first_letters_stay(seed: int) -> None:
    wrong = misspelt("type 2 diabetes (DM-2) of old age", random.Random(seed))
    assert wrong.startswith("type 2 d")
    assert wrong.endswith(" (DM-2) of old age")


def test_all_four_mistakes_are_made() -> None:
    found = {misspelt("asthma", random.Random(seed)) for seed in range(2000)}
    assert {"athma", "asthhma", "asthna", "atshma"} <= found
    assert "asthma" not in found


@pytest.fixture
def groups(small: Terminology, monkeypatch: pytest.MonkeyPatch) -> dict[str, NameGroup]:
    synonyms = {"heart attack": "I21.9", "sugar disease": "E11.9", "dialysis": "Z99.2"}
    monkeypatch.setattr("training.linking_names.load_synonyms", lambda _: synonyms)
    return {group.key: group for group in code_groups(small)}


def test_codes_group_their_titles_terms_forms_and_short_forms(groups: dict[str, NameGroup]) -> None:
    assert groups["I21.9"] == NameGroup(
        "I21.9",
        (
            "Acute myocardial infarction, unspecified",
            "Acute myocardial infarction",
            "Myocardial infarction (acute) NOS",
            "Myocardial infarction NOS",
            "Myocardial infarction acute NOS",
            "heart attack",
        ),
    )
    assert groups["I10"].varied is False  # one title, in forms of grammar
    assert groups["E11.9"].names[-1] == "sugar disease"
    assert groups["S52.5"].names == (
        "Fracture of lower end of radius",
        "Fracture of distal radius",
        "distal radius fracture",
    )


def test_a_code_with_one_name_is_no_group(groups: dict[str, NameGroup]) -> None:
    assert {"I50", "E11", "I21", "Chapter 9", "I20-I25", "Z99.2"}.isdisjoint(groups)


def test_long_names_are_left_out(small: Terminology, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "eleven words that no clinician, however wordy, would ever use here"
    monkeypatch.setattr("training.linking_names.load_synonyms", lambda _: {long: "I50", "CHF": "I50"})
    (group,) = [group for group in code_groups(small) if group.key == "I50"]
    assert group.names == ("Heart failure", "CHF")


def test_concepts_group_labels_synonyms_and_titles_of_few(small: Terminology) -> None:
    terms = [
        DiseaseTerm("DOID:1", "heart attack", ("Heart Attack", "coronary"), ("I21.9", "X00.0")),
        DiseaseTerm("DOID:2", "gout"),
        *(DiseaseTerm(f"DOID:{i}", f"hypertension {i}", (), ("I10",)) for i in range(3, 7)),
    ]
    found = {group.key: group.names for group in ontology_groups(terms, small)}
    assert found == {"DOID:1": ("Heart Attack", "coronary", "Acute myocardial infarction, unspecified")}
    lent = {group.key: group.names for group in ontology_groups(terms, small, shared=4)}
    assert lent["DOID:3"] == ("hypertension 3", "Essential (primary) hypertension")


GROUPS = [
    NameGroup("I10", ("a", "b")),
    NameGroup("I11", tuple("cdefghijkl")),
    NameGroup("S52.5", ("m", "n", "o")),
    NameGroup("E11", ("p", "q"), varied=False),
    NameGroup("T40", ("r", "s"), varied=False),
]


@settings(deadline=None)
@given(st.integers(0, 9999))
def test_pairs_are_two_names_of_one_group(seed: int) -> None:
    drawn = list(pairs(GROUPS, random.Random(seed)))
    for index, first, second in drawn:
        assert first != second
        assert {first, second} <= set(GROUPS[index].names)
    counts = Counter(index for index, *_ in drawn)
    assert (counts[0], counts[1]) == (1, 3)
    assert drawn == list(pairs(GROUPS, random.Random(seed)))


def test_of_injuries_and_of_single_names_a_part_is_drawn() -> None:
    source = random.Random(5)
    counts = Counter(index for _ in range(4000) for index, *_ in pairs(GROUPS, source))
    shares = [counts[index] / 4000 for index in range(5)]
    assert shares == pytest.approx([1, 3, 1 / 4, 1 / 4, 1 / 16], abs=0.03)


def test_equal_names_lead_to_all_their_groups() -> None:
    found = key_of([NameGroup("a", ("MI", "heart attack")), NameGroup("b", ("mi", "mitral insufficiency"))])
    assert found == {"mi": [0, 1], "heart attack": [0], "mitral insufficiency": [1]}


def test_short_forms_of_diseases_are_groups() -> None:
    found = abbreviation_groups()
    assert len(found) > 50
    assert {len(group.names) for group in found} == {2}
    assert len({group.key for group in found}) == len(found)
    assert ("CHF", "congestive heart failure") in [group.names for group in found]


@pytest.mark.corpus
def test_the_real_groups(terminology: Terminology, data_dir: Path) -> None:
    found = code_groups(terminology)
    assert len(found) > 15_000
    ontology = ontology_groups(read_disease_ontology(data_dir / "disease_ontology" / "terms.tsv"), terminology)
    assert len(ontology) > 5_000
    for group in (*found, *ontology):
        assert len({name.lower() for name in group.names}) == len(group.names) > 1, group.key

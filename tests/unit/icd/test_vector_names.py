"""The names of the list that get a vector: each once, without what is chosen by rule."""

import re
from collections.abc import Mapping

import pytest

from clincode.icd import Terminology
from clincode.icd.conventions import Conventions
from clincode.icd.terminology import TabularList
from clincode.icd.vector_names import VectorName, vector_names

NAMES = [
    # code, its names
    ("I10", ["Essential (primary) hypertension", "high blood pressure"]),
    ("I21", ["Acute myocardial infarction"]),
    ("J44.9", ["Chronic obstructive pulmonary disease, unspecified"]),
    ("C50.919", ["Malignant neoplasm of unspecified site of unspecified female breast"]),
    # The first of a family that only a side tells apart stands for all of it ...
    ("M25.56", ["Pain in knee"]),
    ("M25.569", ["Pain in unspecified knee"]),
    ("H25.11", ["Age-related nuclear cataract, eye"]),
    ("C50.911", ["Malignant neoplasm of unspecified site of female breast"]),
    ("M17.11", ["Unilateral primary osteoarthritis, knee"]),
    ("S52.50", ["Unspecified fracture of the lower end of radius"]),
    ("O14.0", ["Mild to moderate pre-eclampsia"]),
    # A side that no rule chooses stays.
    ("I50.1", ["Left ventricular failure, unspecified"]),
    ("I50.810", ["Right heart failure, unspecified"]),
    ("I50.814", ["Right heart failure due to left heart failure"]),
    ("I44.7", ["Left bundle-branch block, unspecified"]),
    # ... and the others have none.
    ("M25.561", []),
    ("M25.562", []),
    ("H25.12", []),
    ("S52.501", []),
    ("S52.502", []),
    ("O14.02", []),
    # Nor have encounters, and what brought an injury about.
    ("S52.501A", []),
    ("T36.0X1A", []),
    ("W19", []),
    ("W19.XXXA", []),
    ("Y92.9", []),
]
LONGEST = 10
NO_SIDE = re.compile(r"\b(?:right|left|bilateral)\b|\btrimester\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def names(terminology: Terminology) -> list[VectorName]:
    return list(vector_names(terminology))


@pytest.fixture(scope="module")
def by_code(names: list[VectorName]) -> Mapping[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name in names:
        table.setdefault(name.code, []).append(name.text)
    return table


@pytest.mark.parametrize(("code", "texts"), NAMES)
def test_names_of_a_code(by_code: Mapping[str, list[str]], code: str, texts: list[str]) -> None:
    assert by_code.get(code, [])[: len(texts) or None] == texts


def test_inclusion_terms_are_names(by_code: Mapping[str, list[str]]) -> None:
    assert "Myocardial infarction (acute) NOS" in by_code["I21.9"]
    assert "Nuclear sclerosis cataract" in by_code["H25.1"]


def test_there_are_fewer_names_than_codes(names: list[VectorName], terminology: Terminology) -> None:
    assert 40_000 < len(names) < 60_000
    assert len(names) < sum(code[0] not in "VWXY" for code in terminology) < 100_000


def test_no_name_says_what_is_chosen_by_rule(names: list[VectorName], terminology: Terminology) -> None:
    conventions = Conventions(terminology)
    sided = [name for name in names if NO_SIDE.search(name.text)]
    assert [name for name in sided if conventions.laterality(name.code) is not None] == []
    assert [name for name in names if not name.text.strip(" ,") or name.text != name.text.strip(" ,")] == []
    assert [name for name in names if "  " in name.text or ", ," in name.text] == []


def test_a_name_without_a_side_is_as_the_list_has_it(names: list[VectorName], terminology: Terminology) -> None:
    for name in names[::11]:
        own = (terminology.title(name.code), *terminology.terms(name.code))
        assert name.text in own or any(NO_SIDE.search(text) for text in own), name


def test_each_name_stands_once_at_a_code_and_in_the_order_of_the_list(
    names: list[VectorName], terminology: Terminology
) -> None:
    assert len({(name.code, name.text.lower()) for name in names}) == len(names)
    places = {code: place for place, code in enumerate(terminology.base_codes())}
    order = [places[name.code] for name in names]
    assert order == sorted(order)


def test_every_condition_is_reached(by_code: Mapping[str, list[str]], terminology: Terminology) -> None:
    """A code that has no name leaves them to a sibling or to what stands above, if any is short enough to be said."""
    for code in terminology.base_codes():
        texts = (terminology.title(code), *terminology.terms(code))
        if code[0] in "VWXY" or code in by_code or all(len(text.split()) > LONGEST for text in texts):
            continue
        parent = terminology.parent(code)
        assert parent is not None
        assert parent in by_code or any(sibling in by_code for sibling in terminology.children(parent)), code


def test_a_small_list(small_list: TabularList) -> None:
    assert list(vector_names(Terminology(small_list))) == [
        VectorName("Acute infarction", "I21"),
        VectorName("Acute infarction, unspecified", "I21.9"),
        VectorName("Infarction NOS", "I21.9"),
        VectorName("Forearm", "S52"),
        VectorName("Lower end", "S52.5"),
    ]

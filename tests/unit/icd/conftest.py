"""A small list of one block, for tests that change it; the whole list comes from the fixtures above."""

import pytest

from clincode.icd.terminology import TabularList


@pytest.fixture
def small_list() -> TabularList:
    return TabularList(
        release="April 1999",
        codes=("Chapter 9", "I20-I25", "I21", "I21.9", "S52", "S52.5"),
        titles=("Heart", "Ischemic", "Acute infarction", "Acute infarction, unspecified", "Forearm", "Lower end"),
        parents=(-1, 0, 1, 2, 1, 4),
        seventh=({"A": "initial encounter", "D": "subsequent encounter"},),
        extended={"S52.5": (0, "AD")},
        notes={"inclusion_terms": {"I21.9": ["Infarction NOS"]}, "excludes1": {"I21": ["old infarction (I25.2)"]}},
    )

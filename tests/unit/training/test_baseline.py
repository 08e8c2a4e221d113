"""The dictionary of a training split, and what it finds in sentences."""

from typing import Any

import pytest

from training.baseline import DictionaryTagger, build_entity_dictionary, dictionary_ner, longest_form
from training.corpora import TaggedSentence

ENTITIES = {
    "pain": "DIAG",
    "chest": "ANAT",
    "chest pain": "DIAG",
    "chest pain on exertion": "DIAG",
    "valproic acid": "MED",
}


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ("Chest pain on exertion today", "B-DIAG I-DIAG I-DIAG I-DIAG O"),
        # The longest form begins here and does not go on.
        ("Chest pain on rest", "B-DIAG I-DIAG O O"),
        ("Pain in the chest", "B-DIAG O O B-ANAT"),
        # Two that touch are two.
        ("chest pain pain", "B-DIAG I-DIAG B-DIAG"),
        ("VALPROIC Acid stopped", "B-MED I-MED O"),
        ("Took valproic", "O O"),
        ("", ""),
    ],
)
def test_the_longest_form_from_left_to_right(words: str, tags: str) -> None:
    assert dictionary_ner(words.split(), ENTITIES) == tags.split()
    assert DictionaryTagger(ENTITIES).tag([words.split()]) == [tags.split()]


def test_forms_longer_than_told_are_not_looked_for() -> None:
    assert dictionary_ner(["chest", "pain"], ENTITIES, longest=1) == ["B-ANAT", "B-DIAG"]
    assert longest_form(ENTITIES) == 4
    assert longest_form({}) == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["TEST", "MED", "MED"], "MED"),
        (["TEST", "MED"], "TEST"),
        (["MED", "TEST"], "MED"),
        (["MED", "TEST", "TEST", "MED"], "MED"),
    ],
)
def test_a_form_has_its_commonest_type_and_of_equals_the_first(tags: list[str], expected: str) -> None:
    training = [TaggedSentence(("Iron",), (f"B-{tag}",)) for tag in tags]
    assert build_entity_dictionary(training) == {"iron": expected}


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ([TaggedSentence(("Severe", "Chest", "pain"), ("O", "B-Disease", "I-Disease"))], None),
        ([{"tokens": ["Severe", "Chest", "pain"], "tags": ["O", "B-Disease", "I-Disease"]}], None),
        ([{"tokens": ["Severe", "Chest", "pain"], "tags": [0, 1, 2]}], ["O", "B-Disease", "I-Disease"]),
    ],
)
def test_a_split_is_of_sentences_or_of_columns(split: list[Any], names: list[str] | None) -> None:
    assert build_entity_dictionary(split, names) == {"chest pain": "Disease"}

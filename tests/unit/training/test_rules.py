import time

import pytest

from training.corpora import TaggedSentence
from training.rules import PATTERNS, RuleTagger, window_negated

EVERYTHING = RuleTagger({}, PATTERNS)
"""All patterns, whatever a corpus says of them, and no dictionary."""


def entities(tags: list[str], words: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            found.append((tag[2:], [word]))
        elif tag.startswith("I-"):
            assert found[-1][0] == tag[2:]
            found[-1][1].append(word)
    return [(" ".join(text), tag) for tag, text in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Metoprolol 25 mg daily was begun .", [("Metoprolol 25 mg daily", "MED")]),
        ("She takes zorvadine 10 mg at night", [("zorvadine 10 mg", "MED")]),
        ("Zorvadine ( 10 mg ) was stopped", [("Zorvadine", "MED")]),
        ("Creatinine 1 mg / dl", [("Creatinine", "TEST")]),
        ("Beta - blockers and oral steroids", [("Beta - blockers", "MED"), ("oral steroids", "MED")]),
        ("Acute left pyelonephritis", [("Acute left pyelonephritis", "DIAG")]),
        ("A lipoma , anaemia and cirrhosis", [("lipoma", "DIAG"), ("anaemia", "DIAG"), ("cirrhosis", "DIAG")]),
        ("The diagnosis and the prognosis", []),
        ("Severe abdominal pain", [("Severe abdominal pain", "DIAG")]),
        ("Marfan ' s syndrome or Kawasaki disease", [("Marfan ' s syndrome", "DIAG"), ("Kawasaki disease", "DIAG")]),
        ("Laparoscopic cholecystectomy", [("Laparoscopic cholecystectomy", "PROC")]),
        ("Thoracotomy with rhinoplasty", [("Thoracotomy", "PROC"), ("rhinoplasty", "PROC")]),
        ("A chest x - ray and an abdominal CT scan", [("chest x - ray", "TEST"), ("abdominal CT scan", "TEST")]),
        ("Chest X-ray", [("Chest X-ray", "TEST")]),
        ("CT of the abdomen", [("CT of the abdomen", "TEST")]),
        ("Heart rate and serum sodium level", [("Heart rate", "TEST"), ("serum sodium level", "TEST")]),
        ("Her left kidney", [("left kidney", "ANAT")]),
        ("", []),
    ],
)
def test_patterns(text: str, expected: list[tuple[str, str]]) -> None:
    words = text.split()
    assert entities(EVERYTHING.tag([words])[0], words) == expected


TRAINING = [
    TaggedSentence(("Severe", "grelk", "from", "a", "lipoma"), ("B-DIAG", "I-DIAG", "O", "O", "B-DIAG")),
    TaggedSentence(("Grelk", "and", "gastritis"), ("B-DIAG", "O", "B-DIAG")),
    TaggedSentence(("He", "is", "well"), ("O", "O", "B-DIAG")),
    *[TaggedSentence(("Well", "then"), ("O", "O"))] * 4,
]


def test_the_dictionary_stays_beside_the_patterns_and_the_longest_wins() -> None:
    words = ["Severe", "grelk", ",", "grelk", "and", "enteritis"]
    tags = RuleTagger.train(TRAINING).tag([words])[0]
    assert entities(tags, words) == [("Severe grelk", "DIAG"), ("grelk", "DIAG"), ("enteritis", "DIAG")]


def test_an_entry_that_is_mostly_no_entity_is_left_out() -> None:
    assert RuleTagger.train(TRAINING).tag([["Well", "."]]) == [["O", "O"]]


def test_patterns_of_types_that_the_corpus_does_not_annotate_are_left_out() -> None:
    assert {tag for tag, _ in RuleTagger.train(TRAINING).patterns} == {"DIAG"}
    assert RuleTagger.train(TRAINING).tag([["Aspirin", "25", "mg"]]) == [["O", "O", "O"]]


def test_a_pattern_that_the_guideline_contradicts_is_left_out() -> None:
    """Here the degree is no part of a diagnosis, as in BC5CDR; the pattern without it remains."""
    training = [TaggedSentence(("severe", "gastritis"), ("O", "B-DIAG"))] * 3
    assert RuleTagger.train(training).tag([["severe", "enteritis"]]) == [["O", "B-DIAG"]]


def test_nothing_to_train_on_finds_nothing() -> None:
    assert RuleTagger.train([]).tag([["gastritis"], []]) == [["O"], []]


def test_a_long_sentence_of_sites_takes_no_time() -> None:
    started = time.perf_counter()
    EVERYTHING.tag([["chest", "acute", "left", "liver"] * 300])
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("no [fever]", True),
        ("Denies [chest pain] .", True),
        ("no nausea , chills , or [fever]", True),  # three words between; marks do not count
        ("no one two three four [fever]", True),
        ("no one two three four five [fever]", False),
        ("There is no evidence of [pneumonia]", True),
        ("no fever but has [cough]", False),
        ("no increase in [effusion]", False),
        ("not only [cough]", False),
        ("[Pneumonia] was ruled out", True),
        ("[Pneumonia] could not be ruled out", False),
        ("[Pneumonia] is unlikely", True),
        ("[Pneumonia] one two three four five unlikely", False),
        ("[cough] but no fever", False),
        ("[fever]", False),
    ],
)
def test_window_negated(text: str, negated: bool) -> None:
    words = text.split()
    start = next(i for i, word in enumerate(words) if word.startswith("["))
    end = next(i for i, word in enumerate(words) if word.endswith("]")) + 1
    assert window_negated([word.strip("[]") for word in words], start, end) is negated


def test_the_window_can_be_set() -> None:
    words = ["no", "cough", "or", "fever"]
    assert not window_negated(words, 3, 4, window=2)
    assert window_negated(words, 3, 4, window=3)


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (1, 1), (0, 3)])
def test_a_stretch_that_is_none_is_an_error(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="of 2"):
        window_negated(["no", "fever"], start, end)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator

from clincode.labels import TAG_TO_TYPE
from training.baseline import DictionaryTagger, build_entity_dictionary
from training.corpora import GUIDELINES, TaggedSentence, read_iob2
from training.evaluate_ner import score_tags
from training.scoring import Entity, bootstrap_intervals, entity_set, match_schemes, prf, strict_scores

NAMES = {"DIAG": "DIAGNOSIS", "MED": "MEDICATION"}


def scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, Any]:
    return strict_scores(entity_set(gold), entity_set(predicted), names=NAMES)


def figures(row: Mapping[str, float]) -> list[float]:
    return [row[name] for name in ("precision", "recall", "f1")]


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        (["O", "B-DIAG", "I-DIAG", "B-MED"], (1.0, 1.0)),
        (["O", "B-DIAG", "O", "B-MED"], (0.5, 0.5)),  # a boundary off is wrong
        (["O", "B-MED", "I-MED", "B-MED"], (0.5, 0.5)),  # the type off is wrong
        (["O", "O", "O", "B-MED"], (1.0, 0.5)),
        (["B-DIAG", "B-DIAG", "I-DIAG", "B-MED"], (2 / 3, 1.0)),
        (["O", "O", "O", "O"], (0.0, 0.0)),
    ],
)
def test_strict_scores(predicted: list[str], expected: tuple[float, float]) -> None:
    micro = scores([["O", "B-DIAG", "I-DIAG", "B-MED"]], [predicted])["micro"]
    assert (micro["precision"], micro["recall"]) == pytest.approx(expected)


def test_per_type_counts_stand_under_the_names_of_the_api() -> None:
    per_type = scores([["B-DIAG", "B-MED"]], [["B-DIAG", "O"]])["per_type"]
    assert per_type["DIAGNOSIS"]["f1"] == 1.0
    assert per_type["MEDICATION"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 1}


def test_nothing_to_find_and_nothing_found_is_zero_not_an_error() -> None:
    assert prf(0, 0, 0) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


sequence = st.lists(st.sampled_from(["O", "B-DIAG", "I-DIAG", "B-MED", "I-MED"]), min_size=6, max_size=6)
"""An I- that continues nothing occurs too: to us and to nervaluate's list loader alike, it opens an entity."""

documents = st.lists(st.tuples(sequence, sequence), min_size=1, max_size=5)


def by_nervaluate(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], tag: str) -> list[float]:
    """Its strict precision, recall and F1 for one tag."""
    evaluator = Evaluator([list(s) for s in gold], [list(s) for s in predicted], tags=[tag], loader="list")
    row = evaluator.evaluate()["overall"]["strict"]
    return [row.precision, row.recall, row.f1]


@given(documents)
def test_strict_scores_are_those_of_nervaluate(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    ours = scores(gold, predicted)
    assert ours["micro"] == pytest.approx(match_schemes(gold, predicted, list(NAMES))["strict"], abs=1e-9)
    for tag, name in NAMES.items():
        assert figures(ours["per_type"][name]) == pytest.approx(by_nervaluate(gold, predicted, tag), abs=1e-9)


@pytest.mark.corpus
def test_a_dictionarys_scores_on_maccrobat_are_those_of_nervaluate(data_dir: Path) -> None:
    guideline = GUIDELINES["clincode"]
    train, devel = (read_iob2(data_dir / "maccrobat" / f"{part}.iob2.tsv", guideline) for part in ("train", "devel"))
    gold = [sentence.tags for sentence in devel]
    predicted = DictionaryTagger.train(train).tag([sentence.words for sentence in devel])
    ours = score_tags(predicted, devel, guideline)
    assert ours["micro"]["f1"] > 0.3
    assert figures(ours["micro"]) == pytest.approx(figures(ours["schemes"]["strict"]), abs=1e-9)
    for tag, entity_type in TAG_TO_TYPE.items():
        row = ours["per_type"][entity_type.value]
        assert figures(row) == pytest.approx(by_nervaluate(gold, predicted, tag), abs=1e-9)


TAGS = list(NAMES)


def some_entities(sentences: int) -> tuple[set[Entity], set[Entity]]:
    """Two entities a sentence, of which every third is not found and every fifth prediction is wrong."""
    gold = {(sentence, at, at, TAGS[at]) for sentence in range(sentences) for at in range(2)}
    found = {entity for entity in gold if (entity[0] + entity[1]) % 3}
    return gold, found | {(sentence, 5, 6, "DIAG") for sentence in range(0, sentences, 5)}


@pytest.mark.parametrize("sentences", [20, 200, 2000])
def test_intervals_contain_the_figure(sentences: int) -> None:
    gold, found = some_entities(sentences)
    ours = strict_scores(gold, found, names=NAMES)
    (low, high), by_tag = bootstrap_intervals(gold, found, sentences, tags=TAGS)
    assert 0 <= low < ours["micro"]["f1"] < high <= 1
    for tag, name in NAMES.items():
        assert by_tag[tag][0] <= ours["per_type"][name]["f1"] <= by_tag[tag][1]


def test_intervals_shrink_with_the_number_of_sentences() -> None:
    widths = []
    for sentences in (20, 200, 2000):
        (low, high), _ = bootstrap_intervals(*some_entities(sentences), sentences, tags=TAGS)
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_intervals_depend_on_the_seed_alone() -> None:
    gold, found = some_entities(50)
    first = bootstrap_intervals(gold, found, 50, tags=TAGS)
    assert bootstrap_intervals(set(gold), found, 50, tags=TAGS) == first
    assert bootstrap_intervals(gold, found, 50, tags=TAGS, seed=1) != first


def test_a_lower_level_is_narrower() -> None:
    gold, found = some_entities(50)
    (low, high), _ = bootstrap_intervals(gold, found, 50, tags=TAGS)
    (inner_low, inner_high), _ = bootstrap_intervals(gold, found, 50, tags=TAGS, level=0.5)
    assert low < inner_low < inner_high < high


def test_what_is_certain_has_no_width() -> None:
    gold, _ = some_entities(30)
    assert bootstrap_intervals(gold, gold, 30, tags=TAGS) == ([1.0, 1.0], {"DIAG": [1.0, 1.0], "MED": [1.0, 1.0]})
    assert bootstrap_intervals(set(), set(), 0, tags=TAGS) == ([0.0, 0.0], {"DIAG": [0.0, 0.0], "MED": [0.0, 0.0]})


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}])
def test_an_interval_that_cannot_be_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_intervals(set(), set(), 1, tags=TAGS, **options)


def test_the_dictionary_takes_the_longest_match_and_the_commonest_tag() -> None:
    training = [
        TaggedSentence(("Chest", "pain"), ("B-DIAG", "I-DIAG")),
        TaggedSentence(("pain", "in", "chest"), ("B-DIAG", "O", "B-ANAT")),
        TaggedSentence(("iron", "iron", "iron"), ("B-TEST", "B-MED", "B-MED")),
    ]
    assert build_entity_dictionary(training)["iron"] == "MED"
    tagger = DictionaryTagger.train(training)
    words = ["No", "chest", "pain", ",", "chest", "clear", ",", "iron"]
    assert tagger.tag([words]) == [["O", "B-DIAG", "I-DIAG", "O", "B-ANAT", "O", "O", "B-MED"]]

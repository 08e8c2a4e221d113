import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.baseline import DictionaryTagger, build_entity_dictionary
from training.corpora import TaggedSentence
from training.scoring import entity_set, match_schemes, prf, strict_scores

NAMES = {"DIAG": "DIAGNOSIS", "MED": "MEDICATION"}


def scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, object]:
    return strict_scores(entity_set(gold), entity_set(predicted), names=NAMES)


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
    assert (micro["precision"], micro["recall"]) == pytest.approx(expected)  # type: ignore[index]


def test_per_type_counts_stand_under_the_names_of_the_api() -> None:
    per_type = scores([["B-DIAG", "B-MED"]], [["B-DIAG", "O"]])["per_type"]
    assert per_type["DIAGNOSIS"]["f1"] == 1.0  # type: ignore[index]
    assert per_type["MEDICATION"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 1}  # type: ignore[index]


def test_nothing_to_find_and_nothing_found_is_zero_not_an_error() -> None:
    assert prf(0, 0, 0) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def _valid(labels: list[str]) -> list[str]:
    """nervaluate's loader drops an I- that opens; here such sequences don't occur."""
    valid: list[str] = []
    for label in labels:
        broken = label[0] == "I" and (not valid or valid[-1][2:] != label[2:])
        valid.append("B" + label[1:] if broken else label)
    return valid


sequence = st.lists(st.sampled_from(["O", "B-DIAG", "I-DIAG", "B-MED", "I-MED"]), min_size=6, max_size=6).map(_valid)
documents = st.lists(st.tuples(sequence, sequence), min_size=1, max_size=5)


@given(documents)
def test_strict_recall_agrees_with_nervaluate(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    ours = scores(gold, predicted)["micro"]
    theirs = match_schemes(gold, predicted, ["DIAG", "MED"])["strict"]
    assert ours["recall"] == pytest.approx(theirs["recall"], abs=1e-9)  # type: ignore[index]


def test_the_dictionary_takes_the_longest_match_and_the_commonest_tag() -> None:
    training = [
        TaggedSentence(("Chest", "pain"), ("B-DIAG", "I-DIAG")),
        TaggedSentence(("pain", "in", "chest"), ("B-DIAG", "O", "B-ANAT")),
        TaggedSentence(("iron", "iron", "iron"), ("B-TEST", "B-MED", "B-MED")),
    ]
    assert build_entity_dictionary(training)["iron",] == "MED"
    tagger = DictionaryTagger.train(training)
    words = ["No", "chest", "pain", ",", "chest", "clear", ",", "iron"]
    assert tagger.tag([words]) == [["O", "B-DIAG", "I-DIAG", "O", "B-ANAT", "O", "O", "B-MED"]]

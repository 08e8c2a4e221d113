"""Readings, temperature, paired differences and negation, on cases whose answers can be counted by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from clincode.labels import LABELS
from clincode.types import EncodedNote
from training.calibration import Pairs
from training.corpora import GUIDELINES, TaggedSentence
from training.evaluation.measure import ner_figures, type_f1
from training.evaluation.notes import EvaluationNotes, negation_scores, read_notes
from training.evaluation.paired import f1_difference
from training.evaluation.reading import Reading, right_or_wrong
from training.evaluation.temperature import (
    HIGHEST,
    calibration,
    cross_fitted,
    fit_temperature,
    negative_log_likelihood,
)
from training.scoring import Entity

TAGS = {"DIAG", "MED"}


def reading_of(rows: list[tuple[str, float]], documents: int = 1) -> Reading:
    """A sentence of one word a row: the label that the network gives it and by how much."""
    parts = []
    for chunk in np.array_split(np.arange(len(rows)), documents):
        logits = np.zeros((len(chunk), len(LABELS)), dtype=np.float32)
        for place, index in enumerate(chunk):
            logits[place, LABELS.index(rows[index][0])] = rows[index][1]
        words = tuple((i, i + 1) for i in range(len(chunk)))
        parts.append((tuple(("w",) for _ in chunk), EncodedNote(words, tuple(range(len(chunk))), ()), logits))
    return Reading(LABELS, tuple(parts))


def sentences_of(tags: list[str]) -> list[TaggedSentence]:
    return [TaggedSentence(("w",), (tag,)) for tag in tags]


def test_entities_stand_in_their_sentences_across_documents() -> None:
    reading = reading_of([("O", 9), ("B-DIAG", 9), ("O", 9), ("B-MED", 9)], documents=2)
    assert [found.entity for found in reading.found()] == [(1, 0, 0, "DIAG"), (3, 0, 0, "MED")]
    assert reading.tags() == [["O"], ["B-DIAG"], ["O"], ["B-MED"]]


def test_an_entity_of_several_words_stands_in_words_of_its_sentence() -> None:
    logits = np.zeros((5, len(LABELS)), dtype=np.float32)
    for row, label in enumerate(["O", "O", "B-DIAG", "I-DIAG", "O"]):
        logits[row, LABELS.index(label)] = 9
    note = EncodedNote(tuple((i, i + 1) for i in range(5)), tuple(range(5)), ())
    reading = Reading(LABELS, (((("a", "b"), ("c", "d", "e")), note, logits),))
    assert [found.entity for found in reading.found()] == [(1, 0, 1, "DIAG")]
    assert reading.tags() == [["O", "O"], ["B-DIAG", "I-DIAG", "O"]]


def test_right_is_type_and_boundaries_and_other_types_are_left_out() -> None:
    reading = reading_of([("B-DIAG", 9), ("B-MED", 9), ("B-TEST", 9)])
    pairs = right_or_wrong(reading.found(), sentences_of(["B-DIAG", "B-DIAG", "O"]), TAGS)
    assert [right for _, right in pairs] == [1.0, 0.0]


def unsure(count: int, strength: float, right: float) -> tuple[Reading, list[TaggedSentence]]:
    """Every word a diagnosis to the network, and so many of them in truth."""
    tags = ["B-DIAG" if (i * 7919) % 100 < 100 * right else "O" for i in range(count)]
    return reading_of([("B-DIAG", strength)] * count, documents=10), sentences_of(tags)


@pytest.mark.parametrize(("strength", "right"), [(9.0, 0.8), (5.0, 0.5), (3.0, 0.9)])
def test_the_temperature_makes_confidence_the_share_that_is_right(strength: float, right: float) -> None:
    reading, sentences = unsure(200, strength, right)
    temperature = fit_temperature(reading, sentences, TAGS)
    (confidence,) = {round(found.confidence, 6) for found in reading.found(temperature)}
    assert confidence == pytest.approx(right, abs=0.01)
    cross = cross_fitted(reading, sentences, TAGS)
    assert np.mean([sure for sure, _ in cross]) == pytest.approx(right, abs=0.03)
    figures = calibration(right_or_wrong(reading.found(), sentences, TAGS), cross, temperature, "")
    assert figures["after"]["ece"] < figures["before"]["ece"]
    assert figures["after"]["nll"] < figures["before"]["nll"]


def test_what_is_always_wrong_is_as_unsure_as_can_be() -> None:
    reading, sentences = unsure(100, 9.0, 0.0)
    assert fit_temperature(reading, sentences, TAGS) == pytest.approx(HIGHEST, rel=0.01)


def test_a_few_entities_fit_nothing() -> None:
    reading, sentences = unsure(29, 9.0, 0.5)
    assert fit_temperature(reading, sentences, TAGS) == 1.0


@pytest.mark.parametrize(("pairs", "expected"), [([(1.0, 1.0)], 0.0), ([(0.5, 1.0)], 0.693), ([(1.0, 0.0)], 13.816)])
def test_likelihood(pairs: Pairs, expected: float) -> None:
    assert negative_log_likelihood(pairs) == pytest.approx(expected, abs=1e-3)


def test_calibration_of_nothing_is_not_measured() -> None:
    figures = calibration([], [], 1.0, "")
    assert figures["after"] == {"ece": None, "nll": None, "bins": []}


GOLD: set[Entity] = {(i, 0, 0, "DIAG") for i in range(40)}


def test_the_same_model_differs_by_nothing() -> None:
    figures = f1_difference(GOLD, GOLD, GOLD, list(range(40)))
    assert figures == {"difference": 0.0, "interval": [0.0, 0.0], "notes": 40}


def test_a_worse_model_lies_below_zero() -> None:
    worse = {entity for entity in GOLD if entity[0] % 2}
    figures = f1_difference(GOLD, worse, GOLD, list(range(40)))
    assert figures["difference"] == pytest.approx(2 * 20 / 60 - 1)
    low, high = figures["interval"]
    assert low < figures["difference"] < high < 0


def test_whole_notes_are_drawn() -> None:
    worse = {entity for entity in GOLD if entity[0] % 2}
    by_sentence = f1_difference(GOLD, worse, GOLD, list(range(40)))
    by_note = f1_difference(GOLD, worse, GOLD, [i % 2 for i in range(40)])  # one note all right, the other all wrong
    assert by_note["notes"] == 2
    width = [figures["interval"][1] - figures["interval"][0] for figures in (by_sentence, by_note)]
    assert width[1] > 2 * width[0]


@pytest.mark.parametrize("notes", [[], [3, 3, 3]])
def test_one_note_has_no_interval(notes: list[int]) -> None:
    gold: set[Entity] = {(i, 0, 0, "DIAG") for i in range(len(notes))}
    assert f1_difference(gold, gold, set(), notes)["interval"] is None


def written(path: Path, *notes: tuple[str, list[tuple[str, str, str | None]]]) -> EvaluationNotes:
    lines = []
    for number, (text, mentions) in enumerate(notes):
        entities = []
        for words, kind, certainty in mentions:
            entity = {"start": text.index(words), "end": text.index(words) + len(words), "type": kind}
            entities.append(entity if certainty is None else {**entity, "certainty": certainty})
        lines.append(json.dumps({"id": str(number), "text": text, "entities": entities}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_notes(path)


def test_sentences_know_their_notes(tmp_path: Path) -> None:
    notes = written(
        tmp_path / "n.jsonl",
        ("Denies fever.\nHas gout.", [("fever", "DIAGNOSIS", None), ("gout", "DIAGNOSIS", None)]),
        ("CT normal.", [("CT", "TEST", None)]),
    )
    assert notes.notes == (0, 0, 1)
    assert notes.sentences[1].tags == ("O", "B-DIAG", "O")
    assert notes.texts[1] == "CT normal."


def test_negation_is_scored_where_the_notes_say_it(tmp_path: Path) -> None:
    notes = written(
        tmp_path / "n.jsonl",
        (
            "Denies fever. Has gout, takes aspirin.",
            [("gout", "DIAGNOSIS", "affirmed"), ("fever", "DIAGNOSIS", "negated"), ("aspirin", "MEDICATION", None)],
        ),
        ("No cough.", [("cough", "DIAGNOSIS", "affirmed")]),  # the rules say otherwise
    )
    scores = negation_scores(notes)
    assert scores is not None
    assert (scores["n"], scores["recall"], scores["precision"]) == (3, 1.0, 0.5)
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_without_a_word_on_negation_nothing_is_measured(tmp_path: Path) -> None:
    assert negation_scores(written(tmp_path / "n.jsonl", ("Gout.", [("Gout", "DIAGNOSIS", None)]))) is None


def test_a_type_without_entities_was_not_measured() -> None:
    sentences = sentences_of(["B-DIAG", "B-MED", "O"])
    figures = ner_figures([["B-DIAG"], ["O"], ["B-TEST"]], sentences, GUIDELINES["clincode"])
    assert type_f1(figures["scores"]) == {
        "DIAGNOSIS": 1.0,
        "PROCEDURE": None,
        "MEDICATION": 0.0,
        "ANATOMY": None,
        "TEST": None,
    }
    assert figures["errors"]["types"]["MEDICATION"] == {"critical": 1, "moderate": 0, "minor": 0}
    assert sum(sum(row) for row in figures["confusion"]["words"]) == 3
    json.dumps(figures)

"""Kinds and severities of errors, on sentences with their spans written out."""

from pathlib import Path
from typing import Any

import pytest

from clincode.labels import bio_labels
from clincode.model import BertForClinicalNER
from training.corpora import TaggedSentence
from training.errors import KINDS, by_kind, classify_errors, error_analysis, plot_errors, severity_distribution, summary

LABEL_NAMES = bio_labels(("Chemical", "Disease"))

CASES = [
    # words, gold, predicted, (kind, severity, gold words, predicted words) each
    ("Severe chest pain today", "B-DIAG I-DIAG I-DIAG O", "O B-DIAG I-DIAG O",
     [("boundary", 1, "Severe chest pain", "chest pain")]),
    ("Given aspirin daily", "O B-MED O", "O B-TEST O", [("type", 3, "aspirin", "aspirin")]),
    ("Has pneumonia and gout", "O B-DIAG O B-DIAG", "O B-DIAG O O", [("missing", 3, "gout", None)]),
    ("Obtained an echocardiogram", "O O B-TEST", "O O O", [("missing", 2, "echocardiogram", None)]),
    ("Walked to the clinic", "O O O O", "O O O B-ANAT", [("hallucinated", 2, None, "clinic")]),
    ("Walked to the clinic", "O O O O", "O O O B-MED", [("hallucinated", 3, None, "clinic")]),
    ("Denies chest pain", "O B-DIAG I-DIAG", "O O O", [("negation", 3, "chest pain", None)]),
    ("No left knee effusion", "O B-DIAG I-DIAG I-DIAG", "O B-ANAT I-ANAT B-DIAG",
     [("negation", 3, "left knee effusion", "left knee"), ("negation", 1, "left knee effusion", "effusion")]),
    # One prediction over two entities: neither is missing.
    ("Had nausea and gout today", "O B-DIAG O B-DIAG O", "O B-DIAG I-DIAG I-DIAG O",
     [("boundary", 1, "nausea", "nausea and gout"), ("boundary", 1, "gout", "nausea and gout")]),
    ("Heparin stopped", "B-Chemical O", "O O", [("missing", 3, "Heparin", None)]),
    ("Lungs clear", "B-ANAT O", "B-ANAT O", []),
]  # fmt: skip


@pytest.mark.parametrize(("words", "gold", "predicted", "expected"), CASES)
def test_kind_and_severity(words: str, gold: str, predicted: str, expected: list[tuple[Any, ...]]) -> None:
    errors = classify_errors(words.split(), gold.split(), predicted.split())
    found = [
        (e.kind, e.severity, e.text(e.gold) if e.gold else None, e.text(e.predicted) if e.predicted else None)
        for e in errors
    ]
    assert found == expected


def test_all_kinds_are_there_and_counts_add_up(tmp_path: Path) -> None:
    errors = by_kind(
        e for words, gold, guess, _ in CASES for e in classify_errors(words.split(), gold.split(), guess.split())
    )
    assert tuple(errors) == KINDS
    assert {kind: len(instances) for kind, instances in errors.items()} == {
        "boundary": 3, "type": 1, "missing": 3, "hallucinated": 2, "negation": 3,
    }  # fmt: skip
    assert severity_distribution(errors) == {"critical": 6, "moderate": 2, "minor": 4}
    text = summary(errors, examples=1)
    assert "missing" in text
    assert "25.0%" in text
    plot_errors(errors, tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 1000


def test_a_model_is_analysed_on_the_first_examples(tiny_model: BertForClinicalNER, word_tokenizer: Any) -> None:
    sentences = [TaggedSentence(("Took", "aspirin"), ("O", "B-Chemical"))] * 5
    tiny_model.heads["clincode"].bias.data[0] = 50.0  # type: ignore[union-attr]
    errors = error_analysis(tiny_model, sentences, word_tokenizer, "cpu", LABEL_NAMES, num_examples=3)
    assert {kind: len(instances) for kind, instances in errors.items()} == {**dict.fromkeys(KINDS, 0), "missing": 3}

"""The plain training loop and what is drawn from its model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from clincode.labels import bio_labels
from clincode.model import BertForClinicalNER
from training.comprehensive import comprehensive_evaluation
from training.confusion import confusion_matrix
from training.corpora import TaggedSentence
from training.loop import evaluate, make_loader, predict_words, report, tag_scores, train_epoch
from training.profiling import profile_inference

LABEL_NAMES = bio_labels(("Chemical", "Disease"))

SENTENCES = [
    TaggedSentence(("Heparin", "caused", "severe", "bleeding", "."), ("B-Chemical", "O", "O", "B-Disease", "O")),
    TaggedSentence(("No", "fever", "after", "valproic", "acid"), ("O", "B-Disease", "O", "B-Chemical", "I-Chemical")),
] * 8


def test_a_loader_pads_and_ignores_what_is_no_first_subtoken(word_tokenizer: Any) -> None:
    batch = next(iter(make_loader(SENTENCES, word_tokenizer, LABEL_NAMES, batch_size=4, max_length=16)))
    assert {name: tuple(t.shape) for name, t in batch.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "labels"), (4, 16)
    )
    words = [LABEL_NAMES[i] for i in batch["labels"][1].tolist() if i != -100]
    assert tuple(words) == SENTENCES[1].tags


def test_shuffling_repeats_for_a_seed(word_tokenizer: Any) -> None:
    def ids(seed: int) -> list[list[int]]:
        loader = make_loader(SENTENCES[:2] * 6, word_tokenizer, LABEL_NAMES, batch_size=12, shuffle=True, seed=seed)
        return next(iter(loader))["input_ids"].tolist()  # type: ignore[no-any-return]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_training_lowers_the_loss_and_is_scored_by_whole_entities(
    tiny_model: BertForClinicalNER, word_tokenizer: Any, tmp_path: Path
) -> None:
    loader = make_loader(SENTENCES, word_tokenizer, LABEL_NAMES, batch_size=4, max_length=16, shuffle=True)
    optimizer = torch.optim.AdamW(tiny_model.parameters(), lr=0.01)
    scheduler = get_linear_schedule_with_warmup(optimizer, 2, 100)
    losses = [train_epoch(tiny_model, loader, optimizer, scheduler, "cpu") for _ in range(12)]
    assert losses[-1] < losses[0] / 3
    loss, f1, table = evaluate(tiny_model, loader, "cpu", LABEL_NAMES)
    assert loss < losses[0] / 3
    assert f1 > 0.9
    assert "Chemical" in table
    assert "micro" in table

    result = comprehensive_evaluation(
        tiny_model,
        loader,
        "cpu",
        LABEL_NAMES,
        0.5,
        baseline_per_type={"Chemical": 0.4},
        history=[{"train_loss": 1.0, "val_f1": 0.2}, {"train_loss": 0.5, "val_f1": 0.9}],
        out=tmp_path,
    )
    assert result["overall_f1"] == f1
    assert result["improvement_over_baseline"] == pytest.approx(f1 - 0.5)
    assert set(result["per_type_f1"]) == {"Chemical", "Disease"}
    assert result["per_type"]["Disease"]["f1"] == result["per_type_f1"]["Disease"]
    assert result["confusion_matrix"].sum() == sum(len(s.words) for s in SENTENCES)
    assert {file.name for file in tmp_path.iterdir()} == {"confusion.png", "comparison.png", "training.png"}


def test_a_report_is_plain_and_has_what_is_only_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a notebook has it
    text = report(tag_scores([["B-Disease", "O"]], [["B-Disease", "B-Chemical"]]))
    assert [line.split() for line in text.splitlines()] == [
        ["precision", "recall", "F1", "entities"],
        ["Chemical", "0.000", "0.000", "0.000", "0"],
        ["Disease", "1.000", "1.000", "1.000", "1"],
        ["micro", "0.500", "1.000", "0.667", "1"],
    ]


def test_every_word_has_a_tag_and_what_is_cut_off_is_outside(
    tiny_model: BertForClinicalNER, word_tokenizer: Any
) -> None:
    with torch.no_grad():
        tiny_model.heads["clincode"].bias[3] = 50.0  # everything is B-Disease  # type: ignore[index,union-attr]
    sentences = [["fever", "\u0301", "electroencephalographically"], ["pain"] * 40, ["fever"]]
    tags, sure = predict_words(tiny_model, sentences, word_tokenizer, "cpu", LABEL_NAMES, max_length=12, batch_size=2)
    assert tags[0] == ["B-Disease", "O", "B-Disease"]
    assert tags[1] == ["B-Disease"] * 10 + ["O"] * 30
    assert [len(row) for row in sure] == [3, 40, 1]
    assert sure[0][1] == 0
    assert np.all(sure[1][:10] > 0.99)


def test_confusion_counts_words_by_gold_and_predicted_label() -> None:
    gold = [["O", "B-Disease"], ["B-Chemical"]]
    predicted = [["O", "O"], ["B-Disease"]]
    matrix = confusion_matrix(gold, predicted, LABEL_NAMES)
    assert matrix[0].tolist() == [1, 0, 0, 0, 0]
    assert matrix[3, 0] == 1
    assert matrix[1, 3] == 1
    assert matrix.sum() == 3


def test_a_profile_has_all_its_parts(tiny_model: BertForClinicalNER, word_tokenizer: Any, tmp_path: Path) -> None:
    profile = profile_inference(tiny_model, word_tokenizer, "cpu", runs=10, out=tmp_path)
    latency = profile["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    # The tiny encoder has 128 positions.
    assert list(profile["by_length"]) == [32, 64, 128]
    assert list(profile["throughput"]) == [1, 2, 4, 8, 16]
    assert profile["dynamic_padding_speedup"] > 0
    assert profile["meets_budget"] == (latency["p95"] < 500)
    assert {file.name for file in tmp_path.iterdir()} == {"latency.png", "throughput.png"}

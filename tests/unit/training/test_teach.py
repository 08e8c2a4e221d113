"""A student learns from a teacher's probabilities on text that nobody annotated."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from clincode.config import SERVING_HEAD, ModelConfig
from clincode.labels import LABELS, bio_labels
from clincode.model import BertForClinicalNER
from clincode.windows import Windower
from training.batches import TrainingCorpus, collate, epoch_examples
from training.corpora import GUIDELINES, CorpusError, TaggedSentence, read_text
from training.objective import Objective
from training.soft_labels import STATES, load_soft_labels, save_soft_labels
from training.supervision import Supervision
from training.teach import word_labels

HEADS = {SERVING_HEAD: LABELS, "bc5cdr": bio_labels(("MED", "DIAG"))}
TEXT = "Denies chest pain. Started metoprolol 25 mg, then aspirin.\nNo nephrotoxicity \u0301 was seen."


@pytest.fixture(scope="module")
def tokenizer(tokenizer_file: Path) -> object:
    return AutoTokenizer.from_pretrained(tokenizer_file.parent)


@pytest.fixture(scope="module")
def teacher(tokenizer: object) -> BertForClinicalNER:
    torch.manual_seed(5)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    network = BertForClinicalNER(encoder=BertModel(config), guideline_heads={"bc5cdr": 5})
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight, std=0.5)  # type: ignore[arg-type]
    return network.eval()


@pytest.fixture
def sentences(tmp_path: Path) -> list[TaggedSentence]:
    (tmp_path / "note.txt").write_text(TEXT, encoding="utf-8")
    return read_text(tmp_path, GUIDELINES["unannotated"])


@pytest.fixture
def soft(teacher: BertForClinicalNER, tokenizer: object, sentences: list[TaggedSentence]) -> dict[str, np.ndarray]:
    windower = Windower(tokenizer.backend_tokenizer)  # type: ignore[attr-defined]
    return word_labels(teacher, ModelConfig("bert-clinical-ner-v0.0.1", HEADS), windower, sentences)


def test_every_word_has_the_teachers_probabilities(
    soft: dict[str, np.ndarray], sentences: list[TaggedSentence]
) -> None:
    words = [word for sentence in sentences for word in sentence.words]
    assert {head: rows.shape for head, rows in soft.items()} == {
        SERVING_HEAD: (len(words), 11),
        "bc5cdr": (len(words), 5),
        STATES: (len(words), 32),
    }
    sums = soft[SERVING_HEAD].sum(axis=1)
    dropped = words.index("\u0301")
    assert sums[dropped] == 0
    assert np.delete(sums, dropped) == pytest.approx(1, abs=1e-3)


def test_the_loss_is_cross_entropy_with_the_teacher_at_the_right_words(
    soft: dict[str, np.ndarray], sentences: list[TaggedSentence], teacher: BertForClinicalNER, tokenizer: object
) -> None:
    corpus = TrainingCorpus(GUIDELINES["unannotated"], sentences, soft=soft, soft_weight=0.5)
    examples = epoch_examples([corpus], tokenizer, max_tokens=128, seed=1, epoch=0)
    batch = collate(examples, Supervision([corpus.guideline], HEADS), pad_id=0)
    assert not batch.weights[SERVING_HEAD].any(), "nobody annotated anything"
    assert batch.soft_weights[SERVING_HEAD].sum() == 0.5 * (len(soft[SERVING_HEAD]) - 1)
    # A student that is the teacher reaches the entropy of the teacher's own probabilities: the least there is.
    p = np.concatenate([soft[head].astype(np.float64).ravel() for head in HEADS])
    entropy = -float((p * np.log(np.maximum(p, 1e-12))).sum())
    with torch.no_grad():
        loss = Objective(teacher, HEADS)(batch)
    # The teacher saw the text as one document; joined sentences may differ in context.
    assert len(examples) > 1 or loss.item() == pytest.approx(0.5 * entropy, rel=1e-3)
    assert loss.item() >= 0.5 * entropy * 0.999


def test_a_student_is_as_far_from_its_teacher_as_its_states_are(
    soft: dict[str, np.ndarray], sentences: list[TaggedSentence], teacher: BertForClinicalNER, tokenizer: object
) -> None:
    corpus = TrainingCorpus(GUIDELINES["unannotated"], sentences, states=soft[STATES])
    examples = epoch_examples([corpus], tokenizer, max_tokens=128, seed=1, epoch=0)
    batch = collate(examples, Supervision([corpus.guideline], HEADS), pad_id=0)
    assert batch.states is not None
    assert batch.states.shape == (len(soft[STATES]) - 1, 32), "all words but the one that the tokenizer drops"
    objective = Objective(teacher, HEADS, states_weight=2.0, teacher_hidden=32)
    assert objective.projection is not None
    with torch.no_grad():
        objective.projection.weight.copy_(torch.eye(32))
        objective.projection.bias.zero_()
        itself = objective(batch)
        objective.projection.weight.copy_(-torch.eye(32))
        opposite = objective(batch)
    # Joined sentences may differ in context from the one document that the teacher saw.
    assert itself < 0.1 * len(batch.states)
    assert opposite.item() == pytest.approx(2.0 * 2 * len(batch.states), rel=0.05)


def test_without_states_the_projection_costs_nothing_and_still_has_a_gradient(
    sentences: list[TaggedSentence], teacher: BertForClinicalNER, tokenizer: object
) -> None:
    corpus = TrainingCorpus(GUIDELINES["unannotated"], sentences)
    examples = epoch_examples([corpus], tokenizer, max_tokens=128, seed=1, epoch=0)
    batch = collate(examples, Supervision([corpus.guideline], HEADS), pad_id=0)
    objective = Objective(teacher, HEADS, states_weight=1.0, teacher_hidden=8)
    loss = objective(batch)
    loss.backward()
    assert loss.item() == 0
    assert objective.projection is not None
    assert objective.projection.weight.grad is not None


def test_probabilities_go_to_disk_and_back_and_must_fit_the_corpus(
    tmp_path: Path, soft: dict[str, np.ndarray], sentences: list[TaggedSentence]
) -> None:
    corpus = Path("notes/unlabelled")
    with pytest.raises(CorpusError, match=r"training\.teach"):
        load_soft_labels(tmp_path, corpus, sentences)
    save_soft_labels(tmp_path, corpus, soft)
    loaded = load_soft_labels(tmp_path, corpus, sentences)
    for head, rows in soft.items():
        np.testing.assert_allclose(loaded[head], rows, atol=1e-3)
    with pytest.raises(CorpusError, match="another version"):
        load_soft_labels(tmp_path, corpus, sentences[:-1])


def test_text_is_nobodys_annotation(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "No fever."}\n{"txt": 3}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=r"a.jsonl:2"):
        read_text(tmp_path / "a.jsonl", GUIDELINES["unannotated"])
    with pytest.raises(CorpusError, match="unannotated"):
        read_text(tmp_path / "a.jsonl", GUIDELINES["clincode"])

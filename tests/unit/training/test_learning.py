"""From corpora to a loss: alignment, partial labels, batches, run configuration."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from clincode.config import SERVING_HEAD
from clincode.labels import LABELS
from training.align import tokenize_and_align_labels
from training.batches import TrainingCorpus, collate, epoch_batches, epoch_examples
from training.corpora import GUIDELINES, TaggedSentence
from training.run_config import ConfigError, load_run_config
from training.supervision import Supervision, allowed_labels, marginal_loss, token_weights


@pytest.fixture(scope="module")
def hf_tokenizer(tokenizer_file: Path) -> object:
    return AutoTokenizer.from_pretrained(tokenizer_file.parent)


def test_the_first_subtoken_carries_the_label(hf_tokenizer: object) -> None:
    examples = {"tokens": [["myocardial", "infarction", "today"], ["pain"]], "tags": [[1, 2, 0], [1]]}
    rows = tokenize_and_align_labels(examples, hf_tokenizer, max_length=16)
    assert all(len(row) == 16 for key in ("input_ids", "attention_mask", "labels") for row in rows[key])
    labels = [label for label in rows["labels"][0] if label != -100]
    assert labels == [1, 2, 0]
    assert rows["labels"][0][0] == -100, "the first special token"
    assert [label for label in rows["labels"][1] if label != -100] == [1]
    tokens = hf_tokenizer.convert_ids_to_tokens(rows["input_ids"][0])  # type: ignore[attr-defined]
    for token, label in zip(tokens, rows["labels"][0], strict=True):
        assert (label == -100) == (token.startswith("##") or token in {"[CLS]", "[SEP]", "[PAD]"})


def test_what_is_cut_off_has_no_label_and_nothing_shifts(hf_tokenizer: object) -> None:
    rows = tokenize_and_align_labels(
        {"tokens": [["pain"] * 50], "tags": [list(range(50))]}, hf_tokenizer, max_length=12
    )
    assert rows["labels"][0] == [-100, *range(10), -100]


@pytest.mark.parametrize(
    ("gold", "guideline", "head", "expected"),
    [
        ("B-DIAG", "clincode", SERVING_HEAD, {"B-DIAG"}),
        ("O", "clincode", SERVING_HEAD, {"O"}),
        ("O", "bc5cdr", "bc5cdr", {"O"}),
        ("B-MED", "bc5cdr", SERVING_HEAD, {"B-MED"}),
        # Not annotated there, so not denied there.
        ("O", "bc5cdr", SERVING_HEAD, {"O", "B-PROC", "I-PROC", "B-ANAT", "I-ANAT", "B-TEST", "I-TEST"}),
        ("O", "anatem", SERVING_HEAD, set(LABELS) - {"B-ANAT", "I-ANAT"}),
        # A corpus teaches the head of another corpus nothing.
        ("B-DIAG", "ncbi_disease", "bc5cdr", set(GUIDELINES["bc5cdr"].labels)),
        # Types in other boundaries than the five say nothing of them.
        ("B-Lab_value", "maccrobat", "maccrobat", {"B-Lab_value"}),
        ("B-Lab_value", "maccrobat", SERVING_HEAD, set(LABELS)),
        ("O", "maccrobat", SERVING_HEAD, set(LABELS)),
    ],
)
def test_what_a_gold_label_leaves_possible(gold: str, guideline: str, head: str, expected: set[str]) -> None:
    labels = LABELS if head == SERVING_HEAD else GUIDELINES[head].labels
    assert allowed_labels(gold, GUIDELINES[guideline], head, labels) == expected


def test_one_allowed_label_is_cross_entropy_and_all_allowed_is_nothing() -> None:
    torch.manual_seed(1)
    logits = torch.randn(1, 3, 4)
    allowed = torch.zeros(1, 3, 4, dtype=torch.bool)
    allowed[0, 0, 2] = True
    allowed[0, 1, [0, 3]] = True
    allowed[0, 2, :] = True
    weights = token_weights(allowed, torch.ones(1))
    assert weights.tolist() == [[1, 1, 0]]
    p = logits.softmax(-1)[0]
    expected = -math.log(p[0, 2]) - math.log(p[1, 0] + p[1, 3])
    assert marginal_loss(logits, allowed, weights).item() == pytest.approx(expected, rel=1e-5)


def test_nothing_allowed_pushes_no_gradient_into_unannotated_types() -> None:
    """An O of a corpus of chemicals and diseases leaves the odds between O and a test label as they are."""
    heads = {SERVING_HEAD: LABELS}
    supervision = Supervision([GUIDELINES["bc5cdr"]], heads)
    logits = torch.zeros(1, 1, len(LABELS), requires_grad=True)
    allowed = supervision.allowed("bc5cdr", SERVING_HEAD, torch.tensor([0]))[None]
    marginal_loss(logits, allowed, token_weights(allowed, torch.ones(1))).backward()
    assert logits.grad is not None
    gradient = dict(zip(LABELS, logits.grad[0, 0].tolist(), strict=True))
    assert gradient["O"] == pytest.approx(gradient["B-TEST"])
    assert gradient["O"] < 0 < gradient["B-DIAG"]


def corpus(name: str, count: int) -> TrainingCorpus:
    tag = {"clincode": "B-TEST", "bc5cdr": "B-MED"}[name]
    sentences = [TaggedSentence(("Given", f"drug{i}", "."), ("O", tag, "O")) for i in range(count)]
    return TrainingCorpus(GUIDELINES[name], sentences, share=0.5, serving_weight=0.25 if name == "bc5cdr" else 1.0)


def test_batches_repeat_for_a_seed_and_an_epoch_and_differ_between_epochs(hf_tokenizer: object) -> None:
    corpora = [corpus("clincode", 200), corpus("bc5cdr", 200)]

    def batches(epoch: int) -> list[list[list[int]]]:
        examples = epoch_examples(corpora, hf_tokenizer, max_tokens=128, seed=3, epoch=epoch)
        groups = epoch_batches(examples, batch_tokens=512, seed=3, epoch=epoch)
        assert all(max(len(e.input_ids) for e in g) * len(g) <= 512 or len(g) == 1 for g in groups)
        return [[e.input_ids for e in g] for g in groups]

    assert batches(0) == batches(0)
    assert batches(0) != batches(1)


def test_a_batch_masks_padding_and_weighs_what_other_corpora_teach_the_serving_head(hf_tokenizer: object) -> None:
    examples = epoch_examples(
        [corpus("clincode", 4), corpus("bc5cdr", 9)], hf_tokenizer, max_tokens=64, seed=1, epoch=0
    )
    heads = {SERVING_HEAD: LABELS, "bc5cdr": GUIDELINES["bc5cdr"].labels}
    supervision = Supervision([GUIDELINES["clincode"], GUIDELINES["bc5cdr"]], heads)
    batch = collate(examples, supervision, pad_id=0)
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        assert batch.attention_mask[row].sum() == length
        labelled = torch.tensor([label != -100 for label in example.labels])
        padding = batch.weights[SERVING_HEAD][row, length:]
        assert not padding.any()
        serving = batch.weights[SERVING_HEAD][row, :length][labelled]
        assert set(serving.tolist()) == {0.25 if example.guideline == "bc5cdr" else 1.0}
        own = batch.weights["bc5cdr"][row, :length][labelled]
        assert set(own.tolist()) == {1.0 if example.guideline == "bc5cdr" else 0.0}


def test_all_faults_of_a_configuration_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "version: v1\nencoder: x\nepochs: 0\nlearning_rate: fast\ncolour: red\n"
        "corpora: [{path: a.tsv, guideline: genes}]\ndevel: {path: b.tsv}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_run_config(path)
    for place in ("version", "epochs", "learning_rate", "colour", "genes"):
        assert place in str(caught.value)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[3].glob("config/train/*.yaml")), ids=lambda p: p.name)
def test_shipped_configurations_are_valid_and_say_how_to_launch_them(path: Path) -> None:
    load_run_config(path)
    head = path.read_text(encoding="utf-8").split("\nversion:")[0]
    assert "training.train" in head
    assert path.name in head

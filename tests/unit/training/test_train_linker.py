"""The linker's encoder learns: its loss by hand, and a tiny run, straight and interrupted."""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from training import train_linker
from training.linking_names import NameGroup, key_of, pairs
from training.train_linker import AlignmentConfig, alignment_loss, batches, train

SAME_ALONE = torch.eye(3, dtype=torch.bool)
SAME_OF_TWO = torch.tensor([[True, False, True], [False, True, False], [True, False, True]])
WORDS = ("heart", "kidney", "liver", "lung", "skin", "bone", "brain", "spleen", "stomach", "bladder", "eye", "ear")
GROUPS = [
    NameGroup(
        f"A{i:02}", (f"{word} failure", f"failing {word}", f"{word} disease", f"disease of {word}", f"bad {word}")
    )
    for i, word in enumerate(WORDS)
]


def by_hand(
    first: np.ndarray, second: np.ndarray, same: np.ndarray, dimensions: Sequence[int], temperature: float
) -> float:
    """Mean of -log(e^positive / (e^positive + the sum of e^negative)), in loops."""
    terms = []
    for size in dimensions:
        for a, b in ((first, second), (second, first)):
            for i in range(len(a)):
                exponents = [
                    math.exp(
                        float(a[i, :size] @ b[j, :size])
                        / (float(np.linalg.norm(a[i, :size])) * float(np.linalg.norm(b[j, :size])) * temperature)
                    )
                    for j in range(len(b))
                    if j == i or not same[i, j]
                ]
                place = sum(1 for j in range(i) if not same[i, j])
                terms.append(-math.log(exponents[place] / sum(exponents)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("same", [SAME_ALONE, SAME_OF_TWO, torch.ones(3, 3, dtype=torch.bool)])
@pytest.mark.parametrize("dimensions", [(4,), (2, 4)])
def test_the_loss_by_hand(same: torch.Tensor, dimensions: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    first, second = torch.nn.functional.normalize(torch.randn(2, 3, 4), dim=-1)
    loss = alignment_loss(first, second, same, dimensions, 0.3)
    assert loss.item() == pytest.approx(by_hand(first.numpy(), second.numpy(), same.numpy(), dimensions, 0.3), rel=1e-4)


def test_pairs_of_one_group_do_not_push_each_other_apart() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    alone, together = (alignment_loss(first, first, same, (2,), 0.05) for same in (SAME_ALONE, SAME_OF_TWO))
    assert alone.item() == pytest.approx(2 / 3 * math.log(2), rel=1e-4)  # two of three have an equal negative
    assert together.item() == pytest.approx(0, abs=1e-4)


def test_what_is_the_same_is_a_group_or_a_name_of_another() -> None:
    groups = [NameGroup("a", ("MI", "heart attack")), NameGroup("b", ("mi", "mitral flaw")), NameGroup("c", ("x", "y"))]
    batch = [(0, "heart attack", "MI"), (1, "mitral flaw", "mi"), (2, "x", "y"), (1, "mi", "mitral flaw")]
    same = train_linker._same(batch, key_of(groups))
    assert same.int().tolist() == [[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]]


def config(encoder: Path, **changes: Any) -> AlignmentConfig:
    settings: dict[str, Any] = {
        "version": "icd-linker-v0.0.1",
        "encoder": str(encoder),
        "dimensions": 16,
        "epochs": 2,
        "batch_pairs": 8,
        "neighbours": 1,
        "learning_rate": 3e-3,
        "temperature": 0.1,
        "max_tokens": 8,
        **changes,
    }
    return AlignmentConfig(**settings)


@pytest.fixture(autouse=True)
def _few_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_linker, "_groups", lambda *_: GROUPS)


def losses(run: Path) -> list[tuple[int, float]]:
    return [(line["epoch"], line["loss"]) for line in map(json.loads, (run / "log.jsonl").read_text().splitlines())]


def test_a_run_lowers_the_loss_and_leaves_an_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    train(config(tiny_encoder, neighbours=0), tmp_path, tmp_path / "run", resume=False)
    (first, before), (second, after) = losses(tmp_path / "run")
    assert (first, second) == (1, 2)
    assert after < before
    trained, base = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run" / "encoder", tiny_encoder))
    words = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(trained[words], base[words])  # words that the run never met keep their place
    assert any(not torch.equal(trained[name], base[name]) for name in trained)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "encoder")
    assert tokenizer("heart")["input_ids"] == AutoTokenizer.from_pretrained(tiny_encoder)("heart")["input_ids"]


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tiny_encoder)
    train(settings, tmp_path, tmp_path / "straight", resume=False)

    def save_and_stop(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    save = train_linker._save
    monkeypatch.setattr(train_linker, "_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path, tmp_path / "stopped", resume=False)
    assert len(losses(tmp_path / "stopped")) == 1
    torch.rand(7)  # the process that goes on has other random numbers behind it
    monkeypatch.setattr(train_linker, "_save", save)
    train(settings, tmp_path, tmp_path / "stopped", resume=True)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    straight, stopped = (load_file(tmp_path / run / "encoder" / "model.safetensors") for run in ("straight", "stopped"))
    for name, tensor in straight.items():
        torch.testing.assert_close(stopped[name], tensor)


def test_there_may_be_nothing_to_resume(tiny_encoder: Path, tmp_path: Path) -> None:
    train(config(tiny_encoder, epochs=1), tmp_path, tmp_path / "run", resume=True)
    assert [epoch for epoch, _ in losses(tmp_path / "run")] == [1]


@pytest.mark.parametrize("hard", [False, True])
def test_batches_hold_every_pair_once(tiny_encoder: Path, hard: bool) -> None:
    settings = config(tiny_encoder, neighbours=3)
    run = train_linker._Run(
        settings,
        [NameGroup(group.key, (*group.names, f"{group.key} more")) for group in GROUPS],
        AutoTokenizer.from_pretrained(tiny_encoder),
        AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False),
    )
    found = list(batches(run, random.Random(3), hard=hard))
    drawn = list(pairs(run.groups, random.Random(3)))
    assert sorted(pair for batch in found for pair in batch) == sorted(drawn)
    assert all(8 <= len(batch) <= 8 + (3 if hard else 0) for batch in found[:-1])


def test_vectors_come_in_the_order_of_the_texts(tiny_encoder: Path) -> None:
    run = train_linker._Run(
        config(tiny_encoder),
        GROUPS,
        AutoTokenizer.from_pretrained(tiny_encoder),
        AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False).eval(),
    )
    texts = ["chronic disease of the liver", "gout", "heart failure", "gout"]
    together = run.embed(texts)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(4))
    for vector, text in zip(together, texts, strict=True):
        torch.testing.assert_close(vector, run.embed([text])[0], atol=2e-2, rtol=0)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"temperature": 0}, {"misspelt_share": 1.5}, {"batches": 3}])
def test_settings_that_make_no_run_are_refused(tiny_encoder: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        config(tiny_encoder, **change)

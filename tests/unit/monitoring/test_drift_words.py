"""Words: what a reference names, the ring, and the divergence."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from drift_samples import NEW, OLD, word_reference
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.drift.words import (
    MASK,
    NUMBER,
    Vocabulary,
    WordLearner,
    WordReference,
    WordWindow,
    divergence,
    telling_words,
)

VOCABULARY = Vocabulary(("the", "fever", "pain"), hashed=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The fever, the FEVER", {"the": 2, "fever": 2}),
        ("25mg on 00/00/0000", {NUMBER: 4, None: 1}),
        ("Mr. Xxxxx Xxx-Xxxx", {None: 1, MASK: 2}),
        ("", {}),
        ("x rays", {None: 2}),
        ("5 cm³, m²", {NUMBER: 3}),
        ("\ud800lone", {None: 1}),
    ],
)
def test_every_word_has_a_column(text: str, expected: dict[str | None, int]) -> None:
    found: dict[str | None, int] = {}
    columns, numbers = VOCABULARY.count(text)
    for column, number in zip(columns, numbers, strict=True):
        name = VOCABULARY.name(int(column))
        found[name] = found.get(name, 0) + int(number)
    assert found == expected
    assert len(set(columns)) == len(columns)


@given(st.text(max_size=300))
def test_any_text_is_counted_whole(text: str) -> None:
    columns, numbers = VOCABULARY.count(text)
    assert all(0 <= column < VOCABULARY.size for column in columns)
    assert (numbers > 0).all()


def learnt(texts: list[str]) -> WordReference:
    learner = WordLearner()
    for text in texts:
        learner.add(text)
    return learner.learnt(least_notes=10, hashed=8)


def test_a_reference_names_no_name_no_number_no_mask_and_nothing_rare() -> None:
    texts = [
        f"Was seen by Whitcombe with cough, dr whitcombe agrees; john smith, Xxxxx, B12, 12345{n}, kvothe{chr(97 + n)}"
        for n in range(12)
    ]
    texts += ["zebrafish " * 50] * 9  # often, in few notes
    reference = learnt(texts)
    content = json.dumps(reference.to_json())
    assert {"seen", "by", "with", "cough", "agrees"} <= set(reference.vocabulary.words)
    for hidden in ("whitcombe", "john", "smith", "xxx", "12345", "b12", "zebrafish", "kvothe"):
        assert hidden not in content.lower()


def test_a_word_that_stands_in_capitals_is_not_named() -> None:
    assert "orlanth" not in learnt(["Told Orlanth to rest"] * 20).vocabulary.words


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="no words"):
        learnt(["", "… !"])


def test_a_reference_is_the_same_after_json() -> None:
    reference = word_reference()
    again = WordReference.from_json(json.loads(json.dumps(reference.to_json())))
    assert again.vocabulary == reference.vocabulary
    assert again.vocabulary.fingerprint == reference.vocabulary.fingerprint
    assert (again.counts == reference.counts).all()
    assert again.notes == 40


def test_the_order_of_notes_is_nothing_to_a_reference() -> None:
    one, other = learnt([OLD, NEW] * 10), learnt([NEW] * 10 + [OLD] * 10)
    assert one.vocabulary == other.vocabulary
    assert (one.counts == other.counts).all()


def test_divergence_by_hand() -> None:
    p, q = (3.5 / 5, 1.5 / 5), (1.5 / 5, 3.5 / 5)
    by_hand = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert divergence(np.array([3, 1]), np.array([1, 3])) == pytest.approx(by_hand)
    assert divergence(np.array([2, 6]), np.array([2, 6])) == 0


@given(st.lists(st.integers(0, 500), min_size=6, max_size=6), st.lists(st.integers(0, 500), min_size=6, max_size=6))
def test_divergence_is_finite_and_not_negative(window: list[int], reference: list[int]) -> None:
    found = divergence(np.array(window), np.array(reference))
    assert math.isfinite(found)
    assert found >= -1e-12


def test_divergence_grows_with_the_share_of_other_text() -> None:
    reference = word_reference((OLD,))
    found = []
    for others in range(0, 101, 10):
        window = WordWindow(reference, notes=100, buckets=10)
        for number in range(100):
            window.add(NEW if number < others else OLD)
        found.append(window.divergence())
    assert found == sorted(found, key=lambda value: value or 0)
    assert found[0] == pytest.approx(0, abs=0.02)
    assert (found[-1] or 0) > 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70), st.integers(1, 5), st.integers(1, 4), st.integers(0, 69))
def test_the_ring_counts_the_last_buckets_alone(notes: int, buckets: int, per_bucket: int, cut: int) -> None:
    reference = word_reference()
    texts = [f"{OLD if number % 3 else NEW} fever {'pain ' * (number % 5)}" for number in range(notes)]
    window = WordWindow(reference, notes=buckets * per_bucket, buckets=buckets)
    for number, text in enumerate(texts):
        if number == cut:  # a restart
            state = window.state()
            window = WordWindow(reference, notes=buckets * per_bucket, buckets=buckets)
            window.restore(state)
        window.add(text)
    begun = -(-notes // per_bucket)
    expected = np.zeros(reference.vocabulary.size, dtype=np.int64)
    held = texts[max(0, begun - buckets) * per_bucket :]
    for text in held:
        columns, numbers = reference.vocabulary.count(text)
        expected[columns] += numbers
    assert (window.counts == expected).all()
    assert window.notes == len(held) <= buckets * per_bucket
    assert window.is_full == (begun >= buckets and notes > 0)


def test_a_state_of_another_window_is_refused_and_changes_nothing() -> None:
    window = WordWindow(word_reference(), notes=100, buckets=10)
    window.add(OLD)
    for change in ({"at": np.array(10)}, {"ring": np.zeros((3, 3))}, {"notes": np.full(10, 11)}):
        with pytest.raises(ValueError, match="another window"):
            window.restore({**window.state(), **change})
    assert window.notes == 1


@pytest.mark.parametrize(("notes", "buckets"), [(10, 0), (10, 3), (2, 4)])
def test_a_window_of_odd_size_is_refused(notes: int, buckets: int) -> None:
    with pytest.raises(ValueError, match="whole number"):
        WordWindow(word_reference(), notes=notes, buckets=buckets)


def test_telling_words_are_of_the_vocabulary_and_say_what_came_up() -> None:
    window = WordWindow(word_reference((OLD,) * 9 + (NEW,)), notes=100, buckets=10)
    for _ in range(50):
        window.add(NEW + " Quixotic Hrothgar")
    found = telling_words(window, 5)
    assert len(found) == 5
    assert {word for word, _, _ in found} <= {"knee", "replaced", "under", "spinal", "block", "without", "loss", "of",
                                             "blood", "drain", "was", "removed", "on", "ward", "the"}  # fmt: skip
    assert all(now > before for _, now, before in found)


def test_an_empty_window_says_nothing() -> None:
    window = WordWindow(word_reference())
    assert (window.divergence(), window.notes, window.is_full) == (None, 0, False)


def test_memory_does_not_grow_with_notes() -> None:
    window = WordWindow(word_reference(), notes=200, buckets=10)
    texts = [f"{OLD} word{n} {'abcdefghij'[n % 10]}{chr(97 + n % 26)}zz" for n in range(500)]
    for text in texts:
        window.add(text)
    tracemalloc.start()
    for number in range(2000):
        window.add(texts[number % 500] + f" unseen{number}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000

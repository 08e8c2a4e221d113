import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from clincode.model import BertForClinicalNER, NerEngine
from clincode.types import Window
from clincode.windows import Windower, best_windows, merge_windows, word_spans

NOTE = "Pt c/o chest pain x3 days; BP 150/90. Started metoprolol 25mg b.i.d. "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aspirin 81mg", ["aspirin", "81mg"]),
        ("non-tender", ["non", "-", "tender"]),
        ("T 38.5°C", ["T", "38", ".", "5", "°", "C"]),
        ("a\tb\r\nc\u00a0d", ["a", "b", "c", "d"]),
        ("fever 🤒🤒", ["fever", "🤒", "🤒"]),
        ("cafe\u0301", ["cafe", "\u0301"]),
        (" \n ", []),
    ],
)
def test_words_are_runs_of_word_characters_or_single_others(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


def test_a_note_of_512_tokens_is_one_window_and_of_513_two(tokenizer: Tokenizer) -> None:
    windower = Windower(tokenizer)
    one = windower.encode("pain " * 510)
    assert [len(window.input_ids) for window in one.windows] == [512]
    two = windower.encode("pain " * 511)
    assert [len(window.input_ids) for window in two.windows] == [512, 131]
    first, second = (window.body for window in two.windows)
    assert len(range(second.start, first.stop)) == 128, "the overlap"


def test_special_tokens_enclose_every_window(tokenizer: Tokenizer) -> None:
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    for window in Windower(tokenizer, max_tokens=32, overlap=8).encode(NOTE * 5).windows:
        assert (window.input_ids[0], window.input_ids[-1]) == (first, last)


def test_a_word_of_which_nothing_is_left_carries_no_label(tokenizer: Tokenizer) -> None:
    encoded = Windower(tokenizer).encode("pain \u0301 fever")
    assert encoded.words == ((0, 4), (7, 12))
    assert encoded.first_subtoken == (0, 1)


def test_an_empty_note_has_no_windows(tokenizer: Tokenizer) -> None:
    encoded = Windower(tokenizer).encode(" \n\t ")
    assert (encoded.words, encoded.windows) == ((), ())
    assert merge_windows(encoded, []).shape[0] == 0


def test_the_first_subtoken_carries_the_word(tokenizer: Tokenizer) -> None:
    encoded = Windower(tokenizer).encode("hydrochlorothiazide daily")
    assert len(encoded.first_subtoken) == 2
    assert encoded.first_subtoken[1] > 1, "the first word has several sub-tokens"


any_text = st.text(max_size=400) | st.lists(
    st.sampled_from(["chest", "hydrochlorothiazide", "\n", "é", "🤒", "\u0301", ",", "1.5", "\u00a0"]), max_size=200
).map(" ".join)
window_shapes = st.tuples(st.integers(8, 64), st.integers(0, 40)).filter(lambda shape: shape[1] < shape[0] - 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=any_text, shape=window_shapes)
def test_windows_cover_every_subtoken_and_keep_offsets(tokenizer: Tokenizer, text: str, shape: tuple[int, int]) -> None:
    max_tokens, overlap = shape
    encoded = Windower(tokenizer, max_tokens=max_tokens, overlap=overlap).encode(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in encoded.words)
    assert list(encoded.words) == sorted(encoded.words)
    assert all(len(window.input_ids) <= max_tokens for window in encoded.windows)
    covered = [index for window in encoded.windows for index in window.body]
    assert set(covered) == set(range(max(covered, default=-1) + 1))
    assert all(index in set(covered) for index in encoded.first_subtoken)
    for before, after in zip(encoded.windows, encoded.windows[1:], strict=False):
        assert before.body.stop - after.body.start == overlap


def _context(window: Window, index: int, total: int) -> float:
    """Written apart from the implementation: sub-tokens on the poorer side, the note's own ends never poor."""
    body = window.body
    left = index - body.start if body.start > 0 else float("inf")
    right = body.stop - 1 - index if body.stop < total else float("inf")
    return min(left, right)


@given(total=st.integers(1, 400), shape=window_shapes)
def test_each_subtoken_comes_from_the_window_with_most_context(total: int, shape: tuple[int, int]) -> None:
    body, overlap = shape[0] - 2, shape[1]
    starts = range(0, max(1, total - overlap), body - overlap)
    windows = [Window((0,) * (min(body, total - start) + 2), start) for start in starts]
    best = best_windows(windows)
    assert len(best) == total
    for index in range(total):
        offers = {i: _context(w, index, total) for i, w in enumerate(windows) if index in w.body}
        assert offers[int(best[index])] == max(offers.values())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(words=st.lists(st.sampled_from(["denies", "fever", "metoprolol", "and", ",", "no"]), min_size=1, max_size=120))
def test_merged_logits_equal_those_of_the_window_with_most_context(
    tokenizer: Tokenizer, tiny_network: BertForClinicalNER, words: list[str]
) -> None:
    encoded = Windower(tokenizer, max_tokens=32, overlap=8).encode(" ".join(words))
    engine = NerEngine(tiny_network, device="cpu", precision="fp32")
    per_window = engine.logits(encoded.windows)
    merged = merge_windows(encoded, per_window)
    total = encoded.windows[-1].body.stop
    for row, index in enumerate(encoded.first_subtoken):
        holders = [i for i, w in enumerate(encoded.windows) if index in w.body]
        best = max(holders, key=lambda i: (_context(encoded.windows[i], index, total), -i))
        expected = per_window[best][index - encoded.windows[best].offset]
        np.testing.assert_array_equal(merged[row], expected)

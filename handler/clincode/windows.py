"""A note of any length → overlapping windows of sub-tokens → one row of logits a word.

Windows are cut from the note's stream of sub-tokens, so nothing is ever truncated: with ``max_tokens`` 512 and
``overlap`` 128 a window holds 510 sub-tokens between its two special tokens and starts 382 after the one before it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from clincode.config import TOKENIZER_FILE, ModelConfig
from clincode.errors import BundleError
from clincode.types import EncodedNote, FloatArray, IntArray, Window

_WORD = re.compile(r"\w+|[^\w\s]")


def word_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Offsets of the words: runs of word characters, or single other characters that are not white space."""
    return tuple(match.span() for match in _WORD.finditer(text))


class Windower:
    """Cuts notes into windows with a model's own tokenizer. Immutable; safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int = 512, overlap: int = 128) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        special = tokenizer.encode("", add_special_tokens=True).ids
        if len(special) != 2:
            raise BundleError(f"{TOKENIZER_FILE}: adds {len(special)} special tokens to a text, expected 2")
        self._tokenizer = tokenizer
        self._first_id, self._last_id = special
        self._body = max_tokens - len(special)
        self._stride = self._body - overlap

    @classmethod
    def load(cls, folder: Path, config: ModelConfig) -> "Windower":
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise BundleError(f"{folder / TOKENIZER_FILE}: not a readable tokenizer") from error
        return cls(tokenizer, max_tokens=config.max_tokens, overlap=config.overlap)

    def encode(self, text: str) -> EncodedNote:
        """Windows over ``text``; word offsets are code points of ``text``."""
        spans = word_spans(text)
        return self.encode_words([text[start:end] for start, end in spans], spans)

    def encode_words(self, words: Sequence[str], spans: Sequence[tuple[int, int]]) -> EncodedNote:
        """Windows over words that are already cut; ``spans[i]`` are the offsets of ``words[i]``.

        A word of which the tokenizer leaves nothing (a lone combining mark, say) can carry no label and is left out.
        """
        encoding = self._tokenizer.encode(list(words), is_pretokenized=True, add_special_tokens=False)
        kept: list[tuple[int, int]] = []
        first: list[int] = []
        previous = None
        for position, word in enumerate(encoding.word_ids):
            if word is not None and word != previous:
                kept.append(spans[word])
                first.append(position)
                previous = word
        return EncodedNote(tuple(kept), tuple(first), self._cut(encoding.ids))

    def _cut(self, ids: Sequence[int]) -> tuple[Window, ...]:
        windows = []
        start = 0
        while start < len(ids):
            body = ids[start : start + self._body]
            windows.append(Window((self._first_id, *body, self._last_id), start))
            if start + self._body >= len(ids):
                break
            start += self._stride
        return tuple(windows)


def best_windows(windows: Sequence[Window]) -> IntArray:
    """For every sub-token of the note, the index of the window in which it has most context.

    Context is the smaller of the numbers of sub-tokens to its left and to its right within the window; a side on
    which the window ends where the note does counts as unlimited, for nothing is missing there. Ties go to the
    earlier window.
    """
    total = windows[-1].body.stop if windows else 0
    best = np.full(total, -1, dtype=np.int64)
    most = np.full(total, -1, dtype=np.int64)
    for index, window in enumerate(windows):
        body = window.body
        position = np.arange(len(body))
        left = position if body.start > 0 else np.full(len(body), total)
        right = position[::-1] if body.stop < total else np.full(len(body), total)
        context = np.minimum(left, right)
        covered = slice(body.start, body.stop)
        better = context > most[covered]
        best[covered][better] = index
        most[covered][better] = context[better]
    return best


def merge_windows(note: EncodedNote, window_logits: Sequence[FloatArray]) -> FloatArray:
    """One row of logits a word, ``(len(note.words), labels)``, from the logits of all windows of the note.

    ``window_logits[i]`` is ``(len(note.windows[i].body), labels)``: special tokens are already gone.
    """
    if not note.windows:
        return np.zeros((0, 0), dtype=np.float32)
    first = np.asarray(note.first_subtoken, dtype=np.int64)
    source = best_windows(note.windows)[first]
    merged = np.empty((len(first), window_logits[0].shape[1]), dtype=np.float32)
    for index, (window, logits) in enumerate(zip(note.windows, window_logits, strict=True)):
        rows = source == index
        merged[rows] = logits[first[rows] - window.offset]
    return merged

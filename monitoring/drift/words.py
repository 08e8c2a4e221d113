"""Have the notes come to use other words? Kullback and Leibler's divergence of the last notes from the reference.

``KL(window ‖ reference) = Σ p log(p / q)`` in nats, over single words, p of the window and q of the reference: what it
costs, for each word of today, to expect the words of the training text (Kullback and Leibler 1951). The order matters:
a word that has come up is seen, one that training had and the notes lack weighs little.

Words are counted in columns that are fixed when the reference is learnt: its most frequent words by name, numbers,
masks, and the rest by a hash. Taking words together can only lower the divergence (the data-processing inequality;
Cover and Thomas, 2.8), so what is reported is a lower bound of that over all words. Both sides are smoothed by adding
half a count to each column (Krichevsky and Trofimov 1981), so that a column the reference never saw costs much and not
infinity.

No text is kept. A reference names a word only where enough different notes have it, mostly in small letters, and no
list of names knows it as a name alone; a window is counts of columns.
"""

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from clincode.phi.names import name_lists

Counts = npt.NDArray[np.int64]

WINDOW_NOTES = 10_000
BUCKETS = 20
SMOOTHING = 0.5
TOP_WORDS = 4000
HASHED = 512
LEAST_NOTES = 10
"""A word is named that so many different notes have."""
_LEAST_SMALL = 2 / 3
"""Of a word's occurrences are in small letters, where it is named: names stand in capitals."""
_LONGEST = 30
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_NAMEABLE = re.compile(r"[a-zß-öø-ÿ]{2,}(?:[’'-][a-zß-öø-ÿ]+)*")
_MASK = re.compile(r"x{2,}(?:['’-]x+)*|x(?:['’-]x+)+")
NUMBER, MASK = "<number>", "<mask>"
_KINDS = (NUMBER, MASK)


@dataclass(frozen=True)
class Vocabulary:
    """Columns of a table of counts: ``words`` by name, then numbers, masks, and ``hashed`` columns for all others."""

    words: tuple[str, ...]
    hashed: int = HASHED

    @cached_property
    def _columns(self) -> Mapping[str, int]:
        return {word: column for column, word in enumerate(self.words)}

    @property
    def size(self) -> int:
        return len(self.words) + len(_KINDS) + self.hashed

    @cached_property
    def fingerprint(self) -> str:
        """Of what the columns mean: counts of another vocabulary cannot be taken for this one's."""
        return hashlib.sha256("\n".join([str(self.hashed), *self.words]).encode()).hexdigest()[:16]

    def name(self, column: int) -> str | None:
        """The word or kind that a column counts; null for a hashed one."""
        names = (*self.words, *_KINDS)
        return names[column] if column < len(names) else None

    def count(self, text: str) -> tuple[Counts, Counts]:
        """Which columns a text fills, each once, and how often. Takes a time in proportion to its words."""
        found: Counter[int] = Counter()
        columns = self._columns
        for word, number in Counter(_WORD.findall(text.lower())).items():
            column = columns.get(word)
            found[self._other(word) if column is None else column] += number
        return np.fromiter(found, np.int64, len(found)), np.fromiter(found.values(), np.int64, len(found))

    def _other(self, word: str) -> int:
        first = len(self.words)
        if not word.isalpha() and any(map(str.isdigit, word)):
            return first + _KINDS.index(NUMBER)
        if word[0] == "x" and _MASK.fullmatch(word):
            return first + _KINDS.index(MASK)
        return first + len(_KINDS) + zlib.crc32(word.encode(errors="surrogatepass")) % self.hashed


@dataclass(frozen=True)
class WordReference:
    """How often each column was filled in the training text, of how many notes."""

    vocabulary: Vocabulary
    counts: Counts
    notes: int

    def to_json(self) -> dict[str, Any]:
        named = len(self.vocabulary.words)
        return {
            "notes": self.notes,
            "words": dict(zip(self.vocabulary.words, map(int, self.counts[:named]), strict=True)),
            "others": [int(count) for count in self.counts[named:]],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "WordReference":
        """Raises KeyError, TypeError or ValueError where it is none."""
        words, others = content["words"], content["others"]
        counts = np.array([*words.values(), *others], dtype=np.int64)
        if len(others) <= len(_KINDS) or counts.min() < 0 or counts.sum() == 0:
            raise ValueError("no counts of words")
        return cls(Vocabulary(tuple(words), len(others) - len(_KINDS)), counts, int(content["notes"]))


class WordLearner:
    """Learns a reference from texts, one at a time. It holds every word until ``learnt``, so keep it in memory
    alone."""

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._small: Counter[str] = Counter()
        self._in_notes: Counter[str] = Counter()
        self._notes = 0

    def add(self, text: str) -> None:
        words: Counter[str] = Counter()
        for form, number in Counter(_WORD.findall(text)).items():
            word = form.lower()
            words[word] += number
            if form == word:
                self._small[word] += number
        self._all.update(words)
        self._in_notes.update(words.keys())
        self._notes += 1

    def learnt(self, *, top: int = TOP_WORDS, hashed: int = HASHED, least_notes: int = LEAST_NOTES) -> WordReference:
        """The reference; words as frequent as each other are taken by the alphabet.

        Raises:
            ValueError: there was no word.
        """
        if not self._all:
            raise ValueError("no words to learn from")
        named = [word for word in self._all if self._in_notes[word] >= least_notes and self._may_be_named(word)]
        named.sort(key=lambda word: (-self._all[word], word))
        vocabulary = Vocabulary(tuple(named[:top]), hashed)
        counts = np.zeros(vocabulary.size, dtype=np.int64)
        for word, number in self._all.items():
            columns, _ = vocabulary.count(word)
            counts[columns] += number
        return WordReference(vocabulary, counts, self._notes)

    def _may_be_named(self, word: str) -> bool:
        if len(word) > _LONGEST or not _NAMEABLE.fullmatch(word) or _MASK.fullmatch(word):
            return False
        return self._small[word] >= _LEAST_SMALL * self._all[word] and not _is_name_alone(word)


class WordWindow:
    """Counts of the last notes in a ring of buckets, of fixed size whatever comes. The oldest bucket falls out whole
    when a new one is begun: once full, the window holds the last ``notes`` notes but for up to one bucket's."""

    def __init__(self, reference: WordReference, *, notes: int = WINDOW_NOTES, buckets: int = BUCKETS) -> None:
        if buckets < 1 or notes < buckets or notes % buckets:
            raise ValueError("a window is a whole number of notes in each of its buckets")
        self.reference = reference
        self._per_bucket = notes // buckets
        self._ring: Counts = np.zeros((buckets, reference.vocabulary.size), dtype=np.int64)
        self._notes: Counts = np.zeros(buckets, dtype=np.int64)
        self._at = 0

    def add(self, text: str) -> None:
        columns, numbers = self.reference.vocabulary.count(text)
        self.add_counts(columns, numbers)

    def add_counts(self, columns: Counts, numbers: Counts) -> None:
        """A note of which ``Vocabulary.count`` was asked before."""
        if self._notes[self._at] == self._per_bucket:
            self._at = (self._at + 1) % len(self._notes)
            self._ring[self._at], self._notes[self._at] = 0, 0
        self._ring[self._at, columns] += numbers
        self._notes[self._at] += 1

    @property
    def notes(self) -> int:
        return int(self._notes.sum())

    @property
    def is_full(self) -> bool:
        """No bucket has yet to be filled for the first time."""
        return self.notes > self._per_bucket * (len(self._notes) - 1)

    @property
    def counts(self) -> Counts:
        total: Counts = self._ring.sum(axis=0)
        return total

    def divergence(self) -> float | None:
        """KL(window ‖ reference) in nats; null without a word."""
        counts = self.counts
        return divergence(counts, self.reference.counts) if counts.any() else None

    def state(self) -> dict[str, Counts]:
        return {"ring": self._ring.copy(), "notes": self._notes.copy(), "at": np.array(self._at)}

    def restore(self, state: Mapping[str, Counts]) -> None:
        """Go on where ``state`` stopped.

        Raises:
            ValueError: it is of a window of another size.
        """
        ring, notes, at = (np.asarray(state[name], dtype=np.int64) for name in ("ring", "notes", "at"))
        fits = ring.shape == self._ring.shape and notes.shape == self._notes.shape and at.shape == ()
        if not fits or not 0 <= at < len(notes) or ring.min() < 0 or notes.min() < 0 or notes.max() > self._per_bucket:
            raise ValueError("a state of another window")
        self._ring, self._notes, self._at = ring.copy(), notes.copy(), int(at)


def unnamed_shares(window: WordWindow) -> tuple[float, float]:
    """Of words that the reference does not name, in the window and in the reference: what words by name cannot show."""
    named = len(window.reference.vocabulary.words) + len(_KINDS)
    p, q = _smoothed(window.counts), _smoothed(window.reference.counts)
    return float(p[named:].sum()), float(q[named:].sum())


def divergence(window: Counts, reference: Counts) -> float:
    """KL(window ‖ reference) of two rows of counts, in nats."""
    return float(_shares_of_divergence(window, reference).sum())


def telling_words(window: WordWindow, limit: int = 10) -> Sequence[tuple[str, float, float]]:
    """The named columns that add most to the divergence, with their shares in the window and in the reference: where to
    look first. They come from the reference's vocabulary, so that no word of a note shows that it did not hold."""
    counts, vocabulary = window.counts, window.reference.vocabulary
    parts = _shares_of_divergence(counts, window.reference.counts)
    named = len(vocabulary.words) + len(_KINDS)
    p, q = _smoothed(counts), _smoothed(window.reference.counts)
    best = np.argsort(-parts[:named], kind="stable")[:limit]
    return [(vocabulary.name(int(c)) or "", float(p[c]), float(q[c])) for c in best if parts[c] > 0]


def _shares_of_divergence(window: Counts, reference: Counts) -> npt.NDArray[np.float64]:
    p, q = _smoothed(window), _smoothed(reference)
    parts: npt.NDArray[np.float64] = p * np.log(p / q)
    return parts


def _smoothed(counts: Counts) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
    return shares


def _is_name_alone(word: str) -> bool:
    lists = name_lists()
    return any(lists.is_listed(part) for part in re.split("['’-]", word))

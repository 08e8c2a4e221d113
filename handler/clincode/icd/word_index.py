"""Which names have a word, a word that begins like it, or one that is spelled nearly like it.

Postings lie in three flat arrays in alphabetical order of the words, so that the postings of all words with one
beginning are one slice: a prefix costs no more than a word.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from string import ascii_lowercase

import numpy as np
import numpy.typing as npt

from clincode.icd.normalise import word_equivalents, words
from clincode.icd.variants import nonessential

_LAST = chr(0x10FFFF)

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Matches:
    """Names by number that a word is found in; a name may stand there twice. Both arrays have the shape [matches].

    ``covers`` is the number of essential words of the name that the match accounts for: 0 or 1, and more where several
    words together mean the one. A word is essential if the name would be another without it: "primary" is not in
    "essential (primary) hypertension", nor "organism" in "pneumonia, unspecified organism".
    """

    names: Ints
    covers: Counts

    def __len__(self) -> int:
        return len(self.names)


class WordIndex:
    """Canonical words (``normalise.words``) → the names that have them. Names are numbered from 0 as they come.

    ``lengths`` are the numbers of different essential words of each name: float32 of the shape [names].
    """

    def __init__(self, names: Iterable[str]) -> None:
        ids: dict[str, int] = {}
        found, covers, sizes, lengths = array("i"), array("b"), array("i"), array("i")
        for name in names:
            every = essential_words(name)
            found.extend([ids.setdefault(word, len(ids)) for word in every])
            covers.extend(every.values())
            sizes.append(len(every))
            lengths.append(sum(every.values()))
        self.lengths: Floats = np.array(lengths, dtype=np.float32)
        self._vocabulary: Sequence[str] = sorted(ids)
        places = np.empty(len(ids), dtype=np.int32)
        places[[ids[word] for word in self._vocabulary]] = np.arange(len(ids), dtype=np.int32)
        alphabetical = places[np.array(found, dtype=np.int32)]
        order = np.argsort(alphabetical, kind="stable")
        self._names: Ints = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
        self._covers: Counts = np.array(covers, dtype=np.int8)[order]
        self._starts: Ints = np.searchsorted(alphabetical[order], np.arange(len(ids) + 1)).astype(np.int32)

    def __contains__(self, word: str) -> bool:
        place = bisect_left(self._vocabulary, word)
        return place < len(self._vocabulary) and self._vocabulary[place] == word

    def having(self, word: str) -> Matches:
        """Names that have this very word."""
        place = bisect_left(self._vocabulary, word)
        return self._slice(place, place + (word in self))

    def starting(self, beginning: str) -> Matches:
        """Names that have a word with this beginning, or this word."""
        return self._slice(*self._places(beginning))

    def alike(self, word: str) -> Matches:
        """Names that say the word by another one, or by several; see ``word_equivalents.tsv``."""
        meaning = word_equivalents().get(word, (word,))
        alike = [self.having(other) for other in _meaning_as_one().get(meaning, ())]
        # The meaning of "carcinoma" takes two words, a name of which must have both.
        meant = [self.having(part) for part in meaning]
        return _joined([*alike, *([reduce(_both, meant)] if meant else [])])

    def near(self, word: str, *, unfinished: bool = False) -> Matches:
        """Names with a word one edit away; where there is none and the word is ``unfinished``, one that begins so."""
        nearly = sorted({edited for edited in one_edit(word) if edited in self})
        spans = [(place, place + 1) for place in (bisect_left(self._vocabulary, edited) for edited in nearly)]
        if not spans and unfinished:
            spans = sorted({(first, end) for first, end in map(self._places, one_edit(word)) if first < end})
        return _joined([self._slice(first, end) for first, end in spans])

    def _places(self, beginning: str) -> tuple[int, int]:
        return bisect_left(self._vocabulary, beginning), bisect_left(self._vocabulary, beginning + _LAST)

    def _slice(self, first: int, end: int) -> Matches:
        part = slice(self._starts[first], self._starts[end])
        return Matches(self._names[part], self._covers[part])


def one_edit(word: str) -> Iterator[str]:
    """What a word becomes by one letter less, more or other, or by two neighbours changing places."""
    for i in range(len(word) + 1):
        head, tail = word[:i], word[i:]
        for letter in ascii_lowercase:
            yield head + letter + tail
        if tail:
            yield head + tail[1:]
            for letter in ascii_lowercase:
                if letter != tail[0]:
                    yield head + letter + tail[1:]
        if len(tail) > 1 and tail[0] != tail[1]:
            yield head + tail[1] + tail[0] + tail[2:]


def essential_words(name: str) -> dict[str, bool]:
    """The different canonical words of a name in their order, each with whether it is essential."""
    canonical = words(name)
    every = dict.fromkeys(canonical, True)
    spare = [word for part in nonessential(name) for word in _words_of_part(part)]
    spare += _meaningless().intersection(canonical)
    for word in every.keys() & spare:
        every[word] = canonical.count(word) > spare.count(word)
    # Where nothing would be left ("[bracketed]"), all of it counts.
    return every if any(every.values()) else dict.fromkeys(every, True)


def _joined(parts: Sequence[Matches]) -> Matches:
    empty = Matches(np.empty(0, np.int32), np.empty(0, np.int8))
    parts = [empty, *parts]
    return Matches(np.concatenate([p.names for p in parts]), np.concatenate([p.covers for p in parts]))


def _both(one: Matches, other: Matches) -> Matches:
    """Names of both, with what they cover together."""
    names, first, second = np.intersect1d(one.names, other.names, return_indices=True)
    return Matches(names, one.covers[first] + other.covers[second])


@lru_cache(maxsize=1 << 12)
def _words_of_part(part: str) -> tuple[str, ...]:
    return words(part)


@cache
def _meaningless() -> frozenset[str]:
    return frozenset(word for word, meaning in word_equivalents().items() if not meaning)


@cache
def _meaning_as_one() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Meaning → the single words that stand for all of it; nothing for the words that have none."""
    table: dict[tuple[str, ...], list[str]] = {}
    for word, meaning in word_equivalents().items():
        if meaning:
            table.setdefault(meaning, []).append(word)
    return {meaning: tuple(alike) for meaning, alike in table.items()}

"""Misspelt words put right by the words of the classification, one slip each (Damerau 1964)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

_CLEARLY = 3
"""So many times as frequent as the next must a word be that is chosen among several."""
_OFTEN = 20
"""So often must a word be in the list that is chosen for its last letter alone: "spirometry" is not "spirometra"."""
_WORD = re.compile(r"[^\W\d_]{6,}")


class Speller:
    """Knows the words of the classification's names, and of ordinary language. Words that it knows stay as they are."""

    def __init__(self, vocabulary: Mapping[str, int] | Iterable[str], ordinary: Iterable[str] = ()) -> None:
        self._counts = Counter(vocabulary)
        medical = {word for word in self._counts if word.isalpha()}
        self._known = medical.union(ordinary)
        self._places: dict[tuple[str, int], list[str]] = {}
        for word in sorted(medical):
            if len(word) >= 5:
                self._places.setdefault((word[0], len(word)), []).append(word)
        self._nearest = lru_cache(maxsize=4096)(self._find)

    def corrected(self, text: str) -> str:
        """The text with each unknown word of six letters or more as the one word that is a slip away, if there is
        one."""
        return _WORD.sub(lambda match: self._put_right(match.group()), text)

    def _put_right(self, word: str) -> str:
        found = self._nearest(word.lower()) if word.isascii() else None
        return word if found is None else found

    def _find(self, word: str) -> str | None:
        if word in self._known or word.removesuffix("s") in self._known or word.removesuffix("es") in self._known:
            return None
        near = [
            other
            for length in (len(word) - 1, len(word), len(word) + 1)
            for other in self._places.get((word[0], length), ())
            if _is_one_slip(word, other) and (word[:-1] != other[:-1] or self._counts[other] >= _OFTEN)
        ]
        near.sort(key=lambda other: -self._counts[other])
        if len(near) > 1 and self._counts[near[0]] < _CLEARLY * self._counts[near[1]]:
            return None
        return near[0] if near else None


def _is_one_slip(word: str, other: str) -> bool:
    """Whether one letter more, fewer, or other, or two exchanged neighbours, make one of the other."""
    if len(word) > len(other):
        word, other = other, word
    start = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), len(word))
    if len(word) < len(other):
        return word[start:] == other[start + 1 :]
    if word[start + 1 :] == other[start + 1 :]:
        return True
    return word[start + 2 :] == other[start + 2 :] and word[start : start + 2] == other[start : start + 2][::-1]

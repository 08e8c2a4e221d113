"""Simple ways from a mention to ICD-10-CM codes, beside which the linker is measured; scripts/bench_icd.py does.

A ranker takes a mention and returns codes, billable or not, best first; none where it abstains. All rank every code of
the tabular list, external causes included, except those that only a 7th character completes. Unlike the linker's
``link`` they may return a category, so the linker's figure beside theirs is of ``named``. To all of them a name is its
words in lower case, without ", unspecified" at its end.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from clincode.icd import Terminology
from training.evaluate_icd import LinkingRecord

Ranker = Callable[[str], list[str]]

CUTOFFS = (1, 5)
_WORD = re.compile(r"[^\W_]+")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def names_of(terminology: Terminology) -> Iterator[tuple[str, str]]:
    """(code, name) of each title and inclusion term, in the order of the list, the title of a code first."""
    for code in terminology.base_codes():
        entry = terminology[code]
        for name in (entry.title, *entry.inclusion_terms):
            yield code, name


def exact_ranker(terminology: Terminology) -> Ranker:
    """Codes of which the mention is the title or an inclusion term."""
    codes: dict[str, list[str]] = defaultdict(list)
    for code, name in names_of(terminology):
        codes[_plain(name)].append(code)
    return lambda mention: list(dict.fromkeys(codes.get(_plain(mention), ())))


def memory_ranker(train: Iterable[LinkingRecord], otherwise: Ranker) -> Ranker:
    """Codes that the mention had in the training data, most frequent first; of others what ``otherwise`` says."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for record in train:
        # Sorted, for a set has no order and equals are to come out in the same one each time.
        seen[_plain(record.mention)].update(sorted(record.gold))
    known = {mention: [code for code, _ in counts.most_common()] for mention, counts in seen.items()}
    return lambda mention: list(known[_plain(mention)]) if _plain(mention) in known else otherwise(mention)


class TfidfRanker:
    """Cosine of TF-IDF vectors over the character n-grams of words, with a space at either end of each word.

    As scikit-learn's ``TfidfVectorizer(analyzer="char_wb", ngram_range=sizes)`` does it, without needing it. The names
    lie in postings by n-gram, so that a mention only meets names with which it shares one. Of names that are equally
    near, the first of the list counts.

    ``sizes`` are the least and the most characters of an n-gram. On the devel mentions that train lacks, 2 to 4 gives
    code@1 0.363 and category@1 0.444, 3 to 5 gives 0.336 and 0.417.
    """

    def __init__(self, terminology: Terminology, *, sizes: tuple[int, int] = (2, 4), limit: int = max(CUTOFFS)) -> None:
        self._sizes, self._limit = sizes, limit
        self._codes, names = zip(*names_of(terminology), strict=True)
        self._ids: dict[str, int] = {}
        plain = [_plain(name) for name in names]
        of_word = {word: self._numbers(word) for word in dict.fromkeys(" ".join(plain).split())}
        of_name = [[number for word in name.split() for number in of_word[word]] for name in plain]
        at = np.repeat(np.arange(len(names)), [len(each) for each in of_name])
        # One number for each pair of a name and an n-gram in it: counting pairs is counting equal numbers.
        size = len(self._ids)
        pairs, counts = np.unique(np.fromiter(chain.from_iterable(of_name), np.int64) + at * size, return_counts=True)
        at, grams = pairs // size, pairs % size
        self._idf = _idf(np.bincount(grams, minlength=size), len(names))
        weights = counts * self._idf[grams]
        norms = np.sqrt(np.bincount(at, weights**2, minlength=len(names)))
        order = np.argsort(grams, kind="stable")
        self._names: npt.NDArray[np.int32] = at[order].astype(np.int32)
        self._weights: Floats = (weights / norms[at])[order].astype(np.float32)
        self._starts: Ints = np.searchsorted(grams[order], np.arange(size + 1))

    def __call__(self, mention: str) -> list[str]:
        scores = np.zeros(len(self._codes), dtype=np.float32)
        counts = Counter(self._ids[gram] for gram in _ngrams(mention, self._sizes) if gram in self._ids)
        for gram, count in counts.items():
            part = slice(self._starts[gram], self._starts[gram + 1])
            scores[self._names[part]] += count * self._idf[gram] * self._weights[part]
        # The mention's own norm is left out: it changes no order.
        found: dict[str, None] = {}
        for name in np.argsort(-scores, kind="stable"):
            if scores[name] <= 0 or len(found) == self._limit:
                break
            found.setdefault(self._codes[name])
        return list(found)

    def _numbers(self, word: str) -> list[int]:
        return [self._ids.setdefault(gram, len(self._ids)) for gram in _ngrams(word, self._sizes)]


def _ngrams(text: str, sizes: tuple[int, int]) -> Iterator[str]:
    """N-grams of each word with a space before and after it; of a word that is shorter than n, itself once."""
    for word in _plain(text).split():
        padded = f" {word} "
        for size in range(sizes[0], sizes[1] + 1):
            yield from (padded[i : i + size] for i in range(max(len(padded) - size, 0) + 1))
            if len(padded) <= size:
                break


def _idf(frequencies: Ints, names: int) -> npt.NDArray[np.float64]:
    """Smoothed, as if one more name had every n-gram."""
    idf: npt.NDArray[np.float64] = np.log((1 + names) / (1 + frequencies)) + 1
    return idf


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower().removesuffix(", unspecified")))


@dataclass(frozen=True, slots=True)
class RankerScores:
    """Shares of mentions in [0, 1]; ``hits`` are code@k and category@k of each cutoff."""

    hits: dict[str, float]
    abstained: float
    n: int

    def figures(self) -> dict[str, float | int]:
        return {**self.hits, "abstained": self.abstained, "n": self.n}


def score_codes(records: Sequence[LinkingRecord], ranked: Sequence[Sequence[str]]) -> RankerScores:
    """Scores of the codes of each record, best first: right at k when any of the first k is any of the gold codes.

    A category is right when the first three characters are those of any gold code.

    Raises:
        ValueError: there are no records, or not as many lists of codes.
    """
    if not records:
        raise ValueError("no records to score")
    pairs = list(zip(records, ranked, strict=True))
    hits: dict[str, float] = {}
    for k in CUTOFFS:
        right = sum(not record.gold.isdisjoint(codes[:k]) for record, codes in pairs)
        near = sum(not _categories(record.gold).isdisjoint(_categories(codes[:k])) for record, codes in pairs)
        hits[f"code@{k}"] = right / len(pairs)
        hits[f"category@{k}"] = near / len(pairs)
    return RankerScores(hits, sum(not codes for codes in ranked) / len(pairs), len(pairs))


def _categories(codes: Iterable[str]) -> set[str]:
    return {code[:3] for code in codes}

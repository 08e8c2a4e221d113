"""The codes that may be meant by a mention, each with what speaks for it, as the ranker's features.

Candidates come from the names that the mention meets (``NameLookup``), from the names whose vectors are nearest and
from the nearest examples; a code whose parent or default is not among them lends it its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from clincode.icd.confidence import Found, MatchKind
from clincode.icd.defaults import Defaults
from clincode.icd.linking_model import Examples, Names
from clincode.icd.normalise import words
from clincode.icd.terminology import Terminology, is_group
from clincode.types import FloatArray

NEAREST_NAMES, NEAREST_EXAMPLES = 24, 12
_WITH_RELATIVES = 6
"""So many of the best codes of each source bring their parent and their default."""
_SAME = 0.985
"""From this likeness on, two names are the same but for case or an ending."""
_RARE_CHAPTERS = frozenset("OPQVWXYZ")


class Feature(IntEnum):
    """Columns of the ranker's features."""

    KIND_EXACT = 0
    KIND_NORMALISED = auto()
    KIND_SYNONYM = auto()
    KIND_RELATED = auto()
    KIND_UNMODIFIED = auto()
    KIND_REORDERED = auto()
    KIND_REDUCED = auto()
    KIND_HEAD = auto()
    KIND_HALF = auto()
    KIND_OWN = auto()
    TIED = auto()
    AS_DEFAULT = auto()
    GUESSED = auto()
    NAME = auto()
    NAME_GAP = auto()
    NAME_FIRST = auto()
    NAME_SHARE = auto()
    NAME_CATEGORY_SHARE = auto()
    EXAMPLE = auto()
    EXAMPLE_GAP = auto()
    EXAMPLE_SAME = auto()
    EXAMPLE_SHARE = auto()
    EXAMPLE_CATEGORY_SHARE = auto()
    LEARNT = auto()
    LEARNT_SAME = auto()
    COVERED = auto()
    COVERING = auto()
    OVERLAP = auto()
    DEPTH = auto()
    BILLABLE = auto()
    UNSPECIFIED = auto()
    OTHER = auto()
    RARE_CHAPTER = auto()
    SYMPTOM = auto()
    INJURY = auto()
    POPULARITY = auto()
    BEST_BELOW = auto()
    MENTION_WORDS = auto()
    SHORT_FORM = auto()
    NONE = auto()


FEATURES = len(Feature)
_KIND_COLUMN = {
    **{kind: Feature[f"KIND_{kind.name}"] for kind in MatchKind},
    # No training set has a user's own names; what is known of curated terms is taken to hold for them.
    MatchKind.OWN: Feature.KIND_SYNONYM,
}


@dataclass(frozen=True, slots=True)
class Candidates:
    """Codes, best retrieved first, and their features ``[codes + 1, features]``; the last row is for none of them."""

    codes: tuple[str, ...]
    features: FloatArray


class CandidateFinder:
    """Gathers candidates; ``hidden`` examples (a mask) are left out, which training needs."""

    def __init__(self, terminology: Terminology, defaults: Defaults, names: Names, examples: Examples) -> None:
        self._terminology = terminology
        self._defaults = defaults
        self._names = names
        self._examples = examples
        # As floats they take 30 MB, but making them so for each note would cost more than the search.
        self._name_table, self._example_table = (
            (part.vectors / np.float32(127)).astype(np.float32) for part in (names, examples)
        )
        self._popularity: dict[str, int] = {}
        for codes in examples.codes:
            for code in codes:
                self._popularity[code] = self._popularity.get(code, 0) + 1
        self._static: dict[str, tuple[float, ...]] = {}

    def nearest(self, vectors: FloatArray) -> list[tuple["Near", "Near"]]:
        """For each mention's unit vector, nearest names and nearest examples."""
        return list(
            zip(
                _nearest(vectors, self._name_table, NEAREST_NAMES),
                _nearest(vectors, self._example_table, NEAREST_EXAMPLES),
                strict=True,
            )
        )

    def gather(self, mention: str, found: Sequence[Found], names: "Near", examples: "Near") -> Candidates:
        """Candidates of one mention from what was found for it."""
        name_likeness = self._by_code(names, [(self._names.codes[i],) for i in names.indices])
        example_codes = [self._examples.codes[i] for i in examples.indices]
        example_likeness = self._by_code(examples, example_codes)
        learnt_likeness = self._by_code(
            examples, [self._examples.codes[i] if self._examples.learnt[i] else () for i in examples.indices]
        )
        codes: dict[str, None] = {}
        for source in ([f.named for f in found], name_likeness, example_likeness):
            for rank, code in enumerate(source):
                codes[code] = None
                if rank < _WITH_RELATIVES:
                    for other in self._relatives(code):
                        codes.setdefault(other)
        codes.update(dict.fromkeys(f.billable for f in found[:4]))
        ranked = tuple(codes)
        rows = np.zeros((len(ranked) + 1, FEATURES), dtype=np.float32)
        place = {code: i for i, code in enumerate(ranked)}
        self._set_lookup(rows, place, found)
        self._set_likeness(rows, place, ranked, name_likeness, Feature.NAME)
        self._set_likeness(rows, place, ranked, example_likeness, Feature.EXAMPLE)
        for code, likeness in learnt_likeness.items():
            rows[place[code], Feature.LEARNT] = likeness
            rows[place[code], Feature.LEARNT_SAME] = likeness >= _SAME
        self._set_words(rows, place, mention, names)
        for i, code in enumerate(ranked):
            rows[i, Feature.DEPTH : Feature.POPULARITY + 1] = self._fixed(code)
        self._set_below(rows, ranked)
        rows[:-1, Feature.MENTION_WORDS] = min(len(mention.split()), 8) / 8
        rows[:-1, Feature.SHORT_FORM] = mention.isupper() and len(mention) <= 6
        rows[-1] = rows[:-1].max(axis=0) if ranked else 0
        rows[-1, Feature.NONE] = 1
        return Candidates(ranked, rows)

    @staticmethod
    def _by_code(near: "Near", codes: Sequence[tuple[str, ...]]) -> dict[str, float]:
        """Code → its best likeness, in falling order."""
        best: dict[str, float] = {}
        for likeness, several in zip(near.likeness, codes, strict=True):
            for code in several:
                best.setdefault(code, float(likeness))
        return best

    def _relatives(self, code: str) -> tuple[str, ...]:
        parent = self._terminology.parent(code)
        default = self._defaults[code].code
        return (default,) if parent is None or is_group(parent) else (default, parent)

    @staticmethod
    def _set_lookup(rows: FloatArray, place: dict[str, int], found: Sequence[Found]) -> None:
        for each in reversed(found):
            row = rows[place[each.named]]
            row[_KIND_COLUMN[each.kind]] = 1
            row[Feature.TIED] = each.tied
            if each.billable in place and each.billable != each.named:
                row = rows[place[each.billable]]
                row[_KIND_COLUMN[each.kind]] = 1
                row[Feature.TIED] = each.tied
                row[Feature.AS_DEFAULT] = 1
                row[Feature.GUESSED] = each.guessed

    @staticmethod
    def _set_likeness(
        rows: FloatArray, place: dict[str, int], ranked: Sequence[str], likeness: dict[str, float], first: Feature
    ) -> None:
        """Likeness, gap to the best, sameness, and shares of a softmax over codes and over categories."""
        if not likeness:
            return
        best = next(iter(likeness.values()))
        gap, same, share, category_share = (Feature(first + k) for k in (1, 2, 3, 4))
        weights = {code: float(np.exp((value - best) / 0.05)) for code, value in likeness.items()}
        total = sum(weights.values())
        categories: dict[str, float] = {}
        for code, weight in weights.items():
            categories[code[:3]] = categories.get(code[:3], 0.0) + weight / total
        lowest = min(likeness.values())
        for code in ranked:
            value = likeness.get(code, lowest - 0.05)
            row = rows[place[code]]
            row[first], row[gap] = value, best - value
            row[same] = value >= _SAME if first is Feature.EXAMPLE else value == best
            row[share] = weights.get(code, 0.0) / total
            row[category_share] = categories.get(code[:3], 0.0)

    def _set_words(self, rows: FloatArray, place: dict[str, int], mention: str, names: "Near") -> None:
        """How much of the mention a name covers, by the weight of words, and the other way round; the best name's."""
        table = self._names
        known = [table.vocabulary[word] for word in dict.fromkeys(words(mention)) if word in table.vocabulary]
        said = float(table.weights[known].sum()) + 8.0 * sum(
            word not in table.vocabulary for word in dict.fromkeys(words(mention))
        )
        if not said:
            return
        marked = set(known)
        for index in names.indices:
            row = rows[place[table.codes[index]]]
            ids = table.word_ids[table.starts[index] : table.starts[index + 1]]
            weights = table.weights[ids]
            named = float(weights.sum())
            common = float(sum(weight for i, weight in zip(ids.tolist(), weights.tolist(), strict=True) if i in marked))
            overlap = 2 * common / (said + named) if named else 0.0
            if overlap > row[Feature.OVERLAP]:
                row[Feature.COVERED], row[Feature.COVERING] = common / said, common / named
                row[Feature.OVERLAP] = overlap

    def _fixed(self, code: str) -> tuple[float, ...]:
        """What is so of a code whatever the mention: the columns from ``DEPTH`` to ``POPULARITY``."""
        known = self._static.get(code)
        if known is None:
            title = self._terminology.title(code).lower()
            known = self._static[code] = (
                (len(code.replace(".", "")) - 3) / 4,
                float(self._terminology.is_billable(code)),
                float("unspecified" in title),
                float(title.startswith("other ") or "not elsewhere" in title),
                float(code[0] in _RARE_CHAPTERS),
                float(code[0] == "R"),
                float(code[0] in "ST"),
                float(np.log1p(self._popularity.get(code, 0))),
            )
        return known

    @staticmethod
    def _set_below(rows: FloatArray, ranked: Sequence[str]) -> None:
        """The best likeness of a code below this one, in so far as it is better than its own."""
        own = np.maximum(rows[:-1, Feature.NAME], rows[:-1, Feature.EXAMPLE])
        for i, code in enumerate(ranked):
            below = [own[j] for j, other in enumerate(ranked) if j != i and other.startswith(code)]
            rows[i, Feature.BEST_BELOW] = max(below, default=own[i]) - own[i]


@dataclass(frozen=True, slots=True)
class Near:
    """Indices of what is nearest, nearest first, and the cosines."""

    indices: tuple[int, ...]
    likeness: tuple[float, ...]


def _nearest(vectors: FloatArray, table: FloatArray, count: int) -> list[Near]:
    if not len(table):
        return [Near((), ())] * len(vectors)
    scores = vectors @ table.T
    count = min(count, len(table))
    found = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    result = []
    for row, indices in zip(scores, found, strict=True):
        ordered = indices[np.argsort(-row[indices], kind="stable")]
        result.append(Near(tuple(ordered.tolist()), tuple(row[ordered].tolist())))
    return result

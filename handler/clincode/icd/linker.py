"""From a mention to ranked codes: what its words name, what its vector is near to, and a ranker over both.

``named`` ranks codes at whatever level of the list the mention names ("acute myocardial infarction" is I21); ``link``
goes on from each to the billable code that says no more, and adds up what leads to the same one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from clincode.icd.candidates import CandidateFinder, Candidates
from clincode.icd.confidence import Found, MatchKind, later_confidence
from clincode.icd.defaults import Defaults
from clincode.icd.linking_model import LinkingModel
from clincode.icd.name_lookup import NameLookup
from clincode.icd.ranker import Ranker
from clincode.icd.spelling import Speller
from clincode.icd.terminology import Terminology
from clincode.types import CodeCandidate, FloatArray

Embed = Callable[[Sequence[str]], FloatArray]
_REMEMBERED = 4096
"""Mentions whose ranking is kept: notes say the same things again and again."""
_DECIDING = frozenset({MatchKind.OWN, MatchKind.EXACT, MatchKind.SYNONYM})
_LEAST = 1e-3
"""Candidates that are less likely are not worth a place."""

Ranking = tuple[tuple[str, float], ...]
"""Codes with their probabilities, best first."""


@dataclass(frozen=True, slots=True)
class Rankings:
    """``concepts``: codes that a mention names as cross-references have them. ``claims``: those that a coder goes on
    from."""

    concepts: Ranking
    claims: Ranking


class IcdLinker:
    """Links mentions to codes of one release. Not changed by use, except that it remembers rankings.

    Without a ``model`` only names are looked up, and the kind of match gives the confidence. ``ordinary_words`` are
    words that are not to be taken for misspelt medical ones.

    Raises:
        ResourceError: a data file is malformed, or a curated code is not billable in this release.
    """

    def __init__(
        self,
        terminology: Terminology,
        model: LinkingModel | None = None,
        embed: Embed | None = None,
        own: Mapping[str, Sequence[str]] | None = None,
        ordinary_words: Iterable[str] = (),
    ) -> None:
        self.terminology = terminology
        self.defaults = Defaults(terminology)
        self.lookup = NameLookup(terminology, self.defaults, own)
        self.speller = Speller(self.lookup.words(), ordinary_words)
        self._model = model
        self._embed = embed
        self._finder = CandidateFinder(terminology, self.defaults, model.names, model.examples) if model else None
        self._rankings: dict[str, Rankings] = {}

    @property
    def threshold(self) -> float:
        """Confidence below which a first candidate stays off the note's list."""
        return self._model.threshold if self._model else 0.25

    def link(self, mention: str, *, limit: int = 5) -> tuple[CodeCandidate, ...]:
        """Billable codes of a mention, best first; none where nothing fits."""
        return self.link_all([mention], limit=limit)[0]

    def link_all(self, mentions: Sequence[str], *, limit: int = 5) -> list[tuple[CodeCandidate, ...]]:
        """The same for several mentions, which go through the encoder together."""
        return [self._shown(self._billable(rankings.claims), limit) for rankings in self.rank(mentions)]

    def named(self, mention: str, *, limit: int = 5) -> tuple[CodeCandidate, ...]:
        """Codes that a mention names, billable or not, best first. For measuring against gold codes of concepts, and
        for showing a coder where in the list a mention stands; not for a claim."""
        return self.named_all([mention], limit=limit)[0]

    def named_all(self, mentions: Sequence[str], *, limit: int = 5) -> list[tuple[CodeCandidate, ...]]:
        return [self._shown(rankings.concepts, limit) for rankings in self.rank(mentions)]

    def rank(self, mentions: Sequence[str]) -> list[Rankings]:
        """Probabilities of the codes that each mention may name."""
        if len(self._rankings) > _REMEMBERED:
            self._rankings.clear()
        new = [mention for mention in dict.fromkeys(mentions) if mention not in self._rankings]
        if new:
            self._rankings.update(zip(new, self._ranked(new), strict=True))
        return [self._rankings[mention] for mention in mentions]

    def _ranked(self, mentions: Sequence[str]) -> list[Rankings]:
        if self._model is None or self._finder is None or self._embed is None:
            return [Rankings(ranking, ranking) for ranking in map(self._by_kind, mentions)]
        near = self._finder.nearest(self._embed(mentions))
        rankings = []
        for mention, (names, examples) in zip(mentions, near, strict=True):
            if self.lookup.is_no_name(mention):
                rankings.append(Rankings((), ()))
                continue
            found = self.lookup.find(mention)
            candidates = self._finder.gather(mention, found, names, examples)
            claims = _ranking(candidates, self._model.claims)
            rankings.append(Rankings(_ranking(candidates, self._model.concepts), _decided(found, claims)))
        return rankings

    def _by_kind(self, mention: str) -> Ranking:
        """Names alone: the confidence of the first by its kind of match, of the others by their rank."""
        found = self.lookup.find(mention)
        codes = list(dict.fromkeys(code for each in found for code in (each.named, each.billable)))
        if not codes:
            return ()
        first = found[0].confidence
        return ((codes[0], first), *((code, later_confidence(first, rank)) for rank, code in enumerate(codes[1:], 1)))

    def _billable(self, ranking: Ranking) -> Ranking:
        """Each code led on to the billable one that says no more; what leads to the same is added up."""
        total: dict[str, float] = {}
        for code, probability in ranking:
            billable = self.defaults[code].code
            total[billable] = min(1.0, total.get(billable, 0.0) + probability)
        return tuple(sorted(total.items(), key=lambda item: -item[1]))

    def _shown(self, ranking: Ranking, limit: int) -> tuple[CodeCandidate, ...]:
        return tuple(
            CodeCandidate(code, self.terminology.title(code), confidence, self.terminology.is_billable(code))
            for code, confidence in islice(ranking, max(limit, 0))
        )


def _ranking(candidates: Candidates, ranker: Ranker) -> Ranking:
    probabilities = ranker.probabilities(candidates.features)
    order = np.argsort(-probabilities[:-1], kind="stable")
    confidence = ranker.confidence(probabilities)
    return tuple((candidates.codes[i], float(confidence[i])) for i in order if probabilities[i] >= _LEAST)


def _decided(found: Sequence[Found], ranking: Ranking) -> Ranking:
    """A curated term, or a name as the list has it, decides; what is left of the probability is the others'."""
    if not found or found[0].kind not in _DECIDING or found[0].tied:
        return ranking
    first = found[0]
    sure = max(first.confidence, sum(value for code, value in ranking if code in (first.named, first.billable)))
    sure = min(sure, 1.0)
    others = [(code, value) for code, value in ranking if code not in (first.named, first.billable)]
    left = sum(value for _, value in others)
    share = (1 - sure) / left if left > max(1 - sure, 0) else 1.0
    return ((first.billable, sure), *((code, value * share) for code, value in others))

"""From a mention to ranked codes: what its words name, what its vector is near to, and a ranker over both.

``named`` ranks codes at whatever level of the list the mention names ("acute myocardial infarction" is I21); ``link``
goes on from each to the billable code that says no more, and adds up what leads to the same one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal

import numpy as np

from clincode.icd.candidates import CandidateFinder, Candidates
from clincode.icd.confidence import Found, MatchKind, later_confidence
from clincode.icd.defaults import Defaults
from clincode.icd.linking_model import LinkingModel
from clincode.icd.name_lookup import NameLookup
from clincode.icd.ranker import Ranker
from clincode.icd.spelling import Speller
from clincode.icd.status import status_words
from clincode.icd.terminology import Terminology, is_group
from clincode.types import CodeCandidate, FloatArray

Embed = Callable[[Sequence[str]], FloatArray]
_REMEMBERED = 4096
"""Mentions whose ranking is kept: notes say the same things again and again."""
_SETTLING = frozenset({MatchKind.OWN, MatchKind.EXACT, MatchKind.SYNONYM})
_MOST = 8
"""Codes that a name that settles a mention gives."""
_LEAST = 1e-3
"""Candidates that are less likely are not worth a place."""

Ranking = tuple[tuple[str, float], ...]
"""Codes with their probabilities, best first."""


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
        self.speller = Speller(self.lookup.words(), {*ordinary_words, *status_words()})
        self._model = model
        self._embed = embed
        self._finder = CandidateFinder(terminology, self.defaults, model.names, model.examples) if model else None
        self._rankings: dict[str, Ranking] = {}

    @property
    def threshold(self) -> float:
        """Confidence below which a first candidate stays off the note's list."""
        return self._model.threshold if self._model else 0.25

    def link(self, mention: str, *, limit: int = 5) -> tuple[CodeCandidate, ...]:
        """Billable codes of a mention, best first; none where nothing fits."""
        return self.link_all([mention], limit=limit)[0]

    def link_all(self, mentions: Sequence[str], *, limit: int = 5) -> list[tuple[CodeCandidate, ...]]:
        """The same for several mentions; those that their names do not settle go through the encoder together."""
        if len(self._rankings) > _REMEMBERED:
            self._rankings.clear()
        new = [mention for mention in dict.fromkeys(mentions) if mention not in self._rankings]
        found = {mention: self.lookup.find(mention) for mention in new}
        open_ = [mention for mention in new if self._model is None or not _settles(found[mention])]
        rankings = dict(zip(open_, self._ranked(open_, [found[m] for m in open_], "claims"), strict=True))
        for mention in new:
            ranking = rankings[mention] if mention in rankings else self._settled(found[mention])
            self._rankings[mention] = self._billable(ranking)
        return [self._shown(self._rankings[mention], limit) for mention in mentions]

    def named(self, mention: str, *, limit: int = 5) -> tuple[CodeCandidate, ...]:
        """Codes that a mention names, billable or not, best first. For measuring against gold codes of concepts, and
        for showing a coder where in the list a mention stands; not for a claim."""
        return self.named_all([mention], limit=limit)[0]

    def named_all(self, mentions: Sequence[str], *, limit: int = 5) -> list[tuple[CodeCandidate, ...]]:
        found = [self.lookup.find(mention) for mention in mentions]
        return [self._shown(ranking, limit) for ranking in self._ranked(mentions, found, "concepts")]

    def _ranked(
        self, mentions: Sequence[str], found: Sequence[tuple[Found, ...]], which: Literal["concepts", "claims"]
    ) -> list[Ranking]:
        """Every code that a mention may name, billable or not, by one of the rankers."""
        if not mentions:
            return []
        if self._model is None or self._finder is None or self._embed is None:
            return [self._by_name(each) for each in found]
        ranker = self._model.concepts if which == "concepts" else self._model.claims
        near = self._finder.nearest(self._embed(mentions))
        rankings: list[Ranking] = []
        for mention, names_found, (names, examples) in zip(mentions, found, near, strict=True):
            if self.lookup.is_no_name(mention):
                rankings.append(())
            else:
                rankings.append(_ranking(self._finder.gather(mention, names_found, names, examples), ranker))
        return rankings

    def _by_name(self, found: Sequence[Found], others: Iterable[str] = ()) -> Ranking:
        """Names alone: the confidence of the first by its kind of match, of what else is named and of ``others`` by
        their rank."""
        codes = list(dict.fromkeys((*(code for each in found for code in (each.named, each.billable)), *others)))
        if not codes:
            return ()
        first = found[0].confidence
        return ((codes[0], first), *((code, later_confidence(first, rank)) for rank, code in enumerate(codes[1:], 1)))

    def _settled(self, found: Sequence[Found]) -> Ranking:
        """What its name settles: that code, and the others of its family as alternatives for a coder."""
        first = found[0]
        above = self.terminology.parent(first.billable) if first.named == first.billable else first.named
        siblings = self.terminology.children(above) if above is not None and not is_group(above) else ()
        return self._by_name(found, (self.defaults[sibling].code for sibling in siblings))[:_MOST]

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


def _settles(found: Sequence[Found]) -> bool:
    """Whether names settle a mention: a curated term, or a name as the list has it, and no other as near."""
    return bool(found) and found[0].kind in _SETTLING and not found[0].tied

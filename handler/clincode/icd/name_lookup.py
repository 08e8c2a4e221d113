"""From a mention to codes by the names that the tabular list itself gives them.

The nearest kind of match decides: a curated term, the words of a name in their order, a name of the user's own sources,
the words in any order, with words of one meaning made one, and last a reduced mention. What fits nothing finds nothing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from clincode.icd.backoff import Reduction, reductions
from clincode.icd.confidence import Found, MatchKind
from clincode.icd.defaults import SPECIFIC, Defaults
from clincode.icd.index import Match, Posting, TermIndex
from clincode.icd.name_scan import NameScanner
from clincode.icd.normalise import words
from clincode.icd.synonyms import load_synonyms
from clincode.icd.terminology import Terminology
from clincode.icd.variants import Grammar

_LONGEST_MENTION = 300
"""Characters; longer than any name of the list."""
_ONE_PATIENT_IN_MANY = "OPQVWXYZ"
"""Chapters of special encounters (pregnancy, newborn, congenital, external, status): last where names tie."""

_REDUCED_KIND = {
    Reduction.ASIDE: MatchKind.UNMODIFIED,
    Reduction.WEAK: MatchKind.UNMODIFIED,
    Reduction.CLAUSE: MatchKind.REDUCED,
    Reduction.QUALIFIER: MatchKind.REDUCED,
    Reduction.HEAD: MatchKind.HEAD,
}


class NameLookup:
    """Finds the codes whose names a mention meets. Not changed by use, except that it remembers what it worked out.

    ``own`` are names of the user's own sources with their codes; ``synonyms`` are the curated terms, by default those
    of the package.

    Raises:
        ResourceError: a data file is malformed, or a curated code is not billable in this release.
    """

    def __init__(
        self,
        terminology: Terminology,
        defaults: Defaults,
        own: Mapping[str, Sequence[str]] | None = None,
        synonyms: Mapping[str, str] | None = None,
    ) -> None:
        self.terminology = terminology
        self._index = TermIndex(terminology, load_synonyms(terminology) if synonyms is None else synonyms)
        self.scanner = NameScanner(self._index)
        self._defaults = defaults
        self._own = own or {}

    def is_no_name(self, mention: str) -> bool:
        """Whether a mention only says how something is: "degenerative", "severe acute"."""
        canonical = words(mention)
        return self._index.is_no_name(canonical) and self._index.synonym(canonical, mention) is None

    def words(self) -> Counter[str]:
        """The words of all names, and how many names have each."""
        return self._index.words()

    def find(self, mention: str) -> tuple[Found, ...]:
        """What names lead to, best first; only what the nearest kinds of match give."""
        if len(mention) > _LONGEST_MENTION:
            return ()
        canonical = words(mention)
        if self.is_no_name(mention):
            return ()
        whole = tuple(self._find(canonical, mention))
        if whole:
            return whole
        for reduced, reduction in reductions(mention):
            found = tuple(found for found in self._find(reduced, None) if found.kind is not MatchKind.HALF)
            if found:
                return tuple(replace(each, kind=_REDUCED_KIND[reduction]) for each in found)
        return ()

    def _find(self, canonical: tuple[str, ...], surface: str | None) -> Iterator[Found]:
        """Each billable code once, under the nearest kind of match that leads to it."""
        seen: set[str] = set()
        for found in self._every(canonical, surface):
            if found.billable not in seen:
                seen.add(found.billable)
                yield found

    def _every(self, canonical: tuple[str, ...], surface: str | None) -> Iterator[Found]:
        synonym = self._index.synonym(canonical, surface)
        if synonym is not None:
            yield Found(self._defaults.broadest(synonym), synonym, MatchKind.SYNONYM)
        own = [] if surface is None else [*self._by_own_names(surface)]
        for match, postings in self._index.find(canonical):
            if match is not Match.ORDERED:
                yield from own
            if match is Match.RELATED:
                yield from self._related_synonym(canonical)
            for group in _by_grammar(postings):
                yield from self._group(group, self._kind(match, group, surface))
        yield from own
        yield from self._related_synonym(canonical)

    def _by_own_names(self, surface: str) -> Iterator[Found]:
        for code in self._own.get(" ".join(surface.split()).lower(), ()):
            yield Found(code, self._defaults[code].code, MatchKind.OWN)

    def _related_synonym(self, canonical: tuple[str, ...]) -> Iterator[Found]:
        synonym = self._index.related_synonym(canonical)
        if synonym is not None:
            yield Found(self._defaults.broadest(synonym), synonym, MatchKind.RELATED)

    def _group(self, group: tuple[Posting, ...], kind: MatchKind) -> Iterator[Found]:
        ranked = sorted(group, key=self._nearness)
        tied = len({self._defaults[posting.code].code for posting in ranked}) > 1
        for posting in ranked:
            default = self._defaults[posting.code]
            yield Found(posting.code, default.code, kind, tied, default.cost >= SPECIFIC)

    def _kind(self, match: Match, group: tuple[Posting, ...], surface: str | None) -> MatchKind:
        if group[0].grammar is Grammar.HALF:
            return MatchKind.HALF
        if match is not Match.ORDERED:
            return MatchKind.REORDERED if match is Match.REORDERED else MatchKind.RELATED
        if surface is not None and group[0].grammar is Grammar.VERBATIM:
            same = " ".join(surface.split()).lower()
            for posting in group:
                names = (self.terminology.title(posting.code), *self.terminology.terms(posting.code))
                if any(name.lower() == same for name in names):
                    return MatchKind.EXACT
        return MatchKind.NORMALISED

    def _nearness(self, posting: Posting) -> tuple[object, ...]:
        cost = self._defaults[posting.code].cost
        return (
            posting.is_other_term,
            posting.code[0] in _ONE_PATIENT_IN_MANY,
            cost >= SPECIFIC,
            cost,
            posting.position,
        )


def _by_grammar(postings: tuple[Posting, ...]) -> Iterator[tuple[Posting, ...]]:
    """Postings of one key cut where their grammar changes; they come sorted by it. Nearer than a half is near alike."""
    for half in (False, True):
        group = tuple(posting for posting in postings if (posting.grammar is Grammar.HALF) is half)
        if group:
            yield group

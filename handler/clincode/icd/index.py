"""All names of all codes, under the keys by which mentions find them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from clincode.icd.backoff import modifiers
from clincode.icd.normalise import bag, related_bag, words
from clincode.icd.terminology import Terminology
from clincode.icd.variants import Grammar, forms

_EXTERNAL_CAUSES = frozenset("VWXY")
"""First letters of the chapter that says how an injury came about: nothing that a mention of a disease names."""

_V = TypeVar("_V")


class Match(IntEnum):
    """By which key a mention met a name; less is nearer."""

    ORDERED = 0
    REORDERED = 1
    RELATED = 2


class Posting(NamedTuple):
    """A name of a code. Orders by nearness: the grammar of the form, titles before other terms, then the list."""

    grammar: Grammar
    is_other_term: bool
    position: int
    code: str


class _MultiMap(Generic[_V]):
    """Key → values. Nearly every key has one, which then needs no list: a list for each would double loading time."""

    def __init__(self) -> None:
        self._first: dict[str, _V] = {}
        self._more: dict[str, list[_V]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._first

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def add(self, key: str, value: _V) -> None:
        if key in self._first:
            self._more.setdefault(key, []).append(value)
        else:
            self._first[key] = value

    def get(self, key: str) -> list[_V]:
        return [self._first[key], *self._more.get(key, ())] if key in self._first else []


class TermIndex:
    """Key → postings, for each of the three keys. The weaker keys lead to ordered keys, so that a name is held once."""

    def __init__(self, terminology: Terminology, synonyms: Mapping[str, str]) -> None:
        self._codes = tuple(terminology.base_codes())
        self._no_names = frozenset().union(*modifiers())
        self._reach: dict[str, int] = {}
        self._postings = _MultiMap[int]()
        self._by_bag = _MultiMap[str]()
        # Only names whose related key is another than their order-free one.
        self._by_related = _MultiMap[str]()
        for position, code in enumerate(self._codes):
            if code[0] not in _EXTERNAL_CAUSES:
                self._add_names(terminology, code, position)
        self._curated = dict(synonyms)
        self._synonyms: dict[str, str] = {}
        self._synonym_bags: dict[str, str] = {}
        self._related_synonyms: dict[str, str] = {}
        for term, code in synonyms.items():
            canonical = words(term)
            self._reach_from(canonical)
            self._synonyms.setdefault(" ".join(canonical), code)
            self._synonym_bags.setdefault(bag(canonical), code)
            self._related_synonyms.setdefault(related_bag(canonical), code)

    def words(self) -> Counter[str]:
        """Words of all names, canonical and as curated terms write them, and how many names have each."""
        found = Counter(word for key in self._postings for word in key.split())
        found.update(word for term in self._curated for word in term.split())
        return found

    def longest_from(self, word: str) -> int:
        """How many words the longest name has that begins with this canonical word; 0 where none does."""
        return self._reach.get(word, 0)

    def is_name(self, phrase: str, *, whole: bool) -> bool:
        """Whether a phrase in lower case is a curated term or, where ``whole``, all words of a name in their order."""
        if phrase in self._curated:
            return True
        canonical = words(phrase)
        if self.is_no_name(canonical) or (len(canonical) < 2 and not whole):
            return False
        ordered = " ".join(canonical)
        return any(self._unpack(packed).grammar is not Grammar.HALF for packed in self._postings.get(ordered))

    def is_no_name(self, canonical: tuple[str, ...]) -> bool:
        """Whether the words only qualify: "acute", "severe disease"."""
        return self._no_names.issuperset(canonical)

    def synonym(self, canonical: tuple[str, ...], surface: str | None) -> str | None:
        """The curated code of a term as it is written ("falls" is not "fall"), else of its words in any order."""
        if surface is not None and (code := self._curated.get(" ".join(surface.split()).lower())):
            return code
        return self._synonyms.get(" ".join(canonical)) or self._synonym_bags.get(bag(canonical))

    def related_synonym(self, canonical: tuple[str, ...]) -> str | None:
        """The curated code of a term that the words mean without being it."""
        return self._related_synonyms.get(related_bag(canonical))

    def find(self, canonical: tuple[str, ...]) -> Iterator[tuple[Match, tuple[Posting, ...]]]:
        """Postings under each key that has any, nearest key first; each posting once, under its nearest key."""
        ordered, related = " ".join(canonical), related_bag(canonical)
        taken: set[str] = set()
        for match, names in (
            (Match.ORDERED, [ordered] if ordered in self._postings else []),
            (Match.REORDERED, self._by_bag.get(bag(canonical))),
            (Match.RELATED, self._by_related.get(related) + self._by_bag.get(related)),
        ):
            keys = [name for name in names if name not in taken]
            taken.update(keys)
            if keys:
                yield match, tuple(sorted(self._unpack(packed) for name in keys for packed in self._postings.get(name)))

    def _add_names(self, terminology: Terminology, code: str, position: int) -> None:
        seen: set[str] = set()
        names = [(terminology.title(code), False), *((term, True) for term in terminology.terms(code))]
        for name, is_other_term in names:
            for form, grammar in forms(name):
                canonical = words(form)
                ordered = " ".join(canonical)
                # What is left of a name when it is taken apart may be a mere "acute": no name.
                bare = grammar is not Grammar.VERBATIM and self.is_no_name(canonical)
                if ordered and not bare and ordered not in seen:
                    seen.add(ordered)
                    self._add(ordered, canonical, _packed(grammar, is_other_term, position))
                    self._reach_from(canonical)

    def _reach_from(self, canonical: Sequence[str]) -> None:
        """Remember how far a name reaches from its first word; a few words more, for those that mean nothing."""
        if canonical:
            self._reach[canonical[0]] = max(self._reach.get(canonical[0], 0), len(canonical) + 3)

    def _add(self, ordered: str, canonical: tuple[str, ...], packed: int) -> None:
        if ordered not in self._postings:
            plain, related = bag(canonical), related_bag(canonical)
            self._by_bag.add(plain, ordered)
            if related != plain:
                self._by_related.add(related, ordered)
        self._postings.add(ordered, packed)

    def _unpack(self, packed: int) -> Posting:
        position = packed >> 3
        return Posting(Grammar(packed & 3), bool(packed & 4), position, self._codes[position])


def _packed(grammar: Grammar, is_other_term: bool, position: int) -> int:
    """A posting as one number: 75,000 small objects would cost more than all the rest of the index."""
    return position << 3 | is_other_term << 2 | grammar

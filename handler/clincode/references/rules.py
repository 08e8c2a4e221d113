"""The tables that lead a reference back: nouns that stand for others, and what can be said of which type of entity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError
from clincode.labels import EntityType

NOUNS_FILE = "reference_nouns.tsv"
PREDICATES_FILE = "reference_predicates.tsv"
SHORTEST_ENDING = 2


@dataclass(frozen=True, slots=True)
class Noun:
    """``kin``: whole words, ``-ends`` and ``beginnings-`` of the mentions it may stand for; empty means any."""

    types: frozenset[EntityType]
    kin: frozenset[str]

    def is_kin(self, words: Iterable[str]) -> bool:
        return any(
            word in self.kin
            or any(len(word) > size and f"-{word[-size:]}" in self.kin for size in range(SHORTEST_ENDING, 10))
            or any(len(word) > size and f"{word[:size]}-" in self.kin for size in range(SHORTEST_ENDING, 10))
            for word in words
        )


UNLISTED = Noun(frozenset(), frozenset({"-"}))
"""A noun of which nothing is known: it goes to its own kind alone."""


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    nouns: Mapping[str, Noun] = field(default_factory=dict)
    predicates: Mapping[str, frozenset[EntityType]] = field(default_factory=dict)

    def noun(self, word: str) -> Noun | None:
        """The row of a noun, or of its singular."""
        return self.nouns.get(word) or (self.nouns.get(word[:-1]) if word.endswith("s") else None)


def _types(row: Mapping[str, str], place: str) -> frozenset[EntityType]:
    names = row["types"].split("|")
    unknown = [name for name in names if name not in EntityType.__members__]
    if unknown:
        raise ResourceError(f"{place} has the unknown type '{unknown[0]}'")
    return frozenset(EntityType[name] for name in names)


def parse_rules(nouns: Iterable[Mapping[str, str]], predicates: Iterable[Mapping[str, str]]) -> ReferenceRules:
    """Rows of both files; raises ``ResourceError`` naming the row that has an unknown type or stands there twice."""
    by_noun: dict[str, Noun] = {}
    for row in nouns:
        noun, place = row["noun"].lower(), f"{NOUNS_FILE}: '{row['noun']}'"
        if noun in by_noun:
            raise ResourceError(f"{place} stands there twice")
        kin = frozenset(part.strip().lower() for part in row["kin"].split("|") if part.strip())
        by_noun[noun] = Noun(_types(row, place), kin)
    by_phrase: dict[str, frozenset[EntityType]] = {}
    for row in predicates:
        phrase, place = row["phrase"].lower(), f"{PREDICATES_FILE}: '{row['phrase']}'"
        if phrase in by_phrase:
            raise ResourceError(f"{place} stands there twice")
        by_phrase[phrase] = _types(row, place)
    return ReferenceRules(by_noun, by_phrase)


@cache
def default_rules() -> ReferenceRules:
    return parse_rules(
        load_tsv_resource(NOUNS_FILE, ("noun", "types", "kin")),
        load_tsv_resource(PREDICATES_FILE, ("phrase", "types")),
    )

"""What a name looks like, and which run of words is one.

A pattern says where a name may stand and how sure its surroundings make it ("Dr. …" needs no list, "… denies" does);
the lists of given names and surnames, and of words that are none, decide the rest.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError

NAMES_FILE = "person_names.tsv"
KEEP_FILE = "phi_keep.tsv"
KINDS = ("eponym", "generic", "place")

# A name begins where a word does, and no part of it is longer than a name: text of any shape takes linear time.
_UP, _LOW = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_WORD = rf"[{_UP}](?:['’][{_UP}])?[{_LOW}]{{1,24}}(?:[A-Z][{_LOW}]{{1,24}})?(?:[-'’][{_UP}]?[{_LOW}]{{2,24}}){{0,2}}"
_CAPITALS = rf"[{_UP}]{{2,24}}(?:[-'’][{_UP}]{{2,24}}){{0,2}}"
_INITIAL = r"[A-Z](?:\.(?:[ ]?[A-Z]\.)*|(?=[ \t,]))"
_PARTICLES = ("de la", "de los", "del", "de", "da", "dos", "di", "du", "la", "le", "van der", "van den", "van", "von")
_PARTICLE = rf"(?:{'|'.join((*_PARTICLES, 'bin', 'ibn', 'al', 'el'))})"
_SUFFIXES = ("Jr", "Sr", "II", "III", "IV")
_SUFFIX = rf"(?:,?[ \t]+(?:{'|'.join(_SUFFIXES)})\b\.?)?"
_PART = rf"(?:{_PARTICLE}[ \t]{{1,2}})?(?:{_WORD}|{_CAPITALS}|{_INITIAL})"
RUN = rf"(?<![\w'’-]){_PART}(?:[ \t]{{1,2}}{_PART}){{0,3}}{_SUFFIX}"
_REVERSED = rf"(?:(?<![\w'’-])(?:{_WORD}|{_CAPITALS}),[ \t]*)?{RUN}"

SHAPES = {
    "NAME": RUN,
    "HUMAN": RUN,
    "CALLED": RUN,
    "LISTED": RUN,
    "FIELD": _REVERSED,
    "NAME_OR_LISTED": _REVERSED,
    "LINE": rf"(?:{_WORD}|{_CAPITALS}),?[ \t]+(?:{_WORD}|{_CAPITALS})(?:[ \t]+(?:{_INITIAL}|{_WORD}))?",
    "LAST_FIRST_INITIAL": rf"(?<![\w'’-]){_WORD},[ \t]+{_WORD}[ \t]+[A-Z]\.",
    "LOWER": r"[a-z]{2,24}(?:[ \t][a-z]{2,24})?",
}
"""Kinds of names by how they are written and what their surroundings promise; ``_OPENS`` has the conditions."""

NAME_WORD = re.compile(rf"\b(?:{_WORD}|{_CAPITALS}|[A-Z]\.?(?=[ \t]))(?![\w])")
_PIECE = re.compile(rf"{_WORD}|{_CAPITALS}|{_INITIAL}|[a-z]+")
_SPEAKS = re.compile(r"[ \t]+(?:denie[sd]|state[sd]|tolerate[sd]|endorse[sd]|complain(?:s|ed)|verbalize[sd])\b")
_SHORTEST_CAPITALS = 5
"""Capitals of this length or less are an acronym, unless a list says that they are a name."""


@dataclass(frozen=True, slots=True)
class NameLists:
    """``roles`` maps a name in lower case to given, surname or both; ``words`` are those that are words as well;
    ``kept`` has the words that name no person where they stand alone, by kind (``KINDS``)."""

    roles: Mapping[str, str]
    words: frozenset[str]
    kept: Mapping[str, frozenset[str]]

    def is_name(self, word: str) -> bool:
        return plain(word) in self.roles

    def is_given(self, word: str) -> bool:
        return self.roles.get(plain(word)) in ("given", "both")

    def is_surname(self, word: str) -> bool:
        return self.roles.get(plain(word)) in ("surname", "both")

    def is_sure(self, word: str) -> bool:
        """A name that is neither a word nor an eponym."""
        key = plain(word)
        return key in self.roles and key not in self.words and key not in self.kept["eponym"]

    def is_kept(self, word: str, *kinds: str) -> bool:
        key = plain(word)
        return any(key in self.kept[kind] for kind in kinds or KINDS)

    def is_unknown(self, word: str) -> bool:
        """A capitalised word that no list explains, as a rare surname would be."""
        return len(word) > 2 and not word.isupper() and not self.is_kept(word) and not self.is_name(word)

    def announces(self, words: Sequence[str]) -> bool:
        """Whether the words are a name without anything around them that says so."""
        return any(map(self.is_sure, words)) or sum(map(self.is_name, words)) > 1


def plain(word: str) -> str:
    """As names are listed: lower case, no possessive, no accents, no marks."""
    folded = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss"))
    return re.sub(r"['’]s$|[^a-z]", "", folded)


@cache
def name_lists() -> NameLists:
    """The lists of the resources.

    Raises:
        ResourceError: names the row whose role, mark or kind is unknown.
    """
    roles, words = {}, set()
    for row in load_tsv_resource(NAMES_FILE, ("name", "role", "word")):
        if row["role"] not in ("given", "surname", "both") or row["word"] not in ("yes", "no"):
            raise ResourceError(f"{NAMES_FILE}: '{row['name']}' must be given, surname or both, and a word or not")
        roles[row["name"]] = row["role"]
        if row["word"] == "yes":
            words.add(row["name"])
    kept: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for row in load_tsv_resource(KEEP_FILE, ("word", "kind")):
        if row["kind"] not in kept:
            raise ResourceError(f"{KEEP_FILE}: '{row['word']}' has the unknown kind '{row['kind']}'")
        kept[row["kind"]].add(plain(row["word"]))
    return NameLists(roles, frozenset(words), {kind: frozenset(found) for kind, found in kept.items()})


def _announced(words: Sequence[str], lists: NameLists, _speaks: bool) -> bool:
    """After a title or its like: whatever is not known to be something else."""
    first = words[0]
    is_acronym = first.isupper() and 1 < len(first) <= _SHORTEST_CAPITALS
    return lists.is_name(first) or not (is_acronym or lists.is_kept(first, "generic", "place"))


def _human(words: Sequence[str], lists: NameLists, speaks: bool) -> bool:
    """Before what only people do."""
    if lists.is_kept(words[0], "generic") or (lists.is_kept(words[0]) and not lists.is_name(words[0])):
        return False
    return any(map(lists.is_name, words)) or (len(words) == 1 and speaks)


_OPENS: Mapping[str, Callable[[Sequence[str], NameLists, bool], bool]] = {
    "NAME": _announced,
    "HUMAN": _human,
    "FIELD": lambda words, lists, _: lists.is_name(words[0]) or not lists.is_kept(words[0], "generic", "place"),
    "CALLED": lambda words, lists, _: not lists.is_kept(words[0]) and not words[0].isupper(),
    "LISTED": lambda words, lists, _: lists.is_name(words[0]),
    "NAME_OR_LISTED": lambda words, lists, _: lists.announces(words),
    "LINE": lambda words, lists, _: lists.announces(words) and not lists.is_kept(words[0], "generic"),
    "LAST_FIRST_INITIAL": lambda _words, _lists, _: True,
    "LOWER": lambda words, lists, _: lists.is_name(words[0]),
}


def name_at(text: str, start: int, end: int, kind: str, lists: NameLists) -> tuple[int, int]:
    """The part of ``text[start:end]``, a match of the shape ``kind``, that is a name; empty where it is none."""
    pieces = list(_PIECE.finditer(text, start, end))
    words = [piece.group() for piece in pieces]
    if not words or not _OPENS[kind](words, lists, _SPEAKS.match(text, end) is not None):
        return start, start
    last = 0
    for index in range(1, len(words)):
        if not _goes_on(words, index, kind, lists):
            break
        last = index
    while last > 0 and words[last] in _PARTICLES:
        last -= 1
    return start, without_possessive(text, start, pieces[last].end())


def _goes_on(words: Sequence[str], index: int, kind: str, lists: NameLists) -> bool:
    """Whether the word at ``index`` still belongs to the name that the words before it are."""
    word = words[index]
    if kind == "LOWER":
        return lists.is_name(word) and plain(word) not in lists.words
    if len(word.strip(".")) == 1 or word in _SUFFIXES or word in _PARTICLES or lists.is_name(word):
        return True
    if kind == "LISTED" and (index > 1 or not lists.is_sure(words[0])):
        return False
    return word[0].isupper() and not word.isupper() and not lists.is_kept(word)


def without_possessive(text: str, start: int, end: int) -> int:
    return end - 2 if text[start:end].endswith(("'s", "’s")) else end

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
_CAPITALS = rf"(?:[{_UP}]['’])?[{_UP}]{{2,24}}(?:[-'’][{_UP}]{{2,24}}){{0,2}}"
_INITIAL = r"[A-Z](?:\.(?:[ ]?[A-Z]\.){0,2}|(?=[ \t,]))"
_PARTICLES = ("de la", "de los", "del", "de", "da", "dos", "di", "du", "la", "le", "van der", "van den", "van", "von")
PARTICLE = rf"(?:{'|'.join((*_PARTICLES, 'bin', 'ibn', 'al', 'el'))})"
_SUFFIXES = ("Jr", "Sr", "II", "III", "IV")
_SUFFIX = rf"(?:,?[ \t]+(?:{'|'.join(_SUFFIXES)})\b\.?)?"
_PART = rf"(?:{PARTICLE}[ \t]{{1,2}})?(?:{_WORD}|{_CAPITALS}|{_INITIAL})"
RUN = rf"(?<![\w'’-]){_PART}(?:[ \t]{{1,2}}{_PART}){{0,3}}{_SUFFIX}"
_FAMILY = rf"(?:(?i:{PARTICLE})[ \t])?(?:{_WORD}|{_CAPITALS})"
_REVERSED = rf"(?:(?<![\w'’-]){_FAMILY},[ \t]*)?{RUN}"

SHAPES = {
    "NAME": RUN,
    "SPEAKER": RUN,
    "HUMAN": RUN,
    "OBJECT": RUN,
    "CALLED": RUN,
    "LISTED": RUN,
    "FIELD": _REVERSED,
    "NAME_OR_LISTED": _REVERSED,
    "LINE": rf"{_FAMILY},?[ \t]+(?:{_WORD}|{_CAPITALS})(?:[ \t]+(?:{_INITIAL}|{_WORD}))?",
    "PAIR": rf"(?<![\w'’-]){_WORD}[ \t]{_WORD}(?![\w-]|['’](?!s\b))",
    "LAST_FIRST_INITIAL": rf"(?<![\w'’-]){_WORD},[ \t]+{_WORD}[ \t]+[A-Z]\.",
    "LOWER": r"[a-z]{2,24}(?:[ \t][a-z]{2,24})?",
}
"""Kinds of names by how they are written and what their surroundings promise; ``_OPENS`` has the conditions."""

NAME_WORD = re.compile(rf"\b(?:{_WORD}|{_CAPITALS}|[A-Z]\.?(?=[ \t]))(?![\w])")
_PIECE = re.compile(rf"{_WORD}|{_CAPITALS}|{_INITIAL}|[a-z]+")
_WORD_ENDS = re.compile(
    r"(?:[st]ions?|ments?|\w{3}ings?|ness(?:es)?|[^aeiou]it(?:y|ies)|[ae]nces?|ship|isms?|olog(?:y|ists?)|graph(?:y|ic)"
    r"|[io]us|\w{3}[^l]ly|aceae|idae|ectomy|itis|[aeo]sis|emia|pathy|ative|ical|[ai]ble|(?:at|iz|ifi|ss|nn|rr|pp|ct|nt|rt|st|rm|ay|rv|ib)ed)$"
)
"""How ordinary words end, and names that no list has do not."""
_OPENERS = frozenset(
    (
        *(
            "after",
            "although",
            "and",
            "as",
            "at",
            "because",
            "before",
            "but",
            "by",
            "currently",
            "finally",
            "for",
            "from",
        ),
        *("however", "if", "in", "initially", "later", "now", "on", "once", "our", "overnight", "patient", "per", "pt"),
        *("since", "then", "though", "today", "tonight", "unfortunately", "until", "when", "whenever", "while", "with"),
    )
)
"""Words that stand in capitals before a name because they open the sentence ("When Stone stood up")."""
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
        """Whether it is listed, or is listed names with hyphens between them."""
        return plain(word) in self.roles or all(plain(part) in self.roles for part in word.split("-"))

    def is_given(self, word: str) -> bool:
        return self.roles.get(plain(word)) in ("given", "both")

    def is_surname(self, word: str) -> bool:
        return self.roles.get(plain(word)) in ("surname", "both") or ("-" in word and self.is_name(word))

    def is_sure(self, word: str) -> bool:
        """A name that is neither a word nor an eponym."""
        key = plain(word)
        return key in self.roles and key not in self.words and key not in self.kept["eponym"]

    def is_kept(self, word: str, *kinds: str) -> bool:
        key = plain(word)
        return any(key in self.kept[kind] for kind in kinds or KINDS)

    def is_unknown(self, word: str) -> bool:
        """A capitalised word that no list explains, as a rare surname would be."""
        return len(word) > 2 and not word.isupper() and self.may_be_name(word) and not self.is_name(word)

    def may_be_name(self, word: str) -> bool:
        """Whether nothing says that it is an ordinary word, the name of a thing or of a place."""
        return not self.is_kept(word) and (self.is_name(word) or not _looks_ordinary(word))

    def announces(self, words: Sequence[str]) -> bool:
        """Whether the words are a name without anything around them that says so."""
        if any(map(self.is_sure, words)) or sum(map(self.is_name, words)) > 1:
            return True
        listed = list(map(self.is_listed, words))
        rest = [word for word, is_listed in zip(words, listed, strict=True) if not is_listed]
        return len(words) > 1 and any(listed) and all(self.may_be_name(w) and not _is_acronym(w) for w in rest)

    def is_listed(self, word: str) -> bool:
        """A name that is no ordinary word, though it may be an eponym as well."""
        return self.is_name(word) and plain(word) not in self.words

    def is_family_of(self, given: str, word: str) -> bool:
        """Whether a word that is kept where it stands alone is a surname after this given name ("Robert Parkinson")."""
        return self.is_given(given) and self.is_sure(given) and self.is_kept(word, "eponym")

    def may_call(self, word: str) -> bool:
        """Whether it may be the one name that somebody is called by."""
        return self.may_be_name(word) or (self.is_given(word) and self.is_listed(word))


def _looks_ordinary(word: str) -> bool:
    return word.isascii() and _WORD_ENDS.search(word.lower()) is not None


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


def _announced(words: Sequence[str], lists: NameLists) -> bool:
    """After a title or its like: whatever is not known to be something else."""
    first = _first_long(words)
    if _is_acronym(first) and (lists.is_kept(first) or not lists.is_name(first)):
        return False
    return lists.is_name(first) or not lists.is_kept(first, "generic", "place")


def _speaker(words: Sequence[str], lists: NameLists) -> bool:
    """Before what nothing but a person does ("says"): any name, and whatever is no word that we know."""
    first = _first_long(words)
    if first.isupper() or lists.is_kept(first, "generic", "place"):
        return False
    return lists.is_name(first) or all(map(lists.may_be_name, words))


def _human(words: Sequence[str], lists: NameLists) -> bool:
    """Before what people do, and sometimes things ("remains"): a name that is nothing else, or more than one word."""
    if lists.is_kept(words[0], "generic") or _is_acronym(words[0]):
        return False
    return lists.is_sure(words[0]) if len(words) == 1 else lists.announces(words)


def _object(words: Sequence[str], lists: NameLists) -> bool:
    """Where mostly persons stand ("refer to"), and sometimes their departments."""
    first = _first_long(words)
    if first.isupper() and len(first) > 1:
        return lists.is_listed(first) and not lists.is_kept(first)
    return not lists.is_kept(first, "generic", "place") and (lists.is_name(first) or lists.may_be_name(first))


def _first_long(words: Sequence[str]) -> str:
    """The first that is no initial and no "van"."""
    return next((word for word in words if len(word.strip(".")) > 1 and word.lower() not in _PARTICLES), words[0])


def _is_acronym(word: str) -> bool:
    return word.isupper() and 1 < len(word.strip(".")) <= _SHORTEST_CAPITALS


_OPENS: Mapping[str, Callable[[Sequence[str], NameLists], bool]] = {
    "NAME": _announced,
    "SPEAKER": _speaker,
    "HUMAN": _human,
    "OBJECT": _object,
    "FIELD": lambda words, lists: lists.is_name(words[0]) or not lists.is_kept(words[0], "generic", "place"),
    "CALLED": lambda words, lists: lists.may_call(words[0]) and not words[0].isupper(),
    "PAIR": lambda words, lists: all(map(lists.may_call, words)),
    "LISTED": lambda words, lists: lists.is_name(words[0]),
    "NAME_OR_LISTED": lambda words, lists: lists.announces(words),
    "LINE": lambda words, lists: lists.announces(words) and not lists.is_kept(words[0], "generic"),
    "LAST_FIRST_INITIAL": lambda _words, _lists: True,
    "LOWER": lambda words, lists: lists.is_name(words[0]),
}


def name_at(text: str, start: int, end: int, kind: str, lists: NameLists) -> tuple[int, int]:
    """The part of ``text[start:end]``, a match of the shape ``kind``, that is a name; empty where it is none."""
    pieces = list(_PIECE.finditer(text, start, end))
    while kind != "LOWER" and len(pieces) > 1 and pieces[0].group().lower() in _OPENERS:
        start = pieces.pop(0).end() + 1
    words = [piece.group() for piece in pieces]
    if not words or not _OPENS[kind](words, lists):
        return start, start
    start = pieces[0].start()
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
    if len(word.strip(".")) == 1 or word in _SUFFIXES or word.lower() in _PARTICLES or lists.is_name(word):
        return True
    if kind == "LISTED" and (index > 1 or not lists.is_sure(words[0])):
        return False
    if lists.is_family_of(words[index - 1], word):
        return True
    in_capitals = kind in ("FIELD", "LINE") and words[0].isupper()
    return word[0].isupper() and word.isupper() == in_capitals and not lists.is_kept(word)


def without_possessive(text: str, start: int, end: int) -> int:
    return end - 2 if text[start:end].endswith(("'s", "’s")) else end

"""From a mention or a title to the canonical key under which both meet.

Three keys, each weaker than the one before: ``key`` (the words in their order), ``bag`` (without order), and
``related_bag`` (with words of one meaning made one, "renal" and "kidney").
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache, lru_cache

from clincode.config import load_tsv_resource
from clincode.errors import ResourceError

_PHRASES_OF_NOTHING = re.compile(
    r"\b(?:not elsewhere classified|not otherwise specified|n\.?o\.?s\.?|n\.?e\.?c\.?)(?!\w)"
)
_HINT_OF_NOTHING = re.compile(r"classified|otherwise|\bn\.?(?:os|o\.s|ec|e\.c)\b")
_POSSESSIVE = re.compile(r"['’‘`´]s\b")
_APOSTROPHE = re.compile(r"['’‘`´]")
# "gastro-esophageal", "non-Hodgkin": the hyphen of a combining form joins; any other parts.
_JOINING_HYPHEN = re.compile(
    r"\b([a-z]{2,}o|non|post|pre|anti|hyper|hypo|multi|sub|co|intra|extra|inter|para|peri|poly|semi|auto)[-‐‑](?=[a-z]{3})"
)
_LOOSE_NON = re.compile(r"\bnon (?=[a-z]{3})")
_WORD = re.compile(r"[^\W_]+")

_STOP_WORDS = frozenset(
    ["of", "the", "a", "an", "in", "to", "with", "for", "and", "or", "by", "at", "on", "from", "due", "unspecified"]
)
_NUMBERED = frozenset(["type", "stage", "grade", "class", "factor", "degree", "bipolar", "level", "group"])
_ROMAN = {
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "x": "10",
}
_NO_PLURAL = frozenset(
    [
        "diabetes",
        "herpes",
        "ascites",
        "tabes",
        "feces",
        "menses",
        "lues",
        "nares",
        "caries",
        "scabies",
        "rabies",
        "series",
        "species",
        "facies",
        "pancreas",
        "atlas",
        "biceps",
        "triceps",
        "forceps",
        "pes",
        "mellitus",
        "lens",
        "alias",
        "mas",
        "gas",
        "yaws",
        "pus",
        "measles",
        "mumps",
        "rickets",
        "shingles",
    ]
)
_SIBILANT_PLURALS = ("sses", "shes", "ches", "xes", "zes")
_GREEK_PLURALS = ("oses", "yses", "iases")


def words(text: str) -> tuple[str, ...]:
    """Canonical words in their order: lower case, no marks, no stop words, one spelling, singular."""
    lowered = text.lower() if text.isascii() else _unmarked(text)
    # Most terms have none of these; looking for them is cheaper than substituting nothing.
    if _HINT_OF_NOTHING.search(lowered):
        lowered = _PHRASES_OF_NOTHING.sub(" ", lowered)
    if _APOSTROPHE.search(lowered):
        lowered = _APOSTROPHE.sub("", _POSSESSIVE.sub("", lowered))
    if not lowered.isascii() or "-" in lowered:
        lowered = _JOINING_HYPHEN.sub(r"\1", lowered)
    if "non " in lowered:
        lowered = _LOOSE_NON.sub("non", lowered)
    found: list[str] = []
    separate = _WORD.findall(lowered)
    for word in separate:
        if word in _ROMAN and found and found[-1] in _NUMBERED:
            found.append(_ROMAN[word])
        elif word not in _STOP_WORDS:
            found.append(canonical_word(word))
    if len(separate) > 1 and separate[-1] == "a":
        found.append("a")  # "hepatitis A", "vitamin A"
    return tuple(found)


def _unmarked(text: str) -> str:
    """Compatibility forms made plain, marks taken off, lower case."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()


def key(text: str) -> str:
    """The canonical words of a mention or a title, in order; empty where nothing is left."""
    return " ".join(words(text))


def bag(canonical: Collection[str]) -> str:
    """The key of the same words in any order."""
    return " ".join(sorted(set(canonical)))


def related_bag(canonical: Collection[str]) -> str:
    """The order-free key after words of one meaning have been made one; see ``word_equivalents.tsv``."""
    equivalents = word_equivalents()
    if equivalents.keys().isdisjoint(canonical):
        return bag(canonical)
    return " ".join(sorted({part for word in canonical for part in equivalents.get(word, (word,))}))


@lru_cache(maxsize=1 << 16)
def canonical_word(word: str) -> str:
    """One lower-case word in American spelling and in the singular."""
    spelling = _spelling()
    if word in spelling["word"]:
        return _singular(spelling["word"][word])
    for variant, canonical in spelling["start"].items():
        if word.startswith(variant):
            word = canonical + word[len(variant) :]
    for variant, canonical in spelling["inside"].items():
        word = word.replace(variant, canonical)
    for variant, canonical in spelling["end"].items():
        if word.endswith(variant):
            word = word[: -len(variant)] + canonical
    return _singular(spelling["word"].get(word, word))


def _singular(word: str) -> str:
    """By rule, for regular plurals; irregular ones stand in the table of spellings."""
    if len(word) <= 3 or not word.endswith("s") or word in _NO_PLURAL:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(_SIBILANT_PLURALS):
        return word[:-2]
    if word.endswith(_GREEK_PLURALS):
        return word[:-2] + "is"
    if word.endswith(("ss", "us", "is")):
        return word
    return word[:-1]


@cache
def _spelling() -> Mapping[str, Mapping[str, str]]:
    """Place in the word → variant → canonical form."""
    tables: dict[str, dict[str, str]] = {"start": {}, "inside": {}, "end": {}, "word": {}}
    for row in load_tsv_resource("spelling_variants.tsv", ("variant", "canonical", "where")):
        if row["where"] not in tables:
            raise ResourceError(
                f"spelling_variants.tsv: '{row['variant']}' stands at '{row['where']}', no place in a word"
            )
        tables[row["where"]][row["variant"]] = row["canonical"]
    return tables


@cache
def word_equivalents() -> Mapping[str, tuple[str, ...]]:
    """Canonical word → the canonical words that stand for all of its meaning; none for a word that adds nothing."""
    table: dict[str, tuple[str, ...]] = {}
    for row in load_tsv_resource("word_equivalents.tsv", ("words", "meaning")):
        meaning = () if row["meaning"] == "-" else words(row["meaning"])
        for word in row["words"].split(","):
            canonical = canonical_word(word.strip())
            if canonical in table:
                raise ResourceError(f"word_equivalents.tsv: '{word.strip()}' stands there twice")
            table[canonical] = meaning
    return table

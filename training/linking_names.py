"""Names of one meaning, in groups: what the linker's encoder learns to put side by side.

A group is a code of the tabular list (title, inclusion terms, the forms that the list's grammar gives them, curated
short forms) or a concept of the Disease Ontology (label and synonyms). Codes that differ in nothing but a side, an
encounter or a trimester are one group: words like these are chosen by rule, not by likeness.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clincode.config import load_tsv_resource
from clincode.icd.disease_ontology import DiseaseTerm
from clincode.icd.synonyms import load_synonyms
from clincode.icd.terminology import Terminology
from clincode.icd.variants import Grammar, forms
from clincode.icd.vector_names import vector_names

_OF = re.compile(r"^(?P<head>[\w' -]+?) of (?:the )?(?P<site>[\w' -]+)$")
_ENDS = ((re.compile(r"\blower end of (\w+)"), r"distal \1"), (re.compile(r"\bupper end of (\w+)"), r"proximal \1"))
_CANCER = re.compile(
    r"(?:(?:Unspecified|Other specified|Other and unspecified|Primary) )?[Mm]alignant neoplasm of (.+)$"
)

_DRAWN_OF_INJURIES, _DRAWN_OF_PLAIN = 0.25, 0.25
_LONGEST_NAME = 10
"""Words; a longer line is no name that a clinician would use."""


@dataclass(frozen=True, slots=True)
class NameGroup:
    """Different names of one meaning; ``key`` is the code or the concept's id. ``varied`` is false of one name whose
    forms differ in grammar alone."""

    key: str
    names: tuple[str, ...]
    varied: bool = True


def code_groups(terminology: Terminology) -> list[NameGroup]:
    """A group for each code that has names of its own, with more names than one."""
    names: dict[str, list[str]] = {}
    for name in vector_names(terminology):
        names.setdefault(name.code, []).append(name.text)
    for term, code in load_synonyms(terminology).items():
        if code in names:
            names[code].append(term)
    groups = []
    for code, texts in names.items():
        said = [form for text in texts for form in varied(text)]
        unique = tuple({text.lower(): text for text in said if len(text.split()) <= _LONGEST_NAME}.values())
        if len(unique) > 1:
            groups.append(NameGroup(code, unique, len(texts) > 1))
    return groups


def ontology_groups(terms: Iterable[DiseaseTerm], terminology: Terminology, *, shared: int = 3) -> list[NameGroup]:
    """A group for each concept with more names than one; a code that few concepts refer to lends them its title."""
    referring: dict[str, int] = {}
    kept = list(terms)
    for term in kept:
        for code in term.icd10cm:
            referring[code] = referring.get(code, 0) + 1
    groups = []
    for term in kept:
        titles = [terminology.title(c) for c in term.icd10cm if c in terminology and referring[c] <= shared]
        names = tuple({name.lower(): name for name in (term.label, *term.synonyms, *titles)}.values())
        if len(names) > 1:
            groups.append(NameGroup(term.doid, names))
    return groups


def misspelt(text: str, source: random.Random) -> str:
    """One letter left out, doubled, replaced or exchanged with its neighbour, in a word of five letters or more."""
    places = [match.span() for match in re.finditer(r"[A-Za-z]{5,}", text)]
    if not places:
        return text
    start, end = source.choice(places)
    at = source.randrange(start + 1, end - 1)
    kind = source.randrange(4)
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    if kind == 2:
        return text[:at] + source.choice([c for c in "aeioulnrst" if c != text[at].lower()]) + text[at + 1 :]
    if kind == 3 and text[at].lower() != text[at + 1].lower():
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at + 1 :]


def varied(text: str) -> list[str]:
    """The name, its grammatical forms, and the order of words in which clinicians say it."""
    return list(_varied(text))


def _varied(text: str) -> Iterator[str]:
    for form, grammar in forms(text):
        if grammar is Grammar.HALF:
            continue
        yield form
        said = form
        for pattern, replacement in _ENDS:
            said = pattern.sub(replacement, said)
        if said != form:
            yield said
        if match := _CANCER.match(said):  # a screening for one, or a history of one, is none
            yield f"{match[1]} cancer"
            yield f"carcinoma of {match[1]}"
        elif match := _OF.match(said):
            yield f"{match['site']} {match['head'].lower()}"


def pairs(groups: Sequence[NameGroup], source: random.Random) -> Iterator[tuple[int, str, str]]:
    """For each group its index and two of its names; larger groups give more pairs, up to three. Of the groups with one
    name in several forms of grammar, which teach little, and of the injuries, which are half of the list and much
    alike, a part is drawn."""
    for index, group in enumerate(groups):
        if source.random() > (_DRAWN_OF_INJURIES if group.key[0] in "ST" else 1.0) * (
            1.0 if group.varied else _DRAWN_OF_PLAIN
        ):
            continue
        for _ in range(min(3, max(1, len(group.names) // 3))):
            first, second = source.sample(group.names, 2)
            yield index, first, second


def key_of(groups: Sequence[NameGroup]) -> Mapping[str, list[int]]:
    """Lower-case name → the groups that have it: equal names are no negatives of each other."""
    found: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        for name in group.names:
            found.setdefault(name.lower(), []).append(index)
    return found


def abbreviation_groups() -> list[NameGroup]:
    """A group for each short form and disease of the table of abbreviations."""
    rows = load_tsv_resource("abbreviations.tsv", ("abbreviation", "sense", "type", "prior", "clues"))
    return [
        NameGroup(f"{row['abbreviation']}:{row['sense']}", (row["abbreviation"], row["sense"]))
        for row in rows
        if row["type"] == "DIAGNOSIS"
    ]

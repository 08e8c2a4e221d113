"""The Disease Ontology: names of diseases with their codes in other lists (disease-ontology.org, CC0).

Schriml et al., "The Human Disease Ontology 2022 update", Nucleic Acids Research 50 (2022). Nothing of it is part of
this package: a user names the file. Either form is read: ``doid.obo`` as it is published, or a table, a row a term.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clincode.errors import ResourceError
from clincode.icd.source_files import table_rows, text_lines

COLUMNS = ("doid", "label", "exact_synonyms", "icd10cm", "snomedct", "mesh", "umls_cui")
WHAT = (
    "the Disease Ontology, free (CC0) from disease-ontology.org: doid.obo, or a tab-separated table with the header "
    + " ".join(COLUMNS)
)
_SEPARATOR = "|"
_DOID = re.compile(r"DOID:\d+")
_SNOMED = re.compile(r"\d{6,18}")
_EXACT_SYNONYM = re.compile(r'"(?P<name>(?:[^"\\]|\\.)*)" EXACT\b')
_ESCAPED = re.compile(r"\\(.)")
# Prefixes of cross-references, the one of SNOMED CT with a release ("SNOMEDCT_US_2023_03_01").
_CROSS_REFERENCES = {"ICD10CM": "icd10cm", "SNOMEDCT_US": "snomedct", "MESH": "mesh", "UMLS_CUI": "umls_cui"}
_RELEASE = re.compile(r"(?:_\d+)+$")


@dataclass(frozen=True, slots=True)
class DiseaseTerm:
    """A disease, its exact synonyms, and what other lists call it; codes are as the ontology writes them."""

    doid: str
    label: str
    synonyms: tuple[str, ...] = ()
    icd10cm: tuple[str, ...] = ()
    snomedct: tuple[str, ...] = ()
    mesh: tuple[str, ...] = ()
    umls: tuple[str, ...] = ()


def read_disease_ontology(path: Path) -> tuple[DiseaseTerm, ...]:
    """The terms of a table, or of an OBO file where the name ends in ``.obo``; obsolete ones are left out.

    In the table, several values of a cell are parted by ``|``.

    Raises:
        ResourceError: the file is missing, or a row is malformed; names file and line.
    """
    rows = _obo_rows(path) if path.suffix == ".obo" else table_rows(path, COLUMNS, WHAT)
    return tuple(_term(f"{path}:{number}", cells) for number, cells in rows)


def _term(place: str, cells: tuple[str, ...]) -> DiseaseTerm:
    doid, label, *several = cells
    if not _DOID.fullmatch(doid) or not label:
        raise ResourceError(f"{place}: expected an identifier 'DOID:' and digits, and a label")
    synonyms, icd10cm, snomedct, mesh, umls = (_values(cell) for cell in several)
    for concept in snomedct:
        if not _SNOMED.fullmatch(concept):
            raise ResourceError(f"{place}: '{concept}' is no SNOMED CT identifier")
    return DiseaseTerm(doid, label, synonyms, icd10cm, snomedct, mesh, umls)


def _values(cell: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in cell.split(_SEPARATOR) if value.strip())


def _obo_rows(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Rows as those of the table, numbered by the line that opens the term."""
    found = False
    for number, tags in _stanzas(path):
        if tags.get("id", "").startswith("DOID:") and tags.get("is_obsolete") != "true":
            found = True
            yield number, tuple(tags.get(column, "") for column in ("id", "name", *COLUMNS[2:]))
    if not found:
        raise ResourceError(f"{path}: has no term of the Disease Ontology; expected {WHAT}")


def _stanzas(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Opening line and tags of each ``[Term]``, as far as they are used; several values are joined as in the table."""
    opened, tags = 0, dict[str, str]()
    for number, line in text_lines(path, WHAT):
        if line.startswith("["):
            if opened:
                yield opened, tags
            opened, tags = (number if line.strip() == "[Term]" else 0), {}
            continue
        tag, _, value = line.partition(": ")
        column, text = _tag(tag, value)
        if column and text:
            tags[column] = f"{tags[column]}{_SEPARATOR}{text}" if column in tags else text
    if opened:
        yield opened, tags


def _tag(tag: str, value: str) -> tuple[str, str]:
    """Column and value of a line; two empty strings for a line that is not used."""
    if tag == "name":
        return tag, _ESCAPED.sub(r"\1", value.strip())
    if tag == "synonym":
        synonym = _EXACT_SYNONYM.match(value)
        return ("exact_synonyms", _ESCAPED.sub(r"\1", synonym["name"])) if synonym else ("", "")
    first, *_ = value.split() or [""]
    if tag == "xref":
        prefix, _, identifier = first.partition(":")
        return _CROSS_REFERENCES.get(_RELEASE.sub("", prefix), ""), identifier
    return (tag, first) if tag in ("id", "is_obsolete") else ("", "")

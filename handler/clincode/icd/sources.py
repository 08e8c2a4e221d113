"""Names and codes from files that a user has and this package has not; environment variables name the files.

Within these sources the dictionary of the house decides before the Disease Ontology, and a disease's label before a
synonym of another disease. How they stand to the tabular list and the curated terms is for the linker to say.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clincode.errors import ResourceError
from clincode.icd.disease_ontology import DiseaseTerm, read_disease_ontology
from clincode.icd.snomed_map import SnomedMap, read_snomed_names, snomed_names
from clincode.icd.source_files import code_of_release, name_key
from clincode.icd.terminology import Terminology

DISEASE_ONTOLOGY = "CLINCODE_DISEASE_ONTOLOGY"
"""Environment variable: the Disease Ontology, as ``read_disease_ontology`` takes it."""
SNOMED_MAP = "CLINCODE_SNOMED_MAP"
"""Environment variable: the map from SNOMED CT to ICD-10-CM, as ``SnomedMap.load`` takes it."""
SNOMED_NAMES = "CLINCODE_SNOMED_NAMES"
"""Environment variable: a dictionary that is coded in SNOMED CT, as ``read_snomed_names`` takes it."""

Names = Mapping[str, tuple[str, ...]]
"""A name, in lower case with single spaces → codes of the release, billable or not, best first, never none."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How much of the sources is used, and what of them is not.

    ``disease_codes_dropped``: codes in the Disease Ontology that the release does not hold, ranges among them.
    ``disease_terms_mapped``: its terms that got their codes by the map. ``map_rows_dropped`` and
    ``map_rows_undecided``: see ``SnomedMap``. ``snomed_terms_unmapped``: terms of the dictionary for which the map
    gives no code.
    """

    names: int = 0
    disease_codes_dropped: int = 0
    disease_terms_mapped: int = 0
    map_rows_dropped: int = 0
    map_rows_undecided: int = 0
    snomed_terms_unmapped: int = 0


@dataclass(frozen=True, slots=True)
class OwnNames:
    names: Names = field(default_factory=dict)
    report: SourceReport = SourceReport()


def own_names(terminology: Terminology, environ: Mapping[str, str] = os.environ) -> Names:
    """The names that the user's sources give; empty where no variable is set. See ``load_sources``."""
    return load_sources(terminology, environ).names


def load_sources(terminology: Terminology, environ: Mapping[str, str] = os.environ) -> OwnNames:
    """Read what the environment variables name; one that is empty counts as not set.

    Raises:
        ResourceError: a file is missing or malformed, or there is a dictionary in SNOMED CT without the map.
    """
    map_path, names_path, diseases_path = (
        _path(name, environ) for name in (SNOMED_MAP, SNOMED_NAMES, DISEASE_ONTOLOGY)
    )
    if names_path and not map_path:
        raise ResourceError(f"{SNOMED_NAMES}={names_path}: needs the map to ICD-10-CM, which {SNOMED_MAP} must name")
    snomed_map = SnomedMap.load(map_path, terminology) if map_path else None
    dictionary = tuple(read_snomed_names(names_path)) if names_path else ()
    house = _gathered(snomed_names(dictionary, snomed_map)) if snomed_map else {}
    diseases = [
        _coded(term, terminology, snomed_map)
        for term in (read_disease_ontology(diseases_path) if diseases_path else ())
    ]
    labels = _gathered((each.term.label, code) for each in diseases for code in each.codes)
    synonyms = _gathered((name, code) for each in diseases for name in each.term.synonyms for code in each.codes)
    names = {**synonyms, **labels, **house}
    report = SourceReport(
        names=len(names),
        disease_codes_dropped=sum(each.dropped for each in diseases),
        disease_terms_mapped=sum(each.by_map for each in diseases),
        map_rows_dropped=snomed_map.dropped if snomed_map else 0,
        map_rows_undecided=snomed_map.undecided if snomed_map else 0,
        snomed_terms_unmapped=sum(name_key(term) not in house for term, _ in dictionary),
    )
    return OwnNames(names, report)


@dataclass(frozen=True, slots=True)
class _CodedDisease:
    term: DiseaseTerm
    codes: tuple[str, ...]
    dropped: int
    by_map: bool


def _coded(term: DiseaseTerm, terminology: Terminology, snomed_map: SnomedMap | None) -> _CodedDisease:
    """A disease with its codes of this release; one that has none gets those of its concepts in SNOMED CT."""
    found = [code_of_release(code, terminology) for code in term.icd10cm]
    codes = tuple(dict.fromkeys(code for code in found if code is not None))
    dropped = found.count(None)
    if codes or snomed_map is None:
        return _CodedDisease(term, codes, dropped, False)
    mapped = tuple(dict.fromkeys(code for concept in term.snomedct for code in snomed_map.targets(concept)))
    return _CodedDisease(term, mapped, dropped, bool(mapped))


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Codes of each name in the order of the pairs, each once."""
    names: dict[str, dict[str, None]] = {}
    for name, code in pairs:
        names.setdefault(name_key(name), {})[code] = None
    return {name: tuple(codes) for name, codes in names.items()}


def _path(variable: str, environ: Mapping[str, str]) -> Path | None:
    named = environ.get(variable)
    return Path(named) if named else None

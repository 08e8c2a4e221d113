"""What the environment variables name becomes names with codes of the release, and what is left out is counted."""

from pathlib import Path

import pytest

from clincode.errors import ResourceError
from clincode.icd import Terminology
from clincode.icd.procedures import CPT
from clincode.icd.snomed_map import REFERENCE_SET
from clincode.icd.sources import (
    DISEASE_ONTOLOGY,
    SNOMED_MAP,
    SNOMED_NAMES,
    OwnNames,
    SourceReport,
    load_sources,
    own_names,
)

DISEASES = """doid\tlabel\texact_synonyms\ticd10cm\tsnomedct\tmesh\tumls_cui
DOID:1\tHarbor  Plaque\tdock plaque|shared name\tL40.0|L40.9\t9014002\t\t
DOID:2\tshared name\t\tM10\t\t\t
DOID:3\truin\told ruin\tA00-A09|I21.Q\t\t\t
DOID:4\tmapped only\tquay fever\t\t22298006|38341003\t\t
DOID:5\tdead but mapped\t\tI21.Q\t38341003\t\t
DOID:6\tcoded and mapped\t\tE88.9\t38341003\t\t
DOID:7\tnobody knows\t\t\t11111111\t\t
DOID:8\ttwin\t\tG35\t\t\t
DOID:9\tTwin\t\tG36\t\t\t
"""
MAP = f"""id\tactive\trefsetId\treferencedComponentId\tmapGroup\tmapPriority\tmapRule\tmapTarget
a\t1\t{REFERENCE_SET}\t22298006\t1\t1\tTRUE\tI21.9
b\t1\t{REFERENCE_SET}\t38341003\t1\t1\tTRUE\tI10
c\t1\t{REFERENCE_SET}\t38341003\t2\t1\tTRUE\tI10.Q
d\t1\t{REFERENCE_SET}\t44054006\t1\t1\tIFA 214264003 | Lethargy (finding) |\tE11.9
"""
NAMES = "term\tsnomedct\nBig  Sugar\t22298006\nsilent sugar\t44054006\nHARBOR PLAQUE\t38341003\n"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    files = {DISEASE_ONTOLOGY: DISEASES, SNOMED_MAP: MAP, SNOMED_NAMES: NAMES}
    for variable, text in files.items():
        (tmp_path / f"{variable}.tsv").write_text(text, encoding="utf-8")
    return {variable: str(tmp_path / f"{variable}.tsv") for variable in files}


@pytest.mark.parametrize("environ", [{}, {DISEASE_ONTOLOGY: "", SNOMED_MAP: "", SNOMED_NAMES: ""}])
def test_nothing_set_gives_nothing(terminology: Terminology, environ: dict[str, str]) -> None:
    assert own_names(terminology, environ) == {}
    assert load_sources(terminology, environ) == OwnNames()


def test_disease_ontology_alone(terminology: Terminology, environ: dict[str, str]) -> None:
    sources = load_sources(terminology, {DISEASE_ONTOLOGY: environ[DISEASE_ONTOLOGY]})
    assert sources.names == {
        "harbor plaque": ("L40.0", "L40.9"),
        "dock plaque": ("L40.0", "L40.9"),
        "shared name": ("M10",),  # a label goes before a synonym
        "coded and mapped": ("E88.9",),
        "twin": ("G35", "G36"),  # one name of two diseases has the codes of both
    }
    assert sources.report == SourceReport(names=5, disease_codes_dropped=3)


def test_terms_without_a_code_of_the_release_get_one_by_the_map(
    terminology: Terminology, environ: dict[str, str]
) -> None:
    del environ[SNOMED_NAMES]
    sources = load_sources(terminology, environ)
    assert sources.names["mapped only"] == sources.names["quay fever"] == ("I21.9", "I10")
    assert sources.names["dead but mapped"] == ("I10",)
    assert sources.names["coded and mapped"] == ("E88.9",)
    assert "ruin" not in sources.names
    assert "nobody knows" not in sources.names
    assert sources.report == SourceReport(
        names=8, disease_codes_dropped=3, disease_terms_mapped=2, map_rows_dropped=1, map_rows_undecided=1
    )


def test_dictionary_of_the_house_goes_first(terminology: Terminology, environ: dict[str, str]) -> None:
    sources = load_sources(terminology, environ)
    assert sources.names["harbor plaque"] == ("I10",)
    assert sources.names["dock plaque"] == ("L40.0", "L40.9")
    assert sources.names["big sugar"] == ("I21.9",)
    assert "silent sugar" not in sources.names
    assert sources.report.snomed_terms_unmapped == 1
    assert sources.report.names == len(sources.names) == 9


def test_every_code_is_of_the_release(terminology: Terminology, environ: dict[str, str]) -> None:
    names = own_names(terminology, environ)
    assert all(codes and all(code in terminology for code in codes) for codes in names.values())
    assert not all(terminology.is_billable(codes[0]) for codes in names.values())


def test_variables_of_the_process_are_the_default(
    terminology: Terminology, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (SNOMED_MAP, SNOMED_NAMES):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(DISEASE_ONTOLOGY, environ[DISEASE_ONTOLOGY])
    assert own_names(terminology)["twin"] == ("G35", "G36")


def test_dictionary_without_the_map_is_refused(terminology: Terminology, environ: dict[str, str]) -> None:
    with pytest.raises(ResourceError, match=rf"{SNOMED_NAMES}=.*{SNOMED_MAP} must name"):
        own_names(terminology, {SNOMED_NAMES: environ[SNOMED_NAMES]})


@pytest.mark.parametrize("variable", [DISEASE_ONTOLOGY, SNOMED_MAP, SNOMED_NAMES])
def test_missing_file_is_named(terminology: Terminology, environ: dict[str, str], variable: str) -> None:
    environ[variable] = "/nowhere/file.tsv"
    with pytest.raises(ResourceError, match=r"/nowhere/file\.tsv: cannot be read \(no such file\)"):
        own_names(terminology, environ)


def test_guide_names_every_variable_and_count(root: Path) -> None:
    guide = (root / "docs" / "code-sources.md").read_text(encoding="utf-8")
    for name in (DISEASE_ONTOLOGY, SNOMED_MAP, SNOMED_NAMES, CPT, *SourceReport.__dataclass_fields__):
        assert f"`{name}`" in guide, name

"""The Disease Ontology's two forms say the same; a malformed one is refused by file and line."""

from pathlib import Path

import pytest

from clincode.errors import ResourceError
from clincode.icd.disease_ontology import COLUMNS, DiseaseTerm, read_disease_ontology

HEADER = "\t".join(COLUMNS)
PLAQUE = DiseaseTerm(
    "DOID:9990001",
    "harbor plaque",
    ("dockside plaque", "quay plaque (old)"),
    ("L40.0", "L40.8"),
    ("9014002",),
    ("D011565",),
    ("C0033860", "C0406317"),
)
OBO = r"""format-version: 1.2
remark: CC0

[Term]
id: DOID:9990001
name: harbor plaque
alt_id: DOID:9990009
synonym: "dockside plaque" EXACT []
synonym: "pier plaque" RELATED []
synonym: "quay plaque \(old\)" EXACT [MESH:D011565]
xref: ICD10CM:L40.0
xref: ICD10CM:L40.8 {source="hand"}
xref: ICD9CM:696.1
xref: SNOMEDCT_US_2023_03_01:9014002
xref: MESH:D011565
xref: UMLS_CUI:C0033860
xref: UMLS_CUI:C0406317
is_a: DOID:4 ! disease

[Term]
id: DOID:9990002
name: forgotten plaque
is_obsolete: true

[Term]
id: UBERON:0002097
name: skin of body

[Term]
id: DOID:9990003
name: bare plaque

[Typedef]
id: DOID:9990004
name: has harbor
"""


def write(folder: Path, text: str, name: str = "terms.tsv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_table_is_read_with_several_values_a_cell(tmp_path: Path) -> None:
    row = (
        "DOID:9990001\tharbor plaque\tdockside plaque|quay plaque (old)\tL40.0|L40.8\t9014002\tD011565"
        "\tC0033860|C0406317"
    )
    path = write(tmp_path, f"\ufeff{HEADER}\n{row}\n\nDOID:9990003\tbare plaque\t\t\t\t\t\n")
    assert read_disease_ontology(path) == (PLAQUE, DiseaseTerm("DOID:9990003", "bare plaque"))


def test_obo_file_gives_the_same_without_obsolete_related_and_foreign(tmp_path: Path) -> None:
    path = write(tmp_path, OBO, "doid.obo")
    assert read_disease_ontology(path) == (PLAQUE, DiseaseTerm("DOID:9990003", "bare plaque"))


def test_columns_go_by_name_and_others_are_skipped(tmp_path: Path) -> None:
    path = write(
        tmp_path, "note\tlabel\tdoid\tmesh\tumls_cui\tsnomedct\ticd10cm\texact_synonyms\nx\tgout\tDOID:1\t\t\t\tM10\t\n"
    )
    assert read_disease_ontology(path) == (DiseaseTerm("DOID:1", "gout", icd10cm=("M10",)),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("DOID:1\tgout", "2 columns, the header has 7"),
        ("DOID:1\tgout\t\tM10\t\t\t\textra", "8 columns"),
        ("1\tgout\t\tM10\t\t\t", "identifier 'DOID:'"),
        ("DOID:1\t\t\tM10\t\t\t", "a label"),
        ("DOID:1\tgout\t\tM10\tSCT90560007\t\t", "'SCT90560007' is no SNOMED CT identifier"),
    ],
)
def test_malformed_row_is_named_by_file_and_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path, f"{HEADER}\nDOID:2\tplague\t\tA20\t\t\t\n{row}\n")
    with pytest.raises(ResourceError, match=message) as caught:
        read_disease_ontology(path)
    assert str(caught.value).startswith(f"{path}:3: ")


def test_term_without_a_name_is_named_by_the_line_that_opens_it(tmp_path: Path) -> None:
    path = write(tmp_path, "\n[Term]\nid: DOID:1\n\n[Term]\nid: DOID:2\nname: plague\n", "doid.obo")
    with pytest.raises(ResourceError, match=r"doid\.obo:2: .*a label"):
        read_disease_ontology(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.tsv", None),
        ("absent.obo", None),
        ("empty.tsv", b""),
        ("other.tsv", b"doid\tname\nDOID:1\tgout\n"),
        ("latin.tsv", f"{HEADER}\nDOID:1\tMénière\t\t\t\t\t\n".encode("latin-1")),
        ("other.obo", b"[Term]\nid: HP:1\nname: pain\n"),
    ],
)
def test_what_is_no_such_file_is_told_what_it_should_be(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResourceError, match=r"disease-ontology\.org") as caught:
        read_disease_ontology(path)
    assert str(caught.value).startswith(str(path))
    assert "CC0" in str(caught.value)

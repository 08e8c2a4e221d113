"""A user's own list of procedure codes; the codes and descriptions here are invented, none is the AMA's."""

from pathlib import Path

import pytest

from clincode.errors import ResourceError
from clincode.icd.procedures import CPT, ProcedureCode, ProcedureTerms, own_procedures

ROWS = """code\tdescription
0001A\tPolishing of the left kidney stone
0002B\tPolishing of left kidney stone, unspecified
0003C\tPainting of harbor walls
00044\tHarbor wall painting
0001A\tStone polish
0005D\tIroning of hemorrhage
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cpt.tsv"
    path.write_text(ROWS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("mention", "codes"),
    [
        ("polishing of left kidney stone", ["0001A", "0002B"]),
        ("Polishing left kidney stones", ["0001A", "0002B"]),
        ("harbor wall painting", ["00044"]),
        ("painting of harbor wall", ["0003C"]),
        ("ironing of haemorrhages", ["0005D"]),
        ("wall harbor painting", ["0003C", "00044"]),
        ("polishing of left renal stone", ["0001A", "0002B"]),
        ("stone polish", ["0001A"]),
        ("polishing of stone", []),
        ("left kidney", []),
        ("the of", []),
        ("", []),
    ],
)
def test_find(path: Path, mention: str, codes: list[str]) -> None:
    assert [found.code for found in ProcedureTerms.load(path).find(mention)] == codes


def test_description_is_the_one_that_matched(path: Path) -> None:
    assert ProcedureTerms.load(path).find("stone polish") == (ProcedureCode("0001A", "Stone polish"),)


@pytest.mark.parametrize(("limit", "count"), [(-1, 0), (0, 0), (1, 1), (5, 2)])
def test_limit(path: Path, limit: int, count: int) -> None:
    assert len(ProcedureTerms.load(path).find("polishing left kidney stone", limit)) == count


def test_code_with_two_descriptions_that_match_comes_once() -> None:
    terms = ProcedureTerms([ProcedureCode("0001A", "Stone polish"), ProcedureCode("0001A", "Stone, polish")])
    assert terms.find("stone polish") == (ProcedureCode("0001A", "Stone polish"),)


@pytest.mark.parametrize(
    "line", ["1234\tSecret words", "123456\tSecret words", "1234a\tSecret words", "A1234\tSecret words", "12345\t"]
)
def test_malformed_row_is_named_by_line_and_never_quoted(path: Path, line: str) -> None:
    path.write_text(f"{ROWS}{line}\n", encoding="utf-8")
    with pytest.raises(ResourceError, match=r"cpt\.tsv:8: expected a CPT code") as caught:
        ProcedureTerms.load(path)
    assert "Secret" not in str(caught.value)


def test_variable_names_the_list(path: Path) -> None:
    assert own_procedures({}) is None
    assert own_procedures({CPT: ""}) is None
    terms = own_procedures({CPT: str(path)})
    assert terms is not None
    assert terms.find("harbor wall painting")


def test_missing_file_says_whose_licence_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"absent\.tsv: .*American Medical Association"):
        own_procedures({CPT: str(tmp_path / "absent.tsv")})

"""The tabular list: what it says, and that its file is whole or refused."""

import gzip
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from clincode.config import TERMINOLOGY_FILE
from clincode.errors import BundleError, ResourceError
from clincode.icd import Terminology, build_terminology
from clincode.icd.terminology import NOTE_FIELDS, TabularList


def test_whole_list_is_there(terminology: Terminology) -> None:
    assert terminology.release == "April 2026"
    assert len(terminology) == len(list(terminology)) > 98_000
    assert sum(terminology.is_billable(code) for code in terminology) > 74_000


def test_same_codes_titles_and_leaves_as_the_package(terminology: Terminology) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("simple_icd_10_cm")
    codes = [code for code in package.get_all_codes() if not package.is_chapter_or_block(code) or len(code) == 3]
    codes = [code for code in codes if code in terminology]
    assert len(codes) > 97_000
    for code in codes:
        title = " ".join(package.get_description(code).split()).replace("/ ", "/")
        assert (terminology.title(code).replace("/ ", "/"), terminology.is_billable(code)) == (
            title,
            package.is_leaf(code),
        )


@pytest.mark.parametrize(
    ("code", "title", "billable", "parent"),
    [
        ("I21", "Acute myocardial infarction", False, "I20-I25"),
        ("I21.9", "Acute myocardial infarction, unspecified", True, "I21"),
        ("I10", "Essential (primary) hypertension", True, "I10-I1A"),
        ("S52.501", "Unspecified fracture of the lower end of right radius", False, "S52.50"),
        (
            "S52.501A",
            "Unspecified fracture of the lower end of right radius, initial encounter for closed fracture",
            True,
            "S52.501",
        ),
        ("T36.0X1A", "Poisoning by penicillins, accidental (unintentional), initial encounter", True, "T36.0X1"),
        ("W19.XXXA", "Unspecified fall, initial encounter", True, "W19"),
        ("I20-I25", "Ischemic heart diseases (I20-I25)", False, "Chapter 9"),
        ("B99-B99", "Other infectious diseases (B99)", False, "Chapter 1"),
    ],
)
def test_entry(terminology: Terminology, code: str, title: str, billable: bool, parent: str) -> None:
    entry = terminology[code]
    assert (entry.code, entry.title, entry.billable, entry.parent) == (code, title, billable, parent)
    assert entry.is_group == (not code[1:2].isdigit() or "-" in code)


def test_notes_stand_at_their_code(terminology: Terminology) -> None:
    infarction = terminology["I21"]
    assert "cardiac infarction" in infarction.includes
    assert any("I25.2" in note for note in infarction.excludes2)
    assert "Myocardial infarction (acute) NOS" in terminology["I21.9"].inclusion_terms
    assert terminology["E11"].use_additional
    assert terminology["F02"].code_first
    assert terminology["E10"].excludes1
    for name in NOTE_FIELDS:
        assert any(getattr(terminology[code], name) for code in terminology.base_codes()), name


def test_hierarchy(terminology: Terminology) -> None:
    assert terminology.ancestors("S52.501A") == ("S52.501", "S52.50", "S52.5", "S52", "S50-S59", "Chapter 19")
    assert "I21.9" in terminology.children("I21")
    assert terminology.children("I21.9") == ()
    assert terminology.children("S00.00") == ("S00.00XA", "S00.00XD", "S00.00XS")
    assert {"S52.501A", "S52.509S"} <= set(terminology.descendants("S52.5"))
    for code in ("I21.9", "S52.501A", "S00.00XD"):
        assert code in terminology.children(terminology[code].parent or "")


@pytest.mark.parametrize("code", ["", "I21.99", "i21.9", "I219", "S52.501Z", "S52.501", "T36.0X1", "S00.00XXA"])
def test_what_is_not_billable(terminology: Terminology, code: str) -> None:
    assert not terminology.is_billable(code)


@pytest.mark.parametrize("code", ["", "I21.99", "I219", "S52.501Z", "XXXXXXXX"])
def test_unknown_code(terminology: Terminology, code: str) -> None:
    assert code not in terminology
    for ask in (terminology.__getitem__, terminology.title, terminology.children, terminology.ancestors):
        with pytest.raises(KeyError):
            ask(code)


def test_saved_and_loaded_it_is_the_same(terminology: Terminology, tmp_path: Path) -> None:
    path = tmp_path / TERMINOLOGY_FILE
    terminology.save(path)
    assert path.stat().st_size < 1_000_000
    assert [file.name for file in tmp_path.iterdir()] == [TERMINOLOGY_FILE]
    start = time.process_time()
    loaded = Terminology.load(path)
    assert time.process_time() - start < 1.5
    assert loaded.release == terminology.release
    assert list(loaded) == list(terminology)
    assert all(loaded[code] == terminology[code] for code in list(terminology)[::7])


def test_bytes_are_the_same_each_time(terminology: Terminology, tmp_path: Path) -> None:
    terminology.save(tmp_path / "one.json.gz")
    Terminology.load(tmp_path / "one.json.gz").save(tmp_path / "two.json.gz")
    assert (tmp_path / "one.json.gz").read_bytes() == (tmp_path / "two.json.gz").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.update(format=99),
        lambda data: data.pop("format"),
        lambda data: data.pop("titles"),
        lambda data: data.update(codes=[]),
        lambda data: data["titles"].pop(),
        lambda data: data["codes"].__setitem__(3, "I21"),
        lambda data: data["titles"].__setitem__(1, 7),
        lambda data: data["titles"].__setitem__(1, ""),
        lambda data: data["parents"].__setitem__(1, 4),
        lambda data: data["parents"].__setitem__(1, None),
        lambda data: data["extended"].update({"Z99": [0, "A"]}),
        lambda data: data["extended"].update({"S52.5": [5, "A"]}),
        lambda data: data["extended"].update({"S52.5": [0, "Q"]}),
        lambda data: data["extended"].update({"S52.5": []}),
        lambda data: data["notes"].update(remarks={}),
        lambda data: data["notes"]["excludes1"].update({"Z99": ["x"]}),
        lambda data: data.update(notes=[]),
        lambda data: data.update(release=2026),
    ],
)
def test_damaged_file_is_refused_by_name(small_list: TabularList, tmp_path: Path, damage: object) -> None:
    path = tmp_path / TERMINOLOGY_FILE
    Terminology(small_list).save(path)
    data = json.loads(gzip.decompress(path.read_bytes()))
    damage(data)  # type: ignore[operator]
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    with pytest.raises(BundleError, match=TERMINOLOGY_FILE):
        Terminology.load(path)


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(b"[1, 2"), gzip.compress(b"[]"), gzip.compress(b"\xff")]
)
def test_unreadable_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / TERMINOLOGY_FILE
    path.write_bytes(content)
    with pytest.raises(BundleError, match=TERMINOLOGY_FILE):
        Terminology.load(path)


def test_cut_off_and_missing_files_are_refused(small_list: TabularList, tmp_path: Path) -> None:
    path = tmp_path / TERMINOLOGY_FILE
    Terminology(small_list).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    for bad in (path, tmp_path / "absent.json.gz"):
        with pytest.raises(BundleError, match=bad.name):
            Terminology.load(bad)


def test_release_is_data(small_list: TabularList) -> None:
    assert Terminology(replace(small_list, release="October 2030")).release == "October 2030"


def test_another_release_is_built_from_its_files(tmp_path: Path) -> None:
    tabular, codes = tmp_path / "tabular.xml", tmp_path / "code-list-October-2030.txt"
    tabular.write_text(
        "<x><version>2030</version><chapter><name>1</name><desc>All</desc><section id='A00'><desc>One</desc>"
        "<diag><name>A00</name><desc>Fall</desc><sevenChrDef><extension char='A'>first</extension>"
        "<extension char='D'>later</extension></sevenChrDef></diag></section></chapter></x>"
    )
    codes.write_text("1\nA00\nA00.XXXA\n")
    terminology = build_terminology(tabular, codes)
    assert terminology.release == "October 2030"
    assert list(terminology) == ["Chapter 1", "A00-A00", "A00", "A00.XXXA"]
    assert terminology.title("A00.XXXA") == "Fall, first"


def test_missing_and_broken_sources_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "tabular.xml"
    broken.write_text("<x><chapter>")
    (tmp_path / "code-list-x.txt").write_text("A00\n")
    for tabular in (broken, tmp_path / "absent.xml"):
        with pytest.raises(ResourceError, match=tabular.name):
            build_terminology(tabular, tmp_path / "code-list-x.txt")

"""A hospital's own rows stand beside those of the package; a broken one is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clincode import assertions, sections
from clincode.config import OWN_RULES
from clincode.errors import ResourceError
from clincode.labels import EntityType
from clincode.phi import find_identifiers, names, patterns
from clincode.sections import split_sentences
from clincode.senses import abbreviations, words
from clincode.types import Certainty, Span

CACHES = (
    *(assertions.default_rules, sections.header_sections, abbreviations.default_senses, words.word_senses),
    *(patterns.default_patterns, names.name_lists),
)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(OWN_RULES, str(tmp_path))
    for cached in CACHES:
        cached.cache_clear()
    yield tmp_path
    for cached in CACHES:
        cached.cache_clear()


def write(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_table_takes_rows_of_its_own(rules: Path) -> None:
    write(rules, "context_cues.tsv", "cue\tcategory\tdirection\treach", "not in evidence\tnegated\tbackward\t")
    write(rules, "section_headers.tsv", "header\tsection", "weekend plan\tPLAN")
    write(rules, "abbreviations.tsv", "abbreviation\tsense\ttype\tprior\tclues", "QZX\tquartz lung\tDIAGNOSIS\t1\t")
    write(rules, "phi_patterns.tsv", "category\texample\tpattern", "MRN\tZK7-11\t\\bZK\\d-\\d\\d\\b")
    note = "Weekend plan:\nFever not in evidence. QZX, file ZK7-11."
    found = split_sentences(note)
    assert found[0].section == "PLAN"
    fever = note.index("Fever")
    [assertion] = assertions.assert_context(note, found[1], [Span(fever, fever + 5, EntityType.DIAGNOSIS, 1.0)])
    assert assertion.certainty is Certainty.NEGATED
    assert [use.sense.expansion for use in abbreviations.resolve_abbreviations(note, found)] == ["quartz lung"]
    assert [(r.category, note[r.start : r.end]) for r in find_identifiers(note)] == [("MRN", "ZK7-11")]


def test_a_broken_row_names_file_and_line(rules: Path) -> None:
    write(rules, "section_headers.tsv", "header\tsection", "weekend plan")
    with pytest.raises(ResourceError, match=r"section_headers\.tsv:2"):
        split_sentences("x: y")


def test_a_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, rules: Path) -> None:
    monkeypatch.setenv(OWN_RULES, str(rules / "nowhere"))
    with pytest.raises(ResourceError, match="no such folder"):
        split_sentences("x: y")

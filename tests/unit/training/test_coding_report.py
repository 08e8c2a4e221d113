"""The page on coded notes: its figures by hand, that it is whole, and that it tells nothing of the notes unasked."""

import base64
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from clincode.icd import Terminology
from clincode.types import Assertion, Certainty
from training.coding_report import (
    CODES_SHOWN,
    by_chapter,
    false_codes,
    gains,
    missed_codes,
    most_to_gain,
    write_coding_report,
)
from training.evaluate_coding import Cause, Scored, coding_figures
from training.plots import inline_png, plot_causes

PLAIN, DENIED = Assertion(), Assertion(Certainty.NEGATED)
NOTE = "Grelk of the plimsome was seen. No vorbic <zot>."


@pytest.fixture
def notes(coded_as: Callable[..., Scored]) -> list[Scored]:
    return [
        coded_as(["I10", "I21.9", "Z99.9"], ["I10", "I21.4"], [("Grelk", ["I21.4"], PLAIN)], NOTE),
        coded_as(
            ["I50.9", "E11.9"], ["I21.4"], [("vorbic <zot>", ["I50.9"], DENIED), ("grelk", ["I21.4"], PLAIN)], NOTE
        ),
        coded_as(["E11.9"], ["E11.9", "S52.5XXA"], [("plimsome", ["S52.5XXA"], PLAIN)], NOTE),
        coded_as(["E11.9"], [], [], NOTE),
    ]


class Page(HTMLParser):
    """Texts of the cells of each row, and the attributes of each picture."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.pictures: list[dict[str, str | None]] = []
        self.open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[-1][-1] += data


def written(scored: Sequence[Scored], small: Terminology, folder: Path, *, examples: bool = False) -> str:
    path = folder / "report.html"
    write_coding_report(scored, coding_figures(scored, small), small, path, examples=examples)
    return path.read_text(encoding="utf-8")


def test_the_headline_has_the_figures(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    html = written(notes, small, tmp_path)
    rows = Page(html).rows
    # 2 of 5 given codes are gold, of 7 gold ones; of categories I21 is right too
    assert rows[1] == ["code", "0.400", "0.286", "0.333", "0.333"]
    assert rows[2] == ["category", "0.600", "0.429", "0.500", "0.417"]
    text = " ".join(re.sub(r"<[^>]+>", "", html).split())
    assert "4 notes with 7 gold codes" in text
    assert "14.3% of the gold codes (1 of 7) are not in the loaded year" in text
    assert "ICD-10-CM April 1999" in text


def test_gains_of_each_cause_by_hand(notes: list[Scored], small: Terminology) -> None:
    found = gains(notes, small)
    assert [(gain.cause, gain.count) for gain in found] == [
        (Cause.ABSENT, 2),
        (Cause.NOT_IN_YEAR, 1),
        (Cause.CONTEXT, 1),
        (Cause.SIBLING, 1),
    ]
    by_cause = {gain.cause: (gain.code_f1, gain.category_f1) for gain in found}
    # 2 hits of 5 given and 7 gold; of categories 3 of 5 and 7: each found code adds to hits and to given
    assert by_cause[Cause.ABSENT] == pytest.approx((2 * 4 / (7 + 7), 2 * 5 / (7 + 7)))
    assert by_cause[Cause.CONTEXT] == pytest.approx((2 * 3 / (6 + 7), 2 * 4 / (6 + 7)))
    assert by_cause[Cause.SIBLING] == pytest.approx((2 * 3 / (6 + 7), 2 * 3 / (5 + 7)))  # its category is there


def test_what_would_gain_most_is_said(notes: list[Scored], small: Terminology, coded_as: Callable[..., Scored]) -> None:
    sentence = most_to_gain(gains(notes, small), coding_figures(notes, small))
    assert sentence.startswith(
        "Most would be gained from “not in text”: were its 2 codes all found, F1 of codes would go from 0.333 to 0.571 "
        "and F1 of categories from 0.500 to 0.714."
    )
    siblings = [coded_as(["I21.9"], ["I21.4"]), coded_as(["I21.4"], ["I21.9"]), coded_as(["I10"], [])]
    sentence = most_to_gain(gains(siblings, small), coding_figures(siblings, small))
    assert "“wrong sibling”" in sentence
    assert "; for categories it is “not in text”, to 1.000." in sentence
    # A code that the list does not have can not be gained.
    strange = [coded_as(["Z99.9"], [])]
    assert most_to_gain(gains(strange, small), coding_figures(strange, small)) == (
        "No code that the loaded year has is missed."
    )


def test_chapters_by_hand(notes: list[Scored], small: Terminology, coded_as: Callable[..., Scored]) -> None:
    extended = coded_as(["S52.5XXD", "I21.99"], [])  # of a 7th character; of a category that the year has
    rows = {counts.title: (counts.gold, counts.given, counts.hits) for counts in by_chapter([*notes, extended], small)}
    assert list(rows.items()) == [
        ("Endocrine diseases (E00-E89)", (3, 1, 1)),
        ("Diseases of the circulatory system (I00-I99)", (4, 3, 1)),
        ("Injuries (S00-T88)", (1, 1, 0)),
        ("not in the loaded year", (1, 0, 0)),
    ]


def test_a_chapter_without_codes_has_no_share(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    page = Page(written(notes, small, tmp_path))
    assert ["Injuries (S00-T88)", "0.000", "–", "0", "1", "0"] in page.rows
    assert ["Endocrine diseases (E00-E89)", "1.000", "0.333", "3", "1", "1"] in page.rows
    assert ["not in the loaded year", "–", "0.000", "1", "0", "0"] in page.rows


def test_codes_that_go_wrong_most(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    false = [(row.code, row.wrong, row.of, row.examples) for row in false_codes(notes, small)]
    assert false == [("I21.4", 2, 2, ["grelk"]), ("S52.5XXA", 1, 1, ["plimsome"])]
    lost = [(row.code, row.wrong, row.of, row.cause) for row in missed_codes(notes, small)]
    assert lost == [
        ("E11.9", 2, 3, "not in text"),
        ("I21.9", 1, 1, "wrong sibling"),
        ("I50.9", 1, 1, "wrong context"),
        ("Z99.9", 1, 1, "not in the loaded year"),
    ]
    rows = Page(written(notes, small, tmp_path)).rows
    assert ["I21.4", "Non-ST elevation (NSTEMI) myocardial infarction", "2", "2"] in rows
    assert ["S52.5XXA", "Fracture of lower end of radius, initial encounter", "1", "1"] in rows
    assert ["Z99.9", "(not in the loaded year)", "1", "1", "not in the loaded year"] in rows


def test_no_more_than_the_most_frequent_are_shown(
    coded_as: Callable[..., Scored], small: Terminology, tmp_path: Path
) -> None:
    many = [f"X{i:02}" for i in range(CODES_SHOWN + 5)]
    rows = Page(written([coded_as(["X34", "X33"], many), coded_as([], ["X03"])], small, tmp_path)).rows
    shown = [row[0] for row in rows if re.fullmatch(r"X\d\d", row[0])]
    assert len(shown) == CODES_SHOWN
    assert shown[:2] == ["X03", "X00"]


def test_the_page_is_whole_and_its_pictures_have_their_texts(
    notes: list[Scored], small: Terminology, tmp_path: Path
) -> None:
    html = written(notes, small, tmp_path, examples=True)
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(|<script""", html)
    pictures = Page(html).pictures
    assert len(pictures) == 2
    for picture in pictures:
        kind, _, data = str(picture["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert picture["alt"]
    assert "not in text 2" in str(pictures[0]["alt"])
    assert "I00-I99 Diseases of the circulatory system 0.333 and 0.333" in str(pictures[1]["alt"])


def test_the_same_notes_give_the_same_page(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert written(notes, small, tmp_path / "a") == written(notes, small, tmp_path / "b")


def test_no_text_of_the_notes_unless_it_is_asked_for(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    html = re.sub(r"base64,[^\"]*", "", written(notes, small, tmp_path)).lower()
    assert not [word for word in ("grelk", "plimsome", "vorbic", "zot", "seen") if word in html]
    assert "note-1" not in html


def test_examples_are_mentions_and_no_more(notes: list[Scored], small: Terminology, tmp_path: Path) -> None:
    html = written(notes, small, tmp_path, examples=True)
    rows = Page(html).rows
    assert ["I21.4", "Non-ST elevation (NSTEMI) myocardial infarction", "2", "2", "grelk"] in rows
    assert ["I50.9", "Heart failure, unspecified", "1", "1", "wrong context", "vorbic <zot>"] in rows
    assert "vorbic &lt;zot&gt;" in html
    assert "patients&#39; privacy" in html or "patients' privacy" in html
    assert "seen" not in re.sub(r"base64,[^\"]*", "", html)


def test_a_page_without_a_miss(coded_as: Callable[..., Scored], small: Terminology, tmp_path: Path) -> None:
    html = written([coded_as(["I10"], ["I10"])], small, tmp_path)
    assert "No code that the loaded year has is missed." in html
    assert len(Page(html).pictures) == 2


def test_bars_are_the_causes_in_their_order() -> None:
    figure = plot_causes({"not in text": 3, "wrong sibling": 1})
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["not in text", "wrong sibling"]
    assert [bar.get_width() for bar in axis.patches] == [3, 1]
    assert [text.get_text() for text in axis.texts] == ["3  75.0%", "1  25.0%"]
    assert inline_png(figure) == inline_png(plot_causes({"not in text": 3, "wrong sibling": 1}))

"""The note in pieces: every character once and in order, whatever overlaps."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.review.state import EntityValues, ReviewedEntity
from gateway.web.segments import Mask, masks_of, note_html, segments
from gateway.web.words import TYPES

TEXTS = st.text(st.sampled_from("ab <>&\"'\r\n\té🩺\x85"), max_size=60)
PLACES = st.tuples(st.integers(0, 70), st.integers(0, 70))


def _entity(
    key: int, start: int, end: int, kind: str = "DIAGNOSIS", *, certainty: str = "affirmed", verdict: str = "undecided"
) -> ReviewedEntity:
    values = EntityValues(start, end, kind, certainty)
    more = (0.9, (), None, None, None, "suggested", verdict)
    return ReviewedEntity(str(key), values, values, "", *more)  # type: ignore[arg-type]


def _text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@given(TEXTS, st.lists(st.tuples(PLACES, st.sampled_from(sorted(TYPES))), max_size=12), st.lists(PLACES, max_size=3))
def test_every_character_once_and_in_order(
    text: str, places: list[tuple[tuple[int, int], str]], masked: list[tuple[int, int]]
) -> None:
    entities = [_entity(i, min(place), max(place), kind) for i, (place, kind) in enumerate(places)]
    masks = [Mask(min(place), max(place), "NAME") for place in masked]
    found = segments(len(text), entities, masks)
    assert "".join(text[s.start : s.end] for s in found) == text
    assert all(s.start < s.end for s in found)
    for entity in entities:
        over = [i for s in found if entity in s.entities for i in range(s.start, s.end)]
        assert over == list(range(entity.start, min(entity.end, len(text))))
        begins = [s.start for s in found if entity in s.begins]
        assert begins == ([entity.start] if over else [])
    hidden = [i for s in found if s.mask for i in range(s.start, s.end)]
    assert hidden == sorted({i for m in masks for i in range(m.start, min(m.end, len(text)))})


@given(TEXTS, st.lists(PLACES, max_size=8))
def test_the_page_says_the_note_and_nothing_else(text: str, places: list[tuple[int, int]]) -> None:
    entities = [_entity(i, min(place), max(place), certainty="negated") for i, place in enumerate(places)]
    html = str(note_html(text, entities, [Mask(2, 5, "<b>")]))
    assert _text_of(html) == text
    assert set(re.findall(r"<(/?\w+)", html)) <= {"span", "/span", "s", "/s"}


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        # nested: the inner lies on top
        ([(0, 4), (1, 2)], ["0", "0 1", "0", ""]),
        # overlapping: the shorter lies on top
        ([(0, 4), (3, 9)], ["0", "1 0", "1", ""]),
        # side by side
        ([(0, 4), (4, 9)], ["0", "1", ""]),
        # the same span twice
        ([(0, 4), (0, 4)], ["0 1", ""]),
        # beyond the end, and empty
        ([(8, 99), (3, 3), (20, 30)], ["", "0"]),
    ],
)
def test_pieces(entities: list[tuple[int, int]], expected: list[str]) -> None:
    found = segments(10, [_entity(i, *place) for i, place in enumerate(entities)])
    assert [" ".join(entity.key for entity in s.entities) for s in found] == expected


def test_a_piece_says_what_begins_and_what_lies_over_it() -> None:
    outer, inner = _entity(0, 0, 10, certainty="possible"), _entity(1, 6, 10, "ANATOMY", verdict="accepted")
    html = str(note_html("cancer lung", [outer, inner]))
    assert html.startswith('<span class="m D possible" data-e="0" data-m="D ?" role=button tabindex=-1>cancer</span>')
    assert '<span class="m A ok oD" data-e="0 1" data-m="A✓" role=button tabindex=-1> lun</span>' in html


def test_masks_are_read_from_the_answer() -> None:
    masks = masks_of([{"start_char": 1, "end_char": 3, "category": "NAME"}])
    assert str(note_html("aXx b", [], masks)) == 'a<span class=ph title="masked: NAME">Xx</span> b'

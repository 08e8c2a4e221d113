"""A note with entities that may overlap, cut into pieces that do not: each character in one piece, in order.

Pieces are told apart by where any entity or mask begins or ends, so an entity is a run of whole pieces. The page's text
is the note's, character by character: what marks an entity is in attributes, so that a script can count offsets.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from gateway.review.state import ReviewedEntity
from gateway.web.words import LETTERS, MARKS, VERDICT_MARKS


@dataclass(frozen=True, slots=True)
class Mask:
    start: int
    end: int
    category: str


@dataclass(frozen=True, slots=True)
class Segment:
    """``entities`` are those over it, the longest first; ``begins`` those of them that begin here."""

    start: int
    end: int
    entities: tuple[ReviewedEntity, ...]
    begins: tuple[ReviewedEntity, ...]
    mask: str | None


def masks_of(redactions: Sequence[Mapping[str, Any]]) -> list[Mask]:
    return [Mask(each["start_char"], each["end_char"], str(each["category"])) for each in redactions]


def segments(length: int, entities: Sequence[ReviewedEntity], masks: Sequence[Mask] = ()) -> list[Segment]:
    """What reaches over the note's end is cut there; what is empty then marks nothing."""
    opening: defaultdict[int, list[ReviewedEntity]] = defaultdict(list)
    closing: defaultdict[int, set[str]] = defaultdict(set)
    for entity in entities:
        start, end = max(0, entity.start), min(length, entity.end)
        if start < end:
            opening[start].append(entity)
            closing[end].add(entity.key)
    hidden = [(max(0, mask.start), min(length, mask.end), mask.category) for mask in masks]
    edges = {0, length, *opening, *closing}
    edges.update(edge for start, end, _ in hidden if start < end for edge in (start, end))
    places = sorted(edges)
    found: list[Segment] = []
    over: list[ReviewedEntity] = []
    for start, end in pairwise(places):
        over = [entity for entity in over if entity.key not in closing[start]] + opening[start]
        over.sort(key=lambda entity: (entity.start - entity.end, entity.start, entity.key))
        mask = next((category for first, last, category in hidden if first <= start < last), None)
        begins = tuple(entity for entity in over if max(0, entity.start) == start)
        found.append(Segment(start, end, tuple(over), begins, mask))
    return found


def note_html(text: str, entities: Sequence[ReviewedEntity], masks: Sequence[Mask] = ()) -> Markup:
    """The inside of the note's element."""
    return Markup("").join(Markup(_piece(text[s.start : s.end], s)) for s in segments(len(text), entities, masks))


def _piece(text: str, segment: Segment) -> str:
    said = _escaped(text)
    if segment.mask is not None:
        said = f'<span class=ph title="masked: {_escaped(segment.mask)}">{said}</span>'
    if not segment.entities:
        return said
    *outer, inner = segment.entities
    if inner.certainty == "negated":
        said = f"<s>{said}</s>"
    classes = ["m", LETTERS[inner.type], *_context(inner), *_VERDICT_CLASS.get(inner.verdict, ())]
    if outer:
        classes.append(f"o{LETTERS[outer[-1].type]}")
    keys = " ".join(entity.key for entity in segment.entities)
    begins = ""
    if segment.begins:
        marks = " ".join(_mark(entity) for entity in segment.begins)
        begins = f' data-m="{marks}" role=button tabindex=-1'
    return f'<span class="{" ".join(classes)}" data-e="{keys}"{begins}>{said}</span>'


_VERDICT_CLASS = {"accepted": ("ok",), "rejected": ("rej",), "corrected": ("ok",)}


def _context(entity: ReviewedEntity) -> list[str]:
    """Names of classes: ``negated``, ``possible``, ``historical``, … for what is not the ordinary."""
    return [name for name in (entity.certainty, entity.temporality, entity.experiencer) if name in MARKS]


def _mark(entity: ReviewedEntity) -> str:
    verdict = "+" if entity.origin == "added" else VERDICT_MARKS.get(entity.verdict, "")
    return " ".join([LETTERS[entity.type] + verdict, *(MARKS[name] for name in _context(entity))])


def _escaped(text: str) -> str:
    """A carriage return by its number: as it is, a browser would drop it, and offsets would shift."""
    return escape(text).replace("\r", "&#13;")

"""A word gets the sense that stands by it, and sets the model's mentions right; a modifier sets nothing."""

from itertools import pairwise

import pytest

from clincode.labels import EntityType
from clincode.sections import split_sentences
from clincode.senses import resolve_words, with_words
from clincode.types import Span

D, P, M, A, T = (EntityType[name] for name in ("DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"))


def mentions(note: str, found: list[tuple[str, EntityType]]) -> list[tuple[str, EntityType]]:
    spans = [Span(note.index(words), note.index(words) + len(words), kind, 0.9) for words, kind in found]
    uses = resolve_words(note, split_sentences(note), spans)
    return [(note[span.start : span.end], span.type) for span in with_words(note, spans, uses)]


@pytest.mark.parametrize(
    ("note", "found", "expected"),
    [
        pytest.param(
            "Purulent wound discharge was cultured.",
            [("Purulent wound", D)],
            [("Purulent wound discharge", D)],
            id="completed",
        ),
        pytest.param("Scant vaginal discharge.", [], [("Scant vaginal discharge", D)], id="added with its parts"),
        pytest.param("Discharge summary was sent.", [("Discharge", D)], [], id="no entity"),
        pytest.param("A stroke of luck.", [("stroke of luck", D)], [], id="a phrase"),
        pytest.param(
            "Serum potassium 3.1 was low.",
            [("Serum potassium", M)],
            [("Serum potassium", T)],
            id="another type",
        ),
        pytest.param(
            "Given potassium chloride 20 mEq PO.",
            [("potassium chloride 20 mEq", T)],
            [("potassium chloride 20 mEq", M)],
            id="a drug with its dose",
        ),
        pytest.param("Reports chest pain.", [("chest pain", D)], [("chest pain", D)], id="a modifier"),
        pytest.param(
            "Left arm pain since May.", [("Left arm pain", D)], [("Left arm pain", D)], id="a modifier behind"
        ),
        pytest.param("Attends mass on Sundays.", [("mass", D)], [], id="church"),
        pytest.param("A lung mass on CT.", [("lung mass", D)], [("lung mass", D)], id="as the model has it"),
        pytest.param("The patch.", [], [], id="nothing to tell by"),
    ],
)
def test_words(note: str, found: list[tuple[str, EntityType]], expected: list[tuple[str, EntityType]]) -> None:
    assert mentions(note, found) == expected


def test_mentions_never_overlap() -> None:
    note = "Copious purulent wound discharge from the left arm, positive blood culture, cold hands, a block away."
    found = [("purulent", D), ("wound", D), ("left arm", A), ("blood culture", T), ("hands", A)]
    spans = [Span(note.index(w), note.index(w) + len(w), kind, 0.5) for w, kind in found]
    result = with_words(note, spans, resolve_words(note, split_sentences(note), spans))
    assert all(a.end <= b.start for a, b in pairwise(result))

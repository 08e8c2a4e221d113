"""Pipelines that know the audit's own sentences: one that is always right, and others that are not, to somebody."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from clincode.errors import AnalysisError
from clincode.labels import EntityType
from clincode.types import Analysis, CodeCandidate, Entity, Note, NoteCode, Span
from training.bias.templates import Filled, Gold, Template, Variant, fill, read_templates, read_variants

Spoil = Callable[[Note, Entity], Entity | None]
"""What becomes of a right entity of a note; None where it is lost."""


@pytest.fixture(scope="session")
def templates() -> list[Template]:
    return read_templates()


@pytest.fixture(scope="session")
def variants() -> list[Variant]:
    return read_variants()


def _places(filled: Filled, gold: Gold) -> tuple[int, int]:
    """Offsets of a gold mention in the text: what stands before it is longer by what fills the slots."""
    shift = 0
    for start, end in filled.slots:
        if start - shift < gold.start:
            shift += end - start - 1
    return gold.start + shift, gold.end + shift


class StubPipeline:
    """Finds the gold of the sentences, but for what ``spoil`` makes of it."""

    version = "stub"

    def __init__(self, templates: Sequence[Template], variants: Sequence[Variant], spoil: Spoil | None = None) -> None:
        self.spoil = spoil or (lambda _, entity: entity)
        filled = [fill(t, v) for t in templates for v in variants if t.is_varied(v)]
        self.known = {each.text: each for each in filled}
        self.seen: list[str] = []

    def analyze_batch(self, notes: Sequence[Note]) -> list[Analysis | AnalysisError]:
        self.seen += [note.text for note in notes]
        return [self._analysis(note) for note in notes]

    def _analysis(self, note: Note) -> Analysis:
        filled = self.known[note.text]
        right = [self._entity(filled, gold) for gold in filled.template.gold]
        found = [entity for each in right if (entity := self.spoil(note, each)) is not None]
        codes = [(entity.icd_codes[0].code, at) for at, entity in enumerate(found) if entity.icd_codes]
        return Analysis(note, tuple(found), tuple(NoteCode(code, "", 1.0, (at,)) for code, at in codes))

    @staticmethod
    def _entity(filled: Filled, gold: Gold) -> Entity:
        start, end = _places(filled, gold)
        codes = tuple(CodeCandidate(code, "", 1.0) for code in sorted(gold.codes)[:1])
        return Entity(filled.text[start:end], Span(start, end, gold.type, 0.9), gold.assertion, None, codes)


@pytest.fixture(scope="session")
def places() -> Callable[[Filled, Gold], tuple[int, int]]:
    return _places


@pytest.fixture(scope="session")
def stub() -> type[StubPipeline]:
    return StubPipeline


@pytest.fixture(scope="session")
def some(templates: list[Template], variants: list[Variant]) -> tuple[list[Template], list[Variant]]:
    """Templates that all groups of three dimensions are in, and these groups."""
    groups = [variant for variant in variants if variant.dimension in {"insurance", "sex", "wording"}]
    return [t for t in templates if all(t.is_varied(v) for v in groups)], groups


@pytest.fixture(scope="session")
def denied() -> Spoil:
    """Loses diagnoses of a third of the notes about Medicaid patients."""

    def spoil(note: Note, entity: Entity) -> Entity | None:
        is_third = len(note.text) % 3 == 0
        return None if "Medicaid" in note.text and is_third and entity.span.type is EntityType.DIAGNOSIS else entity

    return spoil


@pytest.fixture(scope="session")
def unsure() -> Callable[[int], Spoil]:
    """Loses one mention in ten, whoever the note is about."""

    def make(seed: int) -> Spoil:
        def spoil(note: Note, entity: Entity) -> Entity | None:
            rng = random.Random(f"{seed} {note.text} {entity.span.start}")
            return None if rng.random() < 0.1 else replace(entity, expansion=None)

        return spoil

    return make

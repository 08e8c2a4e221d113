"""Tables of senses: what a form can mean, how common that is, and which words speak for it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from clincode.errors import ResourceError
from clincode.labels import EntityType


@dataclass(frozen=True, slots=True)
class Sense:
    """``type`` is None where the sense is no entity ("mental status"); ``clues`` are in lower case. ``parts`` are the
    words that belong to the mention where they touch it ("purulent" of "purulent discharge")."""

    expansion: str
    type: EntityType | None
    prior: float
    clues: frozenset[str]
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SenseUse:
    """A form where it stands, and its sense there."""

    start: int
    end: int
    sense: Sense
    confidence: float


def parse_senses(rows: Iterable[Mapping[str, str]], form_column: str, file: str) -> dict[str, tuple[Sense, ...]]:
    """Form → its senses; rows have ``sense``, ``type``, ``prior``, ``clues`` and perhaps ``parts``.

    A clue that several senses of a form have tells nothing between them and is left out.

    Raises:
        ResourceError: names the row whose type or prior is none, or that stands there twice.
    """
    table: dict[str, tuple[Sense, ...]] = {}
    for row in rows:
        form, expansion = row[form_column], row["sense"]
        place = f"{file}: '{form}' as '{expansion}'"
        if row["type"] and row["type"] not in EntityType.__members__:
            raise ResourceError(f"{place} has the unknown type '{row['type']}'")
        try:
            prior = float(row["prior"])
        except ValueError:
            prior = 0.0
        if not prior > 0 or not form or not expansion:
            raise ResourceError(f"{place} needs a form, a sense and a prior above 0")
        if any(sense.expansion == expansion for sense in table.get(form, ())):
            raise ResourceError(f"{place} stands there twice")
        entity_type = EntityType[row["type"]] if row["type"] else None
        sense = Sense(expansion, entity_type, prior, _alternatives(row["clues"]), _alternatives(row.get("parts", "")))
        table[form] = (*table.get(form, ()), sense)
    return {form: _told_apart(senses) for form, senses in table.items()}


def _told_apart(senses: tuple[Sense, ...]) -> tuple[Sense, ...]:
    counts = Counter(clue for sense in senses for clue in sense.clues)
    shared = frozenset(clue for clue, count in counts.items() if count > 1)
    return tuple(replace(sense, clues=sense.clues - shared) for sense in senses)


def _alternatives(cell: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in cell.split("|") if part.strip())

"""Annotated sentences with slots for a person, and the persons that fill them.

``templates.tsv``: ``{A_person}``, ``{a_person}`` and ``{short}`` are the person, ``{He}``, ``{he}``, ``{him}``,
``{His}``, ``{his}`` pronouns, ``{denies/deny}`` a verb after a pronoun. ``[chest
pain|DIAGNOSIS|negated|R07.9/R07.89]`` is a mention with its context (empty: affirmed) and the codes of which any is
right. ``person`` is whom the note is about unless a variant says otherwise; ``not_varied`` lists the dimensions, or
``dimension:group``, that are not neutral there.

``variants.tsv``: a group, the group that it is compared ``against`` (empty: it is only a reference), its two phrases
and its pronouns. Phrases know ``{a}`` (article), ``{age}`` ("45-year-old"), ``{spaced}``, ``{yo}``, ``{older}`` and
``{older_yo}`` (a year more), ``{noun}``, ``{MF}`` and ``{Todd/Emily}`` (male, female).

Offsets of a template are *canonical*: each slot counts as one character, whatever fills it. In these the notes of all
persons are comparable.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clincode.labels import EntityType
from clincode.types import Assertion, Certainty, Experiencer, NoteType, Temporality
from training.corpora import CorpusError

FOLDER = Path(__file__).parent
TEMPLATE_COLUMNS = ("id", "note_type", "topic", "person", "not_varied", "text")
VARIANT_COLUMNS = ("dimension", "group", "against", "long", "short", "pronouns")
PERSON_SLOTS = ("A_person", "a_person", "short")
PRONOUNS: Mapping[str, Mapping[str, str]] = {
    "he": {"he": "he", "him": "him", "his": "his"},
    "she": {"he": "she", "him": "her", "his": "her"},
    "they": {"he": "they", "him": "them", "his": "their"},
}
SEXED = "sexed"
ASSERTIONS: Mapping[str, Assertion] = {
    "": Assertion(),
    "negated": Assertion(Certainty.NEGATED),
    "possible": Assertion(Certainty.POSSIBLE),
    "historical": Assertion(temporality=Temporality.HISTORICAL),
    "hypothetical": Assertion(temporality=Temporality.HYPOTHETICAL),
    "family": Assertion(experiencer=Experiencer.FAMILY),
}
_PIECE = re.compile(r"\{(?P<slot>[^{}]+)\}|\[(?P<gold>[^\[\]]+)\]")
_SLOT = re.compile(r"\{([^{}]+)\}")
_PERSON = re.compile(r"(?P<noun>man|woman|boy|girl) (?P<age>\d{1,2})")
_NOUNS = {"man": ("male", False), "woman": ("female", False), "boy": ("male", True), "girl": ("female", True)}
_AN = re.compile(r"(?:[aeio]|un(?!i[^n])|8|1[18]\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Gold:
    """A mention of a template, at canonical offsets; ``codes`` is empty where none is asked for."""

    start: int
    end: int
    type: EntityType
    assertion: Assertion
    codes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Slot:
    name: str


@dataclass(frozen=True)
class Template:
    """``pieces`` are the text without its marks, cut at its slots."""

    id: str
    note_type: NoteType
    topic: str
    is_female: bool
    age: int
    not_varied: frozenset[str]
    pieces: tuple[str | Slot, ...]
    gold: tuple[Gold, ...]

    @cached_property
    def slots(self) -> tuple[str, ...]:
        return tuple(piece.name for piece in self.pieces if isinstance(piece, Slot))

    def is_varied(self, variant: "Variant") -> bool:
        return not {variant.dimension, f"{variant.dimension}:{variant.group}"} & self.not_varied


@dataclass(frozen=True, slots=True)
class Variant:
    dimension: str
    group: str
    against: str
    long: str
    short: str
    pronouns: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A template about a person. ``slots`` are where its slots stand in ``text``."""

    template: Template
    text: str
    slots: tuple[tuple[int, int], ...]

    def canonical(self, start: int, end: int) -> tuple[int, int]:
        """Offsets of the text as those of the template; an end inside a slot takes in the whole of it."""
        first, last = start, end
        for slot_start, slot_end in self.slots:
            more = slot_end - slot_start - 1
            if start >= slot_end:
                first -= more
            elif start > slot_start:
                first -= start - slot_start
            if end >= slot_end:
                last -= more
            elif end > slot_start:
                last -= end - slot_start - 1
        return first, last

    def is_person(self, start: int, end: int) -> bool:
        """Whether these offsets of the text lie in one slot."""
        return any(slot_start <= start and end <= slot_end for slot_start, slot_end in self.slots)


def read_templates(path: Path = FOLDER / "templates.tsv") -> list[Template]:
    """Raises ``CorpusError`` with file and line where a row cannot be read; it never quotes more than the mark."""
    templates = [_template(f"{path}:{number}", row) for number, row in _rows(path, TEMPLATE_COLUMNS)]
    if len({template.id for template in templates}) < len(templates):
        raise CorpusError(f"{path}: an id stands twice")
    return templates


def read_variants(path: Path = FOLDER / "variants.tsv") -> list[Variant]:
    """Raises ``CorpusError`` where a group is compared against one that is not there or is no reference."""
    variants = []
    for number, row in _rows(path, VARIANT_COLUMNS):
        if row["pronouns"] not in {*PRONOUNS, SEXED}:
            raise CorpusError(f"{path}:{number}: no pronouns '{row['pronouns']}'")
        variants.append(Variant(**row))
    references = {(v.dimension, v.group) for v in variants if not v.against}
    for variant in variants:
        if variant.against and (variant.dimension, variant.against) not in references:
            raise CorpusError(f"{path}: {variant.dimension} has no reference '{variant.against}'")
    return variants


def fill(template: Template, variant: Variant) -> Filled:
    """The note about a person of the group. Raises ``CorpusError`` for a slot that nobody can fill."""
    fillers = _fillers(template, variant)
    text, slots = "", list[tuple[int, int]]()
    for piece in template.pieces:
        if isinstance(piece, str):
            text += piece
            continue
        words = _alternative(piece.name, fillers["number"] == "plural") or fillers.get(piece.name)
        if not words:
            raise CorpusError(f"{template.id}: nothing fills the slot '{piece.name}'")
        slots.append((len(text), len(text) + len(words)))
        text += words
    return Filled(template, text, tuple(slots))


def _fillers(template: Template, variant: Variant) -> dict[str, str]:
    is_female = {"he": False, "she": True}.get(variant.pronouns, template.is_female)
    pronouns = PRONOUNS[("she" if is_female else "he") if variant.pronouns == SEXED else variant.pronouns]
    child = template.age < 18
    words = {
        "age": f"{template.age}-year-old",
        "spaced": f"{template.age} year old",
        "yo": f"{template.age}yo",
        "older": f"{template.age + 1}-year-old",
        "older_yo": f"{template.age + 1}yo",
        "noun": ("girl" if child else "woman") if is_female else ("boy" if child else "man"),
        "MF": "F" if is_female else "M",
    }
    long, short = (_phrase(phrase, words, is_female) for phrase in (variant.long, variant.short))
    return {
        **pronouns,
        **{name.capitalize(): pronoun.capitalize() for name, pronoun in pronouns.items()},
        "A_person": long[0].upper() + long[1:],
        "a_person": long,
        "short": short,
        "number": "plural" if variant.pronouns == "they" else "singular",
    }


def _phrase(phrase: str, words: Mapping[str, str], is_female: bool) -> str:
    def word(match: re.Match[str]) -> str:
        name = match[1]
        return match[0] if name == "a" else _alternative(name, is_female) or words[name]

    text = _SLOT.sub(word, phrase)
    return text.replace("{a}", "an" if _AN.match(text.removeprefix("{a} ")) else "a", 1)


def _alternative(name: str, second: bool) -> str | None:
    first, slash, other = name.partition("/")
    return None if not slash else other if second else first


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if tuple(next(rows, ())) != tuple(columns):
            raise CorpusError(f"{path}:1: the header must be {' '.join(columns)}")
        for number, cells in enumerate(rows, 2):
            if len(cells) != len(columns):
                raise CorpusError(f"{path}:{number}: {len(cells)} columns, expected {len(columns)}")
            yield number, dict(zip(columns, cells, strict=True))


def _template(place: str, row: Mapping[str, str]) -> Template:
    person = _PERSON.fullmatch(row["person"])
    if person is None or (int(person["age"]) < 18) is not _NOUNS[person["noun"]][1]:
        raise CorpusError(f"{place}: '{row['person']}' is no person")
    if row["note_type"] not in set(NoteType):
        raise CorpusError(f"{place}: '{row['note_type']}' is no type of note")
    pieces, gold = _parsed(place, row["text"].replace("\\n", "\n"))
    template = Template(
        row["id"],
        NoteType(row["note_type"]),
        row["topic"],
        _NOUNS[person["noun"]][0] == "female",
        int(person["age"]),
        frozenset(row["not_varied"].split()),
        pieces,
        gold,
    )
    if not set(template.slots) & set(PERSON_SLOTS):
        raise CorpusError(f"{place}: nobody stands in it")
    return template


def _parsed(place: str, marked: str) -> tuple[tuple[str | Slot, ...], tuple[Gold, ...]]:
    pieces, gold, literal, length, at = list[str | Slot](), list[Gold](), "", 0, 0
    for match in _PIECE.finditer(marked):
        literal += marked[at : match.start()]
        at = match.end()
        if match["slot"]:
            pieces += [literal, Slot(match["slot"])]
            length += len(literal) + 1
            literal = ""
            continue
        words, kind, context, codes, *rest = [*match["gold"].split("|"), "", "", ""][: max(4, match[0].count("|") + 1)]
        if rest or kind not in set(EntityType) or context not in ASSERTIONS:
            raise CorpusError(f"{place}: '{match[0]}' is no mention")
        start = length + len(literal)
        accepted = frozenset(code for code in codes.split("/") if code)
        gold.append(Gold(start, start + len(words), EntityType(kind), ASSERTIONS[context], accepted))
        literal += words
    pieces.append(literal + marked[at:])
    for piece in pieces:
        if isinstance(piece, str) and re.search(r"[\[\]{}|]", piece):
            raise CorpusError(f"{place}: a mark is not closed")
    return tuple(piece for piece in pieces if piece), tuple(gold)

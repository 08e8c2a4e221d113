"""Ordinary words that mean something clinical in one place and not in another: "wound discharge", "discharge summary".

Senses are data (``resources/ambiguous_words.tsv``), chosen as those of abbreviations are, but by what stands close by.
A clear sense sets the model's spans right: a mention that it missed is added with the words that belong to it, one of
another type gets that of its sense, and one whose sense is no entity goes.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from clincode.config import load_tsv_resource
from clincode.labels import EntityType
from clincode.senses.evidence import Weights, best_sense, clue_words
from clincode.senses.table import Sense, SenseUse, parse_senses
from clincode.types import Sentence, Span

WORDS_FILE = "ambiguous_words.tsv"

WEIGHTS = Weights(near_words=4, near=2.8, sentence=1.0, beside=0.5, note=0.1, type=1.2)
SURE = 0.75
"""Confidence from which a sense changes what the model found."""
SURE_TO_ADD = 0.88
"""Confidence from which it adds a mention that the model did not find."""
_SET_RIGHT = frozenset(EntityType) - {EntityType.ANATOMY}
"""Types that a sense may give a mention. Parts of the body stand in the table to speak against the other senses:
whether one is a mention of its own or part of a finding, the model knows better."""
_LONGEST = 4
"""Words of a phrase in the table, at most."""
_UNITS = frozenset({"mg", "mcg", "g", "meq", "ml", "units", "iu", "po", "iv", "of", "a", "the"})
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


@cache
def word_senses() -> dict[str, tuple[Sense, ...]]:
    """Word or phrase in lower case → its senses."""
    rows = load_tsv_resource(WORDS_FILE, ("word", "sense", "type", "prior", "clues", "parts"))
    return parse_senses(({**row, "word": row["word"].lower()} for row in rows), "word", WORDS_FILE)


def resolve_words(text: str, sentences: Sequence[Sentence], spans: Sequence[Span] = ()) -> tuple[SenseUse, ...]:
    """Every ambiguous word of the note whose sense is clear, in the order of the text.

    ``spans`` are the model's; the type of one that holds the word speaks for senses of that type.
    """
    note_words: frozenset[str] | None = None
    holders, uses = iter(sorted(spans, key=lambda span: span.start)), list[SenseUse]()
    holder = next(holders, None)
    for sentence in sentences:
        for start, end, senses in _forms(text, sentence):
            if note_words is None:
                note_words = clue_words(text)
            while holder is not None and holder.end <= start:
                holder = next(holders, None)
            kind = holder.type if holder is not None and holder.start <= start and end <= holder.end else None
            sense, confidence = best_sense(text, start, end, sentence, senses, kind, note_words, WEIGHTS)
            if confidence >= SURE:
                uses.append(SenseUse(start, end, sense, confidence))
    return tuple(uses)


def _forms(text: str, sentence: Sentence) -> Iterator[tuple[int, int, tuple[Sense, ...]]]:
    """The words and phrases of the table in a sentence, the longest first, each with its senses."""
    table = word_senses()
    words = list(_WORD.finditer(text, sentence.start, sentence.end))
    at = 0
    while at < len(words):
        for size in range(_LONGEST, 0, -1):
            last = min(at + size, len(words)) - 1
            phrase = " ".join(text[words[at].start() : words[last].end()].lower().split())
            senses = table.get(phrase) or table.get(phrase.removesuffix("s"), ())
            if senses:
                yield words[at].start(), words[last].end(), senses
                at = last
                break
        at += 1


def with_words(text: str, spans: Sequence[Span], uses: Sequence[SenseUse]) -> list[Span]:
    """The model's spans set right by ``uses``, in the order of the text, and still without overlaps."""
    result = sorted(spans, key=lambda span: span.start)
    for use in uses:
        start, end = _with_parts(text, use)
        # Spans do not overlap, so that those which touch the words are neighbours.
        first = bisect_right(result, start, key=lambda span: span.end)
        last = bisect_left(result, end, key=lambda span: span.start)
        result[first:last] = _set_right(text, result[first:last], use, start, end)
    return result


def _set_right(text: str, touching: Sequence[Span], use: SenseUse, start: int, end: int) -> list[Span]:
    """The spans that touch ``[start, end)``, the word with its parts, as its sense has them."""
    kind = use.sense.type
    holding = [span for span in touching if span.start <= use.start and use.end <= span.end]
    about = [span for span in holding if _is_about(text, span, use)]
    if kind is None:
        inside = [span for span in touching if use.start <= span.start and span.end <= use.end]
        return [span for span in touching if span not in about and span not in inside]
    if kind not in _SET_RIGHT:
        return list(touching)
    if holding:
        return [replace(span, type=kind) if span in about else span for span in touching]
    # What the model found of it already, such as its modifiers alone, becomes one mention.
    if use.confidence >= SURE_TO_ADD and all(start <= span.start and span.end <= end for span in touching):
        return [Span(start, end, kind, use.confidence)]
    return list(touching)


def _is_about(text: str, span: Span, use: SenseUse) -> bool:
    """Whether the mention is what the word is, and the word no modifier of something else ("chest" of "chest pain"):
    what follows it in the mention is nothing, a dose, or words that the sense knows ("potassium level")."""
    known = use.sense.parts if use.sense.type else use.sense.clues | use.sense.parts
    rest = [word.group().lower() for word in _WORD.finditer(text, use.end, span.end)]
    return all(word in known or word[0].isdigit() or word in _UNITS for word in rest)


def _with_parts(text: str, use: SenseUse) -> tuple[int, int]:
    """The offsets of the word and of the words that belong to it on both sides."""
    start, end = use.start, use.end
    while match := re.search(r"([^\W_]+(?:-[^\W_]+)*)[ -]$", text[max(0, start - 30) : start]):
        if match[1].lower() not in use.sense.parts:
            break
        start -= len(match[0])
    while match := re.match(r"[ -]([^\W_]+(?:-[^\W_]+)*)", text[end : end + 30]):
        if match[1].lower() not in use.sense.parts:
            break
        end += len(match[0])
    return start, end

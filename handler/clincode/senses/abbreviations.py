"""The senses of abbreviations, each chosen where it stands.

Senses and the words that speak for them are data (``resources/abbreviations.tsv``). What a note itself defines
("multiple sclerosis (MS)", found as Schwartz and Hearst 2003 do) decides. Otherwise the words around, the rest of the
note and the type that the model gave the mention do; where no sense is clearly ahead there is none.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from clincode.config import load_tsv_resource
from clincode.senses.evidence import Weights, best_sense, clue_words
from clincode.senses.table import Sense, SenseUse, parse_senses
from clincode.types import Sentence, Span

ABBREVIATIONS_FILE = "abbreviations.tsv"

WEIGHTS = Weights(near_words=12, near=1.6, sentence=1.1, beside=0.7, note=0.35, type=1.0)
UNSURE = 0.6
"""Below this confidence no sense is given."""
SURE = 0.75
"""Confidence from which a sense changes what the model found."""
SOLE = 0.95
"""Confidence in a sense that has no rival."""

_LONG_WORD = 10
"""Letters of a single word that an abbreviation in brackets may stand for."""
_FORM = re.compile(r"(?<![\w/&])(?<![\W\d_]-)[A-Za-z0-9][A-Za-z0-9&/-]*[A-Za-z0-9](?![\w&]|[-/][A-Za-z])")
_DEFINED = re.compile(r"\(\s*([A-Za-z][A-Za-z0-9&/-]{1,9})s?\s*\)")
_WORDS = frozenset({"ALL", "AS", "HIT", "CAP", "US", "LA", "HA", "DOE", "PAD", "MAC", "PEG", "TEN", "CAD", "ROM"})
"""Also words, where a sentence is all in capitals."""


@cache
def default_senses() -> dict[str, tuple[Sense, ...]]:
    rows = load_tsv_resource(ABBREVIATIONS_FILE, ("abbreviation", "sense", "type", "prior", "clues"))
    return parse_senses(rows, "abbreviation", ABBREVIATIONS_FILE)


def resolve_abbreviations(text: str, sentences: Sequence[Sentence], spans: Sequence[Span] = ()) -> tuple[SenseUse, ...]:
    """Every abbreviation of the note whose sense is clear, in the order of the text.

    ``spans`` are the model's; the type of one that holds the abbreviation speaks for senses of that type.
    """
    table = default_senses()
    defined = local_definitions(text)
    starts = [sentence.start for sentence in sentences]
    by_start = sorted(spans, key=lambda span: span.start)
    span_starts = [span.start for span in by_start]
    note_words: frozenset[str] | None = None
    uses = []
    for match in _FORM.finditer(text):
        form = match.group()
        if form not in table and form not in defined:
            continue
        if note_words is None:
            note_words = clue_words(text)
        at = bisect_right(span_starts, match.start()) - 1
        holder = by_start[at] if at >= 0 and match.end() <= by_start[at].end else None
        index = bisect_right(starts, match.start()) - 1
        sentence = sentences[index] if index >= 0 else Sentence(0, len(text))
        senses = table.get(form, ())
        if form in _WORDS and _is_shouted(text[sentence.start : sentence.end]):
            continue
        if form in defined:
            chosen, confidence = _as_defined(defined[form], senses, holder), 1.0
        elif len(senses) == 1:
            chosen, confidence = senses[0], SOLE
        else:
            kind = holder.type if holder else None
            chosen, confidence = best_sense(text, *match.span(), sentence, senses, kind, note_words, WEIGHTS)
        if confidence >= UNSURE:
            uses.append(SenseUse(match.start(), match.end(), chosen, confidence))
    return tuple(uses)


def with_abbreviations(spans: Sequence[Span], uses: Sequence[SenseUse]) -> list[Span]:
    """The model's spans, set right by clear senses, in the order of the text: an abbreviation that the model missed is
    added, one of another type gets that of its sense, and one whose sense is no entity goes."""
    exact = {(use.start, use.end): use for use in uses if use.confidence >= SURE}
    kept = []
    for span in spans:
        use = exact.get((span.start, span.end))
        if use is None or use.sense.type is span.type:
            kept.append(span)
        elif use.sense.type is not None:
            kept.append(replace(span, type=use.sense.type))
    taken = sorted((span.start, span.end) for span in spans)
    for use in exact.values():
        index = bisect_right(taken, (use.end,)) - 1
        is_free = index < 0 or taken[index][1] <= use.start
        if is_free and use.sense.type is not None:
            kept.append(Span(use.start, use.end, use.sense.type, use.confidence))
    return sorted(kept, key=lambda span: span.start)


def expanded(text: str, span: Span, uses: Sequence[SenseUse]) -> tuple[str, str | None]:
    """The mention with its abbreviations written out, and the sense of the one in it (None without or with several)."""
    inside = [use for use in uses if span.start <= use.start and use.end <= span.end]
    parts, at = [], span.start
    for use in inside:
        parts += [text[at : use.start], use.sense.expansion]
        at = use.end
    return "".join([*parts, text[at : span.end]]), inside[0].sense.expansion if len(inside) == 1 else None


def local_definitions(text: str) -> dict[str, str]:
    """Abbreviation → long form in lower case, where the note has the short one in brackets after the long."""
    found: dict[str, str] = {}
    for match in _DEFINED.finditer(text):
        short = match[1]
        if not any(char.isupper() for char in short):
            continue
        start = max(0, match.start() - 20 * len(short))
        words = text[start : match.start()].rpartition("\n")[2].rstrip()
        long = _long_form(short, words)
        if long and short not in found:
            found[short] = " ".join(long.lower().split())
    return found


def _long_form(short: str, before: str) -> str | None:
    """The shortest run of words at the end of ``before`` in which the letters of ``short`` stand in order, the first
    at the beginning of a word (Schwartz and Hearst 2003)."""
    letters = [char.lower() for char in short if char.isalnum()]
    at = len(before) - 1
    for index in range(len(letters) - 1, -1, -1):
        while at >= 0 and (
            before[at].lower() != letters[index] or (index == 0 and at > 0 and before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
        at -= 1
    long = before[at + 1 :]
    words = long.split()
    if len(words) == 1:  # "preeclampsia (PE)": a long word that begins as the short form does
        return long if len(long) >= _LONG_WORD and len(letters) < 4 else None
    return long if len(words) <= min(len(letters) + 5, len(letters) * 2) else None


def _as_defined(expansion: str, senses: Sequence[Sense], holder: Span | None) -> Sense:
    known = next((sense for sense in senses if sense.expansion == expansion), None)
    return known or Sense(expansion, holder.type if holder else None, 1.0, frozenset())


def _is_shouted(sentence: str) -> bool:
    letters = [char for char in sentence if char.isalpha()]
    return len(letters) > 20 and sum(map(str.isupper, letters)) > 0.7 * len(letters)
